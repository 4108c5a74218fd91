from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Connection, Integer, func, insert, select

from algosat.store import retention
from algosat.store.database import Database
from algosat.store.tables import metadata, replies
from algosat.store.types import UtcTime
from algosat.store.writer import Writer
from tests.app.store.conftest import NOW

FOR_EVER = {"orders", "events", "trades", "positions", "balances", "days", "openings"}


def row(column: Column[Any], number: int, at: datetime) -> dict[str, Any]:
    """Any values for a row, but the time by which it is old."""
    needed = (each for each in column.table.columns if not each.nullable)
    return {**{each.name: any_value(each, number) for each in needed}, column.name: at}


def any_value(column: Column[Any], number: int) -> Any:
    if isinstance(column.type, UtcTime):
        return NOW
    return number if isinstance(column.type, Integer | BigInteger) else str(number)


def add(connection: Connection, column: Column[Any], *times: datetime) -> None:
    for number, at in enumerate(times):
        connection.execute(insert(column.table), row(column, number, at))


def left(database: Database, column: Column[Any]) -> list[datetime]:
    with database.read() as connection:
        return list(connection.execute(select(column).order_by(column)).scalars())


@pytest.mark.parametrize(("column", "age"), retention.KEPT, ids=lambda each: str(each))
def test_what_is_too_old_goes_and_the_rest_stays(
    database: Database, writer: Writer, column: Column[Any], age: timedelta
) -> None:
    last, first = NOW - age, NOW - age - timedelta(seconds=1)
    writer.run(lambda connection: add(connection, column, first, last, NOW))
    assert writer.run(lambda connection: retention.sweep(connection, NOW)) == 1
    assert left(database, column) == [last, NOW]
    assert writer.run(lambda connection: retention.sweep(connection, NOW)) == 0


def test_keys_of_a_strategy_never_become_new_again(database: Database, writer: Writer) -> None:
    old = row(replies.c.created_at, 1, NOW - timedelta(days=1000)) | {"principal": "strategy:trend"}
    writer.run(lambda connection: connection.execute(insert(replies), old))
    assert writer.run(lambda connection: retention.sweep(connection, NOW)) == 0
    assert left(database, replies.c.created_at) == [old["created_at"]]


def test_a_lot_goes_little_by_little(database: Database, writer: Writer) -> None:
    old = [NOW - timedelta(days=100)] * 450
    writer.run(lambda connection: add(connection, replies.c.created_at, *old))
    swept = [writer.run(lambda connection: retention.sweep(connection, NOW)) for _ in range(4)]
    assert swept == [200, 200, 50, 0]
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(replies)).scalar_one() == 0


def test_nothing_of_the_ledger_is_ever_swept() -> None:
    swept = {column.table.name for column, _ in retention.KEPT}
    assert metadata.tables.keys() >= FOR_EVER
    assert not swept & FOR_EVER
