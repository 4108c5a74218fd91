"""Cancelling: at once while an order has not left, else as a wish the engine carries out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from algosat.domain.orders import EventKind, Order, OrderEvent, PendingRequest, Status, may_happen
from algosat.errors import Conflict, IllegalTransition
from algosat.store import ledger, queries
from algosat.store.audit import Cause
from algosat.trading.desk import Desk

NOT_THERE: Final = "given up: the broker's book does not have it"


def cancel_order(desk: Desk, order_id: str, cause: Cause) -> Order:
    """Cancel an order, or ask for it. To ask again changes nothing.

    Raises NotFound, Conflict for an order that was placed elsewhere, IllegalTransition for one at its end.
    """
    order = desk.writer.run(
        lambda connection: request(connection, desk, ledger.get(connection, order_id), cause)
    )
    _tell(desk, [order])
    return order


def cancel_all(
    desk: Desk, cause: Cause, *, symbol: str | None = None, strategy: str | None = None
) -> list[Order]:
    """Cancel every working order, or those of a symbol or strategy. Those placed elsewhere stay."""

    def chosen(order: Order) -> bool:
        return symbol in (None, order.terms.symbol) and strategy in (None, order.terms.strategy or "")

    orders = desk.writer.run(lambda connection: request_all(connection, desk, cause, chosen))
    _tell(desk, orders)
    return orders


def cancel_found(desk: Desk, cause: Cause, find: Callable[[Connection], Sequence[Order]]) -> None:
    """Cancel what `find` finds. Mostly it is nothing, and nothing is written then; what has changed between
    the look and the write is looked at again."""
    with desk.database.read() as connection:
        if not find(connection):
            return
    _tell(
        desk,
        desk.writer.run(
            lambda connection: [request(connection, desk, order, cause) for order in find(connection)]
        ),
    )


def request_all(
    connection: Connection, desk: Desk, cause: Cause, chosen: Callable[[Order], bool]
) -> list[Order]:
    working = queries.working(connection, desk.account)
    return [
        request(connection, desk, order, cause) for order in working if not order.external and chosen(order)
    ]


def request(connection: Connection, desk: Desk, order: Order, cause: Cause) -> Order:
    if order.external:
        raise Conflict(f"order {order.id} was placed elsewhere; cancel it there")
    if order.pending is PendingRequest.PENDING_CANCEL:
        return order
    if not may_happen(order, EventKind.CANCELLED):
        raise IllegalTransition(f"order {order.id} is {order.status}: there is nothing left to cancel")
    return ledger.record(connection, order, _event(desk, order), cause, desk.books)


def _event(desk: Desk, order: Order) -> OrderEvent:
    at = desk.clock()
    if order.status is Status.CREATED:
        return OrderEvent(EventKind.CANCELLED, at, reason="cancelled before it was sent")
    if order.status is Status.NOT_FOUND:
        # Sought in vain in the broker's book; should it turn up after all, the reconciler cancels it there.
        return OrderEvent(EventKind.CANCELLED, at, reason=NOT_THERE)
    return OrderEvent(EventKind.CANCEL_REQUESTED, at)


def _tell(desk: Desk, orders: list[Order]) -> None:
    if orders:
        desk.wake_engine()
    for order in orders:
        desk.notify_web(order.id)
