"""The calls to a broker by account, day and kind, so that a restart does not reset what the broker counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, bindparam, func, or_, select

from algosat.domain.orders import Status
from algosat.store.prepared import Prepared
from algosat.store.row_writes import replace_rows
from algosat.store.tables import broker_calls, orders

_OF_A_DAY = Prepared(
    select(broker_calls.c.kind, broker_calls.c.number).where(
        broker_calls.c.account == bindparam("account"), broker_calls.c.day == bindparam("day")
    )
)


def read(connection: Connection, account: str, day: date) -> dict[str, int]:
    return {row.kind: row.number for row in _OF_A_DAY.all(connection, account=account, day=day)}


def orders_sent_since(connection: Connection, account: str, since: datetime) -> Sequence[datetime]:
    """Return the times of the orders sent since then. They come from the ledger, which misses none."""
    sent_at = func.coalesce(orders.c.send_at, orders.c.created_at)
    statement = select(sent_at).where(
        or_(orders.c.created_at >= since, orders.c.send_at >= since),
        orders.c.account == account,
        orders.c.status.not_in((Status.CREATED.value, Status.DENIED.value)),
        ~orders.c.external,
    )
    return connection.execute(statement).scalars().all()


def write(connection: Connection, account: str, day: date, numbers: Mapping[str, int], at: datetime) -> None:
    rows = [
        {"account": account, "day": day, "kind": kind, "number": number, "at": at}
        for kind, number in numbers.items()
    ]
    replace_rows(broker_calls).run_each(connection, rows)
