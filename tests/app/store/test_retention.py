from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Column, Connection, Date, Integer, func, insert, select

from algosat.store import retention
from algosat.store.database import Database
from algosat.store.tables import gtt_orders, metadata, replies
from algosat.store.types import Encrypted, Scaled, UtcTime
from algosat.store.writer import Writer
from tests.app.store.conftest import NOW

KEPT_FOREVER = {"orders", "events", "trades", "positions", "balances", "days", "openings"}


def row(column: Column[Any], number: int, at: datetime) -> dict[str, Any]:
    """Return any values for a row, with `at` as the time that decides its age."""
    needed = (each for each in column.table.columns if not each.nullable)
    return {**{each.name: any_value(each, number) for each in needed}, column.name: at}


def any_value(column: Column[Any], number: int) -> Any:
    if isinstance(column.type, UtcTime):
        return NOW
    if isinstance(column.type, Date):
        return NOW.date()
    if isinstance(column.type, Scaled | Boolean):
        return Decimal(1)
    if isinstance(column.type, Encrypted):
        return str(number).encode()
    return number if isinstance(column.type, Integer | BigInteger) else str(number)


def add(connection: Connection, column: Column[Any], *times: datetime) -> None:
    for number, at in enumerate(times):
        connection.execute(insert(column.table), row(column, number, at))


def remaining(database: Database, column: Column[Any]) -> list[datetime]:
    with database.read() as connection:
        return list(connection.execute(select(column).order_by(column)).scalars())


@pytest.mark.parametrize(("column", "age"), retention.KEPT, ids=lambda each: str(each))
def test_expired_rows_are_deleted_and_the_rest_stays(
    database: Database, writer: Writer, column: Column[Any], age: timedelta
) -> None:
    last, first = NOW - age, NOW - age - timedelta(seconds=1)
    writer.run(lambda connection: add(connection, column, first, last, NOW))
    assert writer.run(lambda connection: retention.sweep(connection, NOW)) == 1
    assert remaining(database, column) == [last, NOW]
    assert writer.run(lambda connection: retention.sweep(connection, NOW)) == 0


def test_gtt_orders_that_wait_are_never_deleted(database: Database, writer: Writer) -> None:
    waiting = row(gtt_orders.c.updated_at, 1, NOW - timedelta(days=1000)) | {"state": "active"}
    writer.run(lambda connection: connection.execute(insert(gtt_orders), waiting))
    assert writer.run(lambda connection: retention.sweep(connection, NOW)) == 0


def test_idempotency_keys_of_a_strategy_are_never_deleted(database: Database, writer: Writer) -> None:
    old = row(replies.c.created_at, 1, NOW - timedelta(days=1000)) | {"principal": "strategy:trend"}
    writer.run(lambda connection: connection.execute(insert(replies), old))
    assert writer.run(lambda connection: retention.sweep(connection, NOW)) == 0
    assert remaining(database, replies.c.created_at) == [old["created_at"]]


def test_many_expired_rows_are_deleted_in_batches(database: Database, writer: Writer) -> None:
    old = [NOW - timedelta(days=100)] * 450
    writer.run(lambda connection: add(connection, replies.c.created_at, *old))
    deleted = [writer.run(lambda connection: retention.sweep(connection, NOW)) for _ in range(4)]
    assert deleted == [200, 200, 50, 0]
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(replies)).scalar_one() == 0


def test_ledger_tables_have_no_retention() -> None:
    deleted = {column.table.name for column, _ in retention.KEPT}
    assert metadata.tables.keys() >= KEPT_FOREVER
    assert not deleted & KEPT_FOREVER
