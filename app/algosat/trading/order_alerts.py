"""Alerts about rejected orders: exits, and sliced entries that are incomplete."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import BindParameter, Connection, bindparam, or_, select, text

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import EventKind, Order, OrderEvent, Status
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.tables import LATER_SLICE, orders
from algosat.trading import alerts, exit_alerts
from algosat.trading.desk import Desk

_FIRST: Final[BindParameter[str]] = bindparam("first")
# The slices of an order have one time of creation: with it they are found in an index.
_SLICES = Prepared(
    select(orders.c.status, orders.c.quantity)
    .where(
        or_(
            orders.c.id == _FIRST,
            (orders.c.account == bindparam("account"))
            & (orders.c.created_at == bindparam("created_at"))
            & (orders.c.slice_of == _FIRST)
            & text(LATER_SLICE),
        )
    )
    .order_by(orders.c.seq)
)


def after_events(
    connection: Connection, desk: Desk, order: Order, events: Iterable[OrderEvent], cause: Cause
) -> None:
    """Alert about an order that was rejected, by the engine or by the broker, if a person must know."""
    exit_alerts.after_events(connection, desk, order, events, cause)
    if order.external or order.terms.reduce_only:
        return
    for event in events:
        if event.kind is EventKind.REJECTED:
            _alert_if_sliced(connection, desk, order, event, cause)


def _alert_if_sliced(
    connection: Connection, desk: Desk, order: Order, event: OrderEvent, cause: Cause
) -> None:
    first = order.terms.slice_of or order.id
    slices = _SLICES.all(connection, first=first, account=order.terms.account, created_at=order.created_at)
    if len(slices) == 1:
        return
    rejected = [each.quantity for each in slices if each.status == Status.REJECTED]
    detail = (
        f"{len(rejected)} of {len(slices)} slices were rejected, {sum(rejected)} of "
        f"{sum(each.quantity for each in slices)} {order.terms.symbol}: {event.reason or event.code}"
    )
    alerts.open_alert(connection, desk, AlertKind.ORDER_INCOMPLETE, first, cause, detail)
