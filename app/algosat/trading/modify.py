"""Changing an order that the broker has: judged like a new one, carried out by the engine."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from algosat.domain.orders import (
    Change,
    EventKind,
    Intent,
    Order,
    OrderEvent,
    OrderType,
    Status,
    may_happen,
)
from algosat.domain.risk import Denial, prices
from algosat.errors import Conflict, Denied, IllegalTransition
from algosat.store import audit, ledger
from algosat.store.audit import Cause
from algosat.trading import place, sight
from algosat.trading.desk import Desk


def modify(desk: Desk, order_id: str, change: Change, cause: Cause) -> Order:
    """Ask for an order's new terms, all of them. They hold once the broker has confirmed them.

    Raises NotFound, IllegalTransition or Conflict when the order cannot be changed now, Denied when the gate
    says no; then the order stays as it is.
    """

    def unit(connection: Connection) -> Order | Denial:
        order = ledger.get(connection, order_id)
        outcome = _request(connection, desk, order, change, cause)
        if isinstance(outcome, Denial):
            audit.append(
                connection,
                desk.clock(),
                "risk.change_denied",
                order.id,
                cause,
                {"code": outcome.code, "reason": outcome.detail},
            )
        return outcome

    outcome = desk.writer.run(unit)
    if isinstance(outcome, Denial):
        raise Denied(outcome.detail, code=outcome.code)
    desk.wake_engine()
    desk.tell_web(order_id)
    return outcome


def _request(
    connection: Connection, desk: Desk, order: Order, change: Change, cause: Cause
) -> Order | Denial:
    if order.external:
        raise Conflict(f"order {order.id} was placed elsewhere; change it there")
    if not may_happen(order, EventKind.MODIFY_REQUESTED):
        raise IllegalTransition(f"order {order.id} is {order.status}: it cannot be changed now")
    if order.overlay is not None:
        raise Conflict(f"order {order.id} is {order.overlay}: wait for the broker's answer")
    if change.quantity <= order.filled_quantity:
        raise Conflict(
            f"{order.filled_quantity} of order {order.id} are filled already: ask for more, or cancel"
        )
    judged, denial = _judge(connection, desk, order, change)
    if denial is not None:
        return denial
    event = OrderEvent(
        EventKind.MODIFY_REQUESTED,
        desk.clock(),
        change=replace(change, protection_price=judged.protection_price),
    )
    return ledger.record(connection, order, event, cause, desk.books)


def _judge(connection: Connection, desk: Desk, order: Order, change: Change) -> tuple[Intent, Denial | None]:
    """What is left of the order under its new terms, and why it may not be so, if it may not."""
    left = replace(_as_it_stands(order, change), quantity=change.quantity - order.filled_quantity)
    picture = sight.see(connection, desk, left, desk.clock(), replacing=order.id)
    left, denial = place.judge(left, picture)
    if denial is None and not isinstance(picture, Denial):
        whole = replace(left, quantity=change.quantity)
        denial = prices.quantity_is_not_frozen(whole, picture)
    return left, denial


def _as_it_stands(order: Order, change: Change) -> Intent:
    """The order's new terms. A stop that has triggered is what it became, and has no trigger any more."""
    terms = replace(order.intent, limit_price=change.limit_price, trigger_price=change.trigger_price)
    if not terms.type.has_trigger or order.status is Status.TRIGGER_PENDING:
        return terms
    became = OrderType.LIMIT if terms.type.has_limit else OrderType.MARKET
    return replace(terms, type=became, trigger_price=None)
