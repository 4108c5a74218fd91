"""Modifying an order: whether it can be changed, and what the gate judges."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from algosat.domain import risk
from algosat.domain.orders import EventKind, Order, OrderChange, OrderTerms, OrderType, Status, may_happen
from algosat.domain.risk import Denial, RiskSnapshot, gate
from algosat.errors import Conflict, IllegalTransition


def require_changeable(order: Order, change: OrderChange, at: datetime) -> None:
    """Check that the order can be modified at this moment. The gate's checks are separate.

    Raises IllegalTransition or Conflict.
    """
    if order.external:
        raise Conflict(f"order {order.id} was placed elsewhere; change it there")
    if not order.waits(at) and not may_happen(order, EventKind.MODIFY_REQUESTED):
        raise IllegalTransition(f"order {order.id} is {order.status}: it cannot be changed now")
    if order.pending is not None:
        raise Conflict(f"order {order.id} is {order.pending}: wait for the broker's answer")
    if change.quantity <= order.filled_quantity:
        raise Conflict(
            f"{order.filled_quantity} of order {order.id} are filled already: ask for more, or cancel"
        )


def remaining_terms(order: Order, change: OrderChange) -> OrderTerms:
    """Return the new terms for the part of the order that is not filled yet."""
    return replace(_new_terms(order, change), quantity=change.quantity - order.filled_quantity)


def judge(
    remaining: OrderTerms, change: OrderChange, snapshot: RiskSnapshot | Denial
) -> OrderChange | Denial:
    """Return the change with its protection price, or the denial. The snapshot excludes the order itself."""
    remaining, denial = gate.judge(remaining, snapshot)
    if denial is None and isinstance(snapshot, RiskSnapshot):
        # The limits on an order's size apply to the whole quantity, the filled part included.
        denial = risk.first_size_denial(replace(remaining, quantity=change.quantity), snapshot)
    return denial or replace(change, protection_price=remaining.protection_price)


def _new_terms(order: Order, change: OrderChange) -> OrderTerms:
    """Return the order's new terms. A triggered stop is a limit or market order without a trigger."""
    terms = replace(order.terms, limit_price=change.limit_price, trigger_price=change.trigger_price)
    if order.status is Status.CREATED:
        return terms
    terms = terms.as_regular()
    if not terms.type.has_trigger or order.status is Status.TRIGGER_PENDING:
        return terms
    became = OrderType.LIMIT if terms.type.has_limit else OrderType.MARKET
    return replace(terms, type=became, trigger_price=None)
