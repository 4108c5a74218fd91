"""Earlier states of orders, replayed from their events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from algosat.domain.orders import UNCERTAIN, EventKind, Order, apply, create
from algosat.errors import NotFound
from algosat.store import fallbacks, ledger
from algosat.store.prepared import Prepared
from algosat.store.rows import event_from, terms_from
from algosat.store.tables import events

_BEFORE_A_REPORT: Final = (EventKind.CREATED, EventKind.SUBMITTING, EventKind.ACKNOWLEDGED)
_EVENTS = Prepared(
    select(events.c.at, events.c.kind, events.c.data)
    .where(events.c.subject == bindparam("order_id"), fallbacks.is_of_order())
    .order_by(events.c.seq)
)
_REPORTED_AT = Prepared(
    select(events.c.at)
    .where(
        events.c.subject == bindparam("order_id"),
        fallbacks.is_of_order(),
        *(events.c.kind != kind.value for kind in _BEFORE_A_REPORT),
    )
    .distinct()
)


def number_of(connection: Connection, order_id: str, kind: EventKind) -> int:
    """Return how many events of a kind the order has."""
    return int(_number_of(kind).scalar(connection, order_id=order_id))


@cache
def _number_of(kind: EventKind) -> Prepared:
    is_of_order = events.c.subject == bindparam("order_id")
    return Prepared(select(func.count()).where(is_of_order, fallbacks.is_of_kind(kind)))


def at_version(connection: Connection, order_id: str, version: int) -> Order:
    """Return the order at this version. Raises NotFound if there is none."""
    for order, _ in _steps(connection, order_id):
        if order.version == version:
            return order
    raise NotFound(f"there is no version {version} of order {order_id}")


def as_acknowledged(connection: Connection, order_id: str) -> Order | None:
    """Return the order after its first order report; None if none has arrived.

    All events of one report have the same time. An outcome that is not known is no report.
    """
    if len(_REPORTED_AT.all(connection, order_id=order_id)) == 1:  # no event since: no need to replay
        order = ledger.get(connection, order_id)
        return order if _is_answered(order) else None
    found: tuple[Order, datetime] | None = None
    for order, at in _steps(connection, order_id):
        if found is not None and at != found[1]:
            break
        if _is_answered(order):
            found = order, at
    return None if found is None else found[0]


def _is_answered(order: Order) -> bool:
    return order.is_acknowledged and order.status not in UNCERTAIN


def _steps(connection: Connection, order_id: str) -> Iterator[tuple[Order, datetime]]:
    """Yield the order after each of its events, and the time of the event."""
    order: Order | None = None
    for row in _EVENTS.all(connection, order_id=order_id):
        if order is not None:
            order = apply(order, event_from(row.kind, row.at, row.data))
        elif row.kind == EventKind.CREATED:  # an external order has an earlier event
            order = create(order_id, terms_from(row.data), row.at, external=row.data["external"])
        if order is not None:
            yield order, row.at
