"""Cancel orders: at once if they have not been sent, otherwise by a request that the engine sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection

from algosat.clock import has_come
from algosat.domain.linked_exits import ExitOutcome, LinkedExit
from algosat.domain.orders import EventKind, Order, OrderEvent, PendingRequest, Status, may_happen
from algosat.domain.reason_codes import EngineCode
from algosat.errors import Conflict, IllegalTransition, StoreBusy, StoreDamaged
from algosat.store import ledger, linked_exits, queries
from algosat.store.audit import Cause
from algosat.store.emergency_journal import RecordKind
from algosat.trading.desk import Desk

_log = structlog.get_logger(__name__)

EMERGENCY_AFTER: Final = 2.0  # seconds that the store has to take a halt or cancel before it is recorded
_MIN_WAIT: Final = timedelta(seconds=5)
_MAX_WAIT: Final = timedelta(seconds=30)
NOT_IN_BROKERS_BOOK: Final = "given up: the broker's book does not have it"


def cancel_order(desk: Desk, order_id: str, cause: Cause) -> Order:
    """Cancel an order, or request its cancel. A second request changes nothing.

    Cancelling an order of an OCO pair, or an exit of a bracket, cancels the whole linked exit. The id may be
    that of an order that has been replaced since; the present order is returned.

    A cancel that the store refuses is recorded in the emergency journal, and sent by the engine.

    Raises NotFound, Conflict for an external order, and IllegalTransition for one that has ended.
    """

    try:
        order = desk.writer.run(
            lambda connection: request_of(connection, desk, order_id, cause), timeout=EMERGENCY_AFTER
        )
    except (StoreBusy, StoreDamaged) as error:
        order = _record_cancel(desk, order_id, cause, error)
    _notify(desk, [order])
    return order


def cancel_all(
    desk: Desk, cause: Cause, *, symbol: str | None = None, strategy: str | None = None
) -> list[Order]:
    """Cancel all working orders, or those of a symbol or strategy. External orders are left alone.

    Cancels that the store refuses are recorded in the emergency journal, and sent by the engine.
    """
    chosen = selection(symbol, strategy)
    try:
        orders = desk.writer.run(
            lambda connection: request_all(connection, desk, cause, chosen), timeout=EMERGENCY_AFTER
        )
    except (StoreBusy, StoreDamaged) as error:
        if desk.journal is None:
            raise
        with desk.database.read() as connection:
            found = [each for each in queries.working(connection, desk.account) if not each.external]
        data = {"account": desk.account, "symbol": symbol, "strategy": strategy}
        _log.error("cancel_refused_by_the_store", exc_info=error)
        desk.journal.append(RecordKind.CANCEL_ALL, desk.clock(), cause, data)
        orders = [_pending(order) for order in found if chosen(order)]
    _notify(desk, orders)
    return orders


def selection(symbol: str | None, strategy: str | None) -> Callable[[Order], bool]:
    """Return the function that says whether an order is of the symbol and strategy; None: of any."""

    def chosen(order: Order) -> bool:
        return symbol in (None, order.terms.symbol) and strategy in (None, order.terms.strategy or "")

    return chosen


def _record_cancel(desk: Desk, order_id: str, cause: Cause, refusal: Exception) -> Order:
    """Record a cancel that the store has refused. Raises what `cancel_order` raises."""
    if desk.journal is None:
        raise refusal
    with desk.database.read() as connection:
        order = ledger.get(connection, order_id)
        linked = _continues(connection, order)
        if linked is not None and linked.order_id is not None:
            order = ledger.get(connection, linked.order_id)
    if linked is None or order.is_working:
        require_cancellable(order)
    _log.error("cancel_refused_by_the_store", exc_info=refusal)
    desk.journal.append(RecordKind.CANCEL, desk.clock(), cause, {"order": order.id})
    return _pending(order)


def _pending(order: Order) -> Order:
    """Return the order as it will be once the store has taken the request."""
    return replace(order, pending=PendingRequest.PENDING_CANCEL)


def require_cancellable(order: Order) -> None:
    """Raise Conflict for an external order, and IllegalTransition for one that has ended."""
    if order.external:
        raise Conflict(f"order {order.id} was placed elsewhere; cancel it there")
    if not may_happen(order, EventKind.CANCELLED):
        raise IllegalTransition(f"order {order.id} is {order.status}: there is nothing left to cancel")


def cancel_found(
    desk: Desk, cause: Cause, find: Callable[[Connection], Sequence[Order]], *, keeps_link: bool = False
) -> None:
    """Cancel the orders that `find` returns.

    `find` runs once on a read connection and, only if it returns orders, again in the write. `keeps_link` is
    that of `request`.
    """
    with desk.database.read() as connection:
        if not find(connection):
            return
    _notify(
        desk,
        desk.writer.run(
            lambda connection: [
                request(connection, desk, order, cause, keeps_link=keeps_link) for order in find(connection)
            ]
        ),
    )


def request_all(
    connection: Connection, desk: Desk, cause: Cause, chosen: Callable[[Order], bool]
) -> list[Order]:
    working = queries.working(connection, desk.account)
    cancelled = [
        request(connection, desk, order, cause) for order in working if not order.external and chosen(order)
    ]
    for each in linked_exits.active(connection, desk.account):
        # A linked exit that is between two orders would otherwise place the next one.
        last = ledger.get(connection, each.order_id) if each.order_id else None
        if last is not None and not last.is_working and chosen(last):
            linked_exits.end(connection, each, ExitOutcome.CANCELLED, desk.clock(), cause)
    return cancelled


def request(
    connection: Connection, desk: Desk, order: Order, cause: Cause, *, keeps_link: bool = False
) -> Order:
    """Request a cancel within the caller's unit of work.

    The cancel of a stop or target ends its linked exit, so that the engine places no new stop: a cancel or a
    close has precedence. With `keeps_link` the linked exit continues with what is left.
    """
    if not keeps_link and order.terms.reduce_only:
        linked = linked_exits.of_order(connection, order.id)
        if linked is not None:
            linked_exits.end(connection, linked, ExitOutcome.CANCELLED, desk.clock(), cause)
    if order.pending is PendingRequest.PENDING_CANCEL and not order.external:
        return order
    require_cancellable(order)
    return ledger.record(connection, order, _event(desk, order), cause, desk.books)


def request_of(connection: Connection, desk: Desk, order_id: str, cause: Cause) -> Order:
    """Request the cancel of the order with this id, or of the one that has replaced it.

    It happens within the caller's unit of work. Raises what `cancel_order` raises.
    """
    order = ledger.get(connection, order_id)
    linked = _continues(connection, order)
    if linked is None or linked.order_id is None:
        return request(connection, desk, order, cause)
    present = ledger.get(connection, linked.order_id)
    if present.is_working:
        return request(connection, desk, present, cause)
    linked_exits.end(connection, linked, ExitOutcome.CANCELLED, desk.clock(), cause)
    return present


def _continues(connection: Connection, order: Order) -> LinkedExit | None:
    """Return the linked exit that goes on although this order of it has ended; None without one."""
    if order.is_working or not order.terms.reduce_only:
        return None
    linked = linked_exits.of_order(connection, order.id)
    return linked if linked is not None and linked.is_active and linked.order_id is not None else None


def is_due(order: Order, since: datetime, now: datetime) -> bool:
    """Whether to request a cancel that has been wanted since `since` and may have been refused.

    The wait equals the time the broker has refused for, within bounds: a passing refusal costs
    seconds, and a lasting one does not become thousands of requests a day.
    """
    if order.code != EngineCode.CANCEL_REFUSED or order.updated_at <= since:
        return True
    wait = min(max(order.updated_at - since, _MIN_WAIT), _MAX_WAIT)
    return has_come(order.updated_at + wait, now, within=_MAX_WAIT)


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
