"""The orders of each account that are under way: unknown, held back because of these, or not sent yet."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, func, or_, select, text

from algosat.domain.orders import Status
from algosat.store.prepared import Prepared
from algosat.store.tables import CREATED_STATUS, WORKING_STATUS, orders
from algosat.store.types import UtcTime

_KEY: Final = (orders.c.account, orders.c.strategy, orders.c.symbol)
_WORKING = Prepared(
    select(
        *_KEY, orders.c.status, func.count().label("number"), func.min(orders.c.updated_at).label("oldest")
    )
    .where(text(WORKING_STATUS))
    .group_by(*_KEY, orders.c.status)
)
_DUE_AT = func.coalesce(orders.c.send_at, orders.c.created_at)
_UNSENT = Prepared(
    select(*_KEY, orders.c.reduce_only, func.count().label("number"), func.min(_DUE_AT).label("oldest"))
    .where(
        text(CREATED_STATUS),
        orders.c.slice_of.is_(None),  # later slices wait for their turn
        or_(orders.c.send_at.is_(None), orders.c.send_at <= bindparam("at", type_=UtcTime)),
    )
    .group_by(*_KEY, orders.c.reduce_only)
)


@dataclass(slots=True)
class OrderBacklog:
    """The working orders of one account, by how far they are."""

    working: int = 0
    unknown: int = 0
    unknown_since: datetime | None = None  # of the oldest
    held_back: int = 0  # entries that wait until the outcome of an unknown order is known
    unsent_since: datetime | None = None  # when the oldest order was due that is not sent yet


def order_backlogs(connection: Connection, at: datetime) -> dict[str, OrderBacklog]:
    """Return the backlog of each account that has one."""
    found: dict[str, OrderBacklog] = defaultdict(OrderBacklog)
    blocked = set()
    for row in _WORKING.all(connection):
        backlog = found[row.account]
        backlog.working += row.number
        if row.status == Status.UNKNOWN:
            backlog.unknown += row.number
            backlog.unknown_since = min(row.oldest, backlog.unknown_since or row.oldest)
            blocked.add((row.account, row.strategy, row.symbol))
    for row in _UNSENT.all(connection, at=at):
        backlog = found[row.account]
        backlog.unsent_since = min(row.oldest, backlog.unsent_since or row.oldest)
        if not row.reduce_only and (row.account, row.strategy, row.symbol) in blocked:
            backlog.held_back += row.number
    return found
