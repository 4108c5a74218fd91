from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

from algosat.store.database import Database
from algosat.store.prepared import Prepared
from algosat.store.types import Json, Scaled, UtcTime

_AT = datetime(2026, 1, 5, 4, 30, tzinfo=UTC)
things = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String, unique=True),
    Column("price", Scaled),
    Column("at", UtcTime),
    Column("day", Date),
    Column("data", Json),
    Column("flag", Boolean),
)
ROW = {
    "name": "one",
    "price": Decimal("1.25"),
    "at": _AT,
    "day": _AT.date(),
    "data": {"b": 1, "a": "2"},
    "flag": True,
}
ADD = Prepared(insert(things).inline(), ROW)
BY_NAME = Prepared(select(things).where(things.c.name == bindparam("name")))
PRICES = Prepared(select(things.c.price).order_by(things.c.id))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'things.db'}")
    things.metadata.create_all(database.engine)
    yield database
    database.close()


def test_values_are_read_back_equal(database: Database) -> None:
    with database.read() as connection:
        ADD.run(connection, ROW)
        row = BY_NAME.first(connection, name="one")
        usual = connection.execute(select(things)).one()
    assert row._asdict() == dict(usual._mapping) == {"id": 1, **ROW}


def test_empty_result_is_none_or_an_empty_list(database: Database) -> None:
    with database.read() as connection:
        assert BY_NAME.first(connection, name="none") is None
        assert PRICES.scalar(connection) is None
        assert PRICES.all(connection) == []


def test_run_each_writes_every_row(database: Database) -> None:
    rows = [{**ROW, "name": str(number), "price": Decimal(number)} for number in range(3)]
    with database.read() as connection:
        ADD.run_each(connection, rows)
        assert [row.price for row in PRICES.all(connection)] == [Decimal(0), Decimal(1), Decimal(2)]


def test_update_returns_the_number_of_affected_rows(database: Database) -> None:
    rename = Prepared(update(things).where(things.c.name == bindparam("known_as")), ("name",))
    with database.read() as connection:
        ADD.run(connection, ROW)
        assert rename.run(connection, {"known_as": "one", "name": "two"}) == 1
        assert rename.run(connection, {"known_as": "one", "name": "two"}) == 0
        assert BY_NAME.first(connection, name="two").price == Decimal("1.25")


def test_constants_of_a_statement_are_bound(database: Database) -> None:
    cheap = Prepared(
        select(things.c.name).where(things.c.price < Decimal(2), things.c.flag.is_(True)).limit(2)
    )
    with database.read() as connection:
        ADD.run_each(connection, [{**ROW, "name": name} for name in "abc"])
        assert [row.name for row in cheap.all(connection)] == ["a", "b"]


def test_list_of_values_is_refused(database: Database) -> None:
    some = Prepared(select(things.c.name).where(things.c.name.in_(("a", "b"))))
    with database.read() as connection, pytest.raises(ValueError, match="list of values"):
        some.all(connection)


def test_statement_is_part_of_the_transaction_of_its_connection(database: Database) -> None:
    for transaction in (database.read, database.write, database.engine.begin):
        with pytest.raises(IntegrityError), transaction() as connection:
            ADD.run_each(connection, [ROW, ROW])
    with database.read() as connection:
        assert BY_NAME.first(connection, name="one") is None


def test_errors_are_those_of_sqlalchemy(database: Database) -> None:
    with database.read() as connection:
        ADD.run(connection, ROW)
        with pytest.raises(IntegrityError):
            ADD.run(connection, ROW)
        things.drop(connection)
        with pytest.raises(OperationalError, match="no such table"):
            PRICES.all(connection)


def test_missing_value_is_an_error(database: Database) -> None:
    with database.read() as connection, pytest.raises(KeyError, match="name"):
        BY_NAME.first(connection)


def test_statement_function_is_called_with_the_dialect(database: Database) -> None:
    asked: list[str] = []

    def build(dialect: str) -> object:
        asked.append(dialect)
        return select(things.c.name)

    names = Prepared(build)  # type: ignore[arg-type]
    with database.read() as connection:
        assert names.all(connection) == names.all(connection) == []
    assert asked == ["sqlite"]


def test_compiled_statement_is_not_compiled_again(database: Database) -> None:
    compiled_for = []

    def statement(dialect: str) -> Select[tuple[str]]:
        compiled_for.append(dialect)
        return select(things.c.name)

    names = Prepared(statement)
    Prepared.compile_all(database.engine.dialect)
    assert compiled_for == ["sqlite"]
    with database.read() as connection:
        assert names.all(connection) == []
    assert compiled_for == ["sqlite"]
