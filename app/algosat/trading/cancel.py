"""Cancel orders: at once if they have not been sent, otherwise by a request that the engine sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from algosat.domain.orders import EventKind, Order, OrderEvent, PendingRequest, Status, may_happen
from algosat.errors import Conflict, IllegalTransition
from algosat.store import ledger, queries
from algosat.store.audit import Cause
from algosat.trading.desk import Desk

NOT_IN_BROKERS_BOOK: Final = "given up: the broker's book does not have it"


def cancel_order(desk: Desk, order_id: str, cause: Cause) -> Order:
    """Cancel an order, or request its cancel. A second request changes nothing.

    Raises NotFound, Conflict for an external order, and IllegalTransition for one that has ended.
    """
    order = desk.writer.run(
        lambda connection: request(connection, desk, ledger.get(connection, order_id), cause)
    )
    _notify(desk, [order])
    return order


def cancel_all(
    desk: Desk, cause: Cause, *, symbol: str | None = None, strategy: str | None = None
) -> list[Order]:
    """Cancel all working orders, or those of a symbol or strategy. External orders are left alone."""

    def chosen(order: Order) -> bool:
        return symbol in (None, order.terms.symbol) and strategy in (None, order.terms.strategy or "")

    orders = desk.writer.run(lambda connection: request_all(connection, desk, cause, chosen))
    _notify(desk, orders)
    return orders


def cancel_found(desk: Desk, cause: Cause, find: Callable[[Connection], Sequence[Order]]) -> None:
    """Cancel the orders that `find` returns.

    `find` runs once on a read connection and, only if it returns orders, again in the write.
    """
    with desk.database.read() as connection:
        if not find(connection):
            return
    _notify(
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
        # The broker's book does not have it. If it appears there later, the reconciler cancels it.
        return OrderEvent(EventKind.CANCELLED, at, reason=NOT_IN_BROKERS_BOOK)
    return OrderEvent(EventKind.CANCEL_REQUESTED, at)


def _notify(desk: Desk, orders: list[Order]) -> None:
    if orders:
        desk.wake_engine()
    for order in orders:
        desk.notify_web(order.id)
