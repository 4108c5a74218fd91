"""Changing an order that the broker has: judged like a new one, carried out by the engine."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from algosat.domain import risk
from algosat.domain.orders import (
    EventKind,
    ModifyRequest,
    Order,
    OrderChange,
    OrderEvent,
    OrderTerms,
    OrderType,
    Status,
    may_happen,
)
from algosat.domain.risk import Denial, RiskSnapshot
from algosat.errors import Conflict, Denied, IllegalTransition
from algosat.store import audit, ledger
from algosat.store.audit import Cause
from algosat.trading import place, risk_snapshot
from algosat.trading.desk import Desk


def modify_order(desk: Desk, order_id: str, revision: ModifyRequest, cause: Cause) -> Order:
    """Ask for an order's new terms. They hold once the broker has confirmed them.

    Raises NotFound, IllegalTransition or Conflict when the order cannot be changed now, Denied when the gate
    says no; then the order stays as it is.
    """

    def unit(connection: Connection) -> Order | Denial:
        order = ledger.get(connection, order_id)
        outcome = _request(connection, desk, order, revision.of(order.terms), cause)
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
    connection: Connection, desk: Desk, order: Order, change: OrderChange, cause: Cause
) -> Order | Denial:
    require_changeable(order, change)
    left = what_is_left(order, change)
    snapshot = risk_snapshot.read_snapshot(connection, desk, left, desk.clock(), replacing=order.id)
    outcome = judge(left, change, snapshot)
    if isinstance(outcome, Denial):
        return outcome
    event = OrderEvent(EventKind.MODIFY_REQUESTED, desk.clock(), change=outcome)
    return ledger.record(connection, order, event, cause, desk.books)


def require_changeable(order: Order, change: OrderChange) -> None:
    """Raises IllegalTransition or Conflict when the order cannot be changed so, whatever the gate says."""
    if order.external:
        raise Conflict(f"order {order.id} was placed elsewhere; change it there")
    if not may_happen(order, EventKind.MODIFY_REQUESTED):
        raise IllegalTransition(f"order {order.id} is {order.status}: it cannot be changed now")
    if order.pending is not None:
        raise Conflict(f"order {order.id} is {order.pending}: wait for the broker's answer")
    if change.quantity <= order.filled_quantity:
        raise Conflict(
            f"{order.filled_quantity} of order {order.id} are filled already: ask for more, or cancel"
        )


def what_is_left(order: Order, change: OrderChange) -> OrderTerms:
    """What still has to trade of the order under its new terms."""
    return replace(_as_it_stands(order, change), quantity=change.quantity - order.filled_quantity)


def judge(left: OrderTerms, change: OrderChange, snapshot: RiskSnapshot | Denial) -> OrderChange | Denial:
    """The change with its protection price, or why it may not be. The picture is without the order itself."""
    left, denial = place.judge(left, snapshot)
    if denial is None and isinstance(snapshot, RiskSnapshot):
        # What is filled already makes the order no smaller than it is.
        denial = risk.judge_size(replace(left, quantity=change.quantity), snapshot)
    return denial or replace(change, protection_price=left.protection_price)


def _as_it_stands(order: Order, change: OrderChange) -> OrderTerms:
    """The order's new terms. A stop that has triggered is what it became, and has no trigger any more."""
    terms = replace(order.terms, limit_price=change.limit_price, trigger_price=change.trigger_price)
    if not terms.type.has_trigger or order.status is Status.TRIGGER_PENDING:
        return terms
    became = OrderType.LIMIT if terms.type.has_limit else OrderType.MARKET
    return replace(terms, type=became, trigger_price=None)
