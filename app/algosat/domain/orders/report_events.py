"""The events that follow from a broker's report of an order.

Reports may come twice, late and out of order, so only progress is taken from them: trades count once by their
ids, and a final state stays final (but a late trade still counts). The terms in a report count only if they
answer a change under way, or if the report was read from the broker's book after our last update.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from algosat.domain.orders import (
    LIVE,
    TERMINAL,
    EventKind,
    Order,
    OrderChange,
    OrderEvent,
    PendingRequest,
    Status,
    Trade,
    apply,
    may_happen,
)
from algosat.domain.orders.report import OrderReport

REJECTED: Final = "broker_rejected"

_UNCONFIRMED: Final = frozenset({Status.SUBMITTING, Status.UNKNOWN, Status.NOT_FOUND})
_ENDS: Final = {
    Status.CANCELLED: EventKind.CANCELLED,
    Status.EXPIRED: EventKind.EXPIRED,
    Status.REJECTED: EventKind.REJECTED,
}


@dataclass(slots=True)
class ReportEvents:
    """The events in sequence, the order they lead to, and the trades that would overfill it."""

    order: Order
    at: datetime
    events: list[OrderEvent] = field(default_factory=list)
    overfills: list[Trade] = field(default_factory=list)

    def add(
        self,
        kind: EventKind,
        *,
        code: str | None = None,
        reason: str | None = None,
        broker_order_id: str | None = None,
        change: OrderChange | None = None,
        trade: Trade | None = None,
    ) -> None:
        event = OrderEvent(kind, self.at, code, reason, broker_order_id, change, trade)
        self.order = apply(self.order, event)
        self.events.append(event)


def events_from(
    order: Order, report: OrderReport, known_trades: AbstractSet[str], at: datetime, *, fresh: bool = False
) -> ReportEvents:
    """Return the events that follow from a report, given the ids of the trades already booked.

    `fresh`: the report was read from the broker's book after the last change of the order was stored.
    """
    outcome = ReportEvents(order, at)
    _confirm(outcome, report)
    _trigger(outcome, report)
    _change(outcome, report, fresh=fresh)
    _adopt_larger_quantity(outcome, report)
    _fill(outcome, report.trades, known_trades)
    _adopt_smaller_quantity(outcome, report)
    _end(outcome, report)
    return outcome


def _confirm(outcome: ReportEvents, report: OrderReport) -> None:
    if outcome.order.status is Status.CREATED:
        # Happens only to imported orders, and after the store was restored to an earlier moment.
        outcome.add(EventKind.SUBMITTING, reason="found in the broker's book")
    if outcome.order.status in _UNCONFIRMED and report.status is not Status.REJECTED:
        outcome.add(EventKind.ACCEPTED, broker_order_id=report.broker_order_id)


def _trigger(outcome: ReportEvents, report: OrderReport) -> None:
    if outcome.order.status is Status.TRIGGER_PENDING and report.status is Status.OPEN:
        outcome.add(EventKind.TRIGGERED)


def _change(outcome: ReportEvents, report: OrderReport, *, fresh: bool) -> None:
    order = outcome.order
    if order.status not in LIVE:
        return
    if order.pending_change is not None:
        if _terms(report, order) == order.pending_change:
            outcome.add(EventKind.MODIFIED)
    elif (
        fresh
        and order.pending is None
        and report.status in LIVE
        and _terms(report, order) != _own_terms(order)
    ):
        _adopt_terms(outcome, report)


def _adopt_larger_quantity(outcome: ReportEvents, report: OrderReport) -> None:
    """Adopt a larger quantity of the broker's once our quantity is filled.

    The broker made a change that we gave up on, or that was requested elsewhere. Its trades prove it, however
    the report came.
    """
    order, traded = outcome.order, sum(trade.quantity for trade in report.trades)
    if (
        order.status in LIVE
        and order.terms.quantity <= traded <= report.terms.quantity != order.terms.quantity
    ):
        _adopt_terms(outcome, report)


def _adopt_smaller_quantity(outcome: ReportEvents, report: OrderReport) -> None:
    """Adopt a smaller quantity of the broker's once the broker reports the order filled at it."""
    order = outcome.order
    if (
        order.status in LIVE
        and report.status is Status.FILLED
        and order.filled_quantity == report.terms.quantity < order.terms.quantity
    ):
        _adopt_terms(outcome, report)


def _adopt_terms(outcome: ReportEvents, report: OrderReport) -> None:
    """Adopt the broker's terms; a cancel under way stays requested."""
    order = outcome.order
    change = _terms(report, order)
    outcome.add(EventKind.MODIFY_REQUESTED, change=change, reason="changed at the broker")
    outcome.add(EventKind.MODIFIED)
    if order.pending is PendingRequest.PENDING_CANCEL and outcome.order.status in LIVE:
        outcome.add(EventKind.CANCEL_REQUESTED)


def _fill(outcome: ReportEvents, trades: Iterable[Trade], known: AbstractSet[str]) -> None:
    seen = set(known)
    for trade in trades:
        if trade.id in seen:
            continue
        seen.add(trade.id)
        if trade.quantity > outcome.order.remaining_quantity:
            outcome.overfills.append(trade)
        elif may_happen(outcome.order, EventKind.FILLED):
            outcome.add(EventKind.FILLED, trade=trade)


def _end(outcome: ReportEvents, report: OrderReport) -> None:
    order, kind = outcome.order, _ENDS.get(report.status)
    if kind is None or order.status in TERMINAL:
        return
    code = REJECTED if kind is EventKind.REJECTED else None
    broker_order_id = report.broker_order_id if order.broker_order_id is None else None
    outcome.add(kind, code=code, reason=report.reason, broker_order_id=broker_order_id)


def _terms(report: OrderReport, order: Order) -> OrderChange:
    """Return the report's terms where the order's type has them; brokers fill in the others freely."""
    wanted = order.pending_change or _own_terms(order)
    terms = report.terms
    waits = order.status is Status.TRIGGER_PENDING
    return OrderChange(
        quantity=terms.quantity,
        limit_price=terms.limit_price if order.terms.type.has_limit else wanted.limit_price,
        trigger_price=terms.trigger_price if waits else wanted.trigger_price,
        protection_price=wanted.protection_price,
    )


def _own_terms(order: Order) -> OrderChange:
    terms = order.terms
    return OrderChange(terms.quantity, **terms.prices)
