"""The calls to a broker by account, day and kind, so that a restart does not reset what the broker counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import Connection, bindparam, select

from algosat.store.prepared import Prepared
from algosat.store.row_writes import replace_rows
from algosat.store.tables import broker_calls

_OF_A_DAY = Prepared(
    select(broker_calls.c.kind, broker_calls.c.number).where(
        broker_calls.c.account == bindparam("account"), broker_calls.c.day == bindparam("day")
    )
)


def read(connection: Connection, account: str, day: date) -> dict[str, int]:
    return {row.kind: row.number for row in _OF_A_DAY.all(connection, account=account, day=day)}


def write(connection: Connection, account: str, day: date, numbers: Mapping[str, int], at: datetime) -> None:
    rows = [
        {"account": account, "day": day, "kind": kind, "number": number, "at": at}
        for kind, number in numbers.items()
    ]
    replace_rows(broker_calls).run_each(connection, rows)
