"""The state machine of an order: the states in which each event is allowed, and the state it leads to.

Transitions that the two tables do not name are illegal.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from algosat.domain.orders.events import EventKind, OrderEvent
from algosat.domain.orders.order import LIVE, TERMINAL, WORKING, Order, PendingRequest, Status
from algosat.domain.orders.terms import OrderChange, OrderTerms, Trade
from algosat.errors import IllegalTransition, Overfill

_S, _E = Status, EventKind
_ANY_SENT = frozenset(
    {_S.SUBMITTING, _S.OPEN, _S.TRIGGER_PENDING, _S.PARTIALLY_FILLED, _S.UNKNOWN, _S.NOT_FOUND}
)

# The states in which each event is allowed. `_next_status` gives the state it leads to.
ALLOWED: Final[dict[EventKind, frozenset[Status]]] = {
    _E.DENIED: frozenset({_S.CREATED}),
    _E.SUBMITTING: frozenset({_S.CREATED}),
    # The broker has taken the order and says no more: it may still reject it, so the status stays.
    _E.ACKNOWLEDGED: frozenset({_S.SUBMITTING, _S.UNKNOWN}),
    # From unknown and not_found: the order appeared in the broker's book later.
    _E.ACCEPTED: frozenset({_S.SUBMITTING, _S.UNKNOWN, _S.NOT_FOUND}),
    _E.TRIGGERED: frozenset({_S.TRIGGER_PENDING}),
    # From created: it could not be sent before its deadline. From live states: exchanges do revoke an
    # acceptance.
    _E.REJECTED: _ANY_SENT | {_S.CREATED},
    _E.UNCERTAIN: frozenset({_S.SUBMITTING}),
    _E.NOT_FOUND: frozenset({_S.UNKNOWN}),
    # Trades are the truth. A fill may overtake its acknowledgement (submitting, unknown, not_found) or a lost
    # trigger update (trigger_pending), and arrive after any final state: a cancel that crossed it.
    _E.FILLED: _ANY_SENT | {_S.CANCELLED, _S.EXPIRED, _S.REJECTED},
    # An inferred fill, once the broker states the trades themselves: these follow in the same unit of work.
    _E.TRADE_CANCELLED: LIVE | {_S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.REJECTED},
    # From created: cancelled by us before it was sent.
    _E.CANCELLED: _ANY_SENT | {_S.CREATED},
    _E.EXPIRED: _ANY_SENT | {_S.CREATED},
    _E.MODIFY_REQUESTED: LIVE,
    # From created: an order that waits for its market to open is modified here, not at the broker.
    _E.MODIFIED: LIVE | {_S.CREATED},
    _E.MODIFY_FAILED: LIVE,
    # Also while submitting or unknown: the request is kept, and sent once the order is acknowledged.
    _E.CANCEL_REQUESTED: _ANY_SENT,
    _E.CANCEL_FAILED: _ANY_SENT,
}

_LEADS_TO: Final[dict[EventKind, Status]] = {
    _E.DENIED: _S.DENIED,
    _E.SUBMITTING: _S.SUBMITTING,
    _E.TRIGGERED: _S.OPEN,
    _E.REJECTED: _S.REJECTED,
    _E.UNCERTAIN: _S.UNKNOWN,
    _E.NOT_FOUND: _S.NOT_FOUND,
    _E.CANCELLED: _S.CANCELLED,
    _E.EXPIRED: _S.EXPIRED,
}


def create(order_id: str, terms: OrderTerms, at: datetime, *, external: bool = False) -> Order:
    return Order(id=order_id, terms=terms, created_at=at, updated_at=at, external=external)


def may_happen(order: Order, kind: EventKind) -> bool:
    return order.status in ALLOWED.get(kind, frozenset())


def apply(order: Order, event: OrderEvent) -> Order:
    """Return the order after the event. The ledger ensures that no trade is applied twice: it knows all ids.

    Raises IllegalTransition where the table does not allow it, and Overfill when a trade would
    take the order past its quantity.
    """
    if not may_happen(order, event.kind):
        raise IllegalTransition(f"order {order.id} is {order.status}: {event.kind} is not allowed now")
    changed = order
    if event.kind in (_E.FILLED, _E.TRADE_CANCELLED):
        changed = _with_trade(order, event.trade)
    elif event.kind is _E.MODIFIED:
        changed = _with_change(order, event.change or order.pending_change)
    status = _next_status(changed, event)
    return replace(
        changed,
        updated_at=max(order.updated_at, event.at),
        version=order.version + 1,
        status=status,
        pending=_next_pending(changed, event, status),
        pending_change=_next_change(changed, event, status),
        broker_order_id=event.broker_order_id or order.broker_order_id,
        code=event.code or order.code,
        reason=event.reason or order.reason,
    )


def _with_trade(order: Order, trade: Trade | None) -> Order:
    if trade is None:
        raise IllegalTransition(f"order {order.id}: a fill without a trade")
    if trade.quantity > order.remaining_quantity:
        raise Overfill(
            f"order {order.id}: trade {trade.id} of {trade.quantity} exceeds the "
            f"{order.remaining_quantity} left"
        )
    return replace(
        order,
        filled_quantity=order.filled_quantity + trade.quantity,
        filled_value=order.filled_value + trade.quantity * trade.price,
    )


def _with_change(order: Order, change: OrderChange | None) -> Order:
    if change is None:
        return order
    # A fill may have overtaken the change: the quantity never falls below the filled quantity.
    quantity = max(change.quantity, order.filled_quantity)
    return replace(order, terms=replace(change.applied_to(order.terms), quantity=quantity))


def _next_status(order: Order, event: OrderEvent) -> Status:
    if event.kind is _E.ACCEPTED:
        if order.filled_quantity:
            return _S.PARTIALLY_FILLED
        return _S.TRIGGER_PENDING if order.terms.type.has_trigger else _S.OPEN
    if event.kind is _E.TRADE_CANCELLED:
        if order.status not in (_S.FILLED, _S.PARTIALLY_FILLED):
            return order.status
        return _S.PARTIALLY_FILLED if order.filled_quantity else _S.OPEN
    if event.kind in (_E.FILLED, _E.MODIFIED):
        if order.remaining_quantity == 0:
            return _S.FILLED
        if event.kind is _E.MODIFIED or order.status in TERMINAL:
            return order.status  # a late fill after a final state counts, but does not revive the order
        return _S.PARTIALLY_FILLED
    return _LEADS_TO.get(event.kind, order.status)


def _next_pending(order: Order, event: OrderEvent, status: Status) -> PendingRequest | None:
    if event.kind is _E.MODIFY_REQUESTED:
        return PendingRequest.PENDING_MODIFY
    if event.kind is _E.CANCEL_REQUESTED:
        return PendingRequest.PENDING_CANCEL  # a cancel takes precedence over a change under way
    if event.kind in (_E.MODIFIED, _E.MODIFY_FAILED) and order.pending is PendingRequest.PENDING_CANCEL:
        return order.pending
    if event.kind is _E.CANCEL_FAILED and order.pending_change is not None:
        return PendingRequest.PENDING_MODIFY  # the change that the cancel preceded is still unanswered
    if event.kind in (_E.MODIFIED, _E.MODIFY_FAILED, _E.CANCEL_FAILED):
        return None
    return order.pending if status in WORKING else None


def _next_change(order: Order, event: OrderEvent, status: Status) -> OrderChange | None:
    if event.kind is _E.MODIFY_REQUESTED:
        return event.change
    if event.kind in (_E.MODIFIED, _E.MODIFY_FAILED) or status in TERMINAL:
        return None
    return order.pending_change
