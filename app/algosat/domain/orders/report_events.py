"""What a broker's report means for an order: the events it leads to.

Reports may come twice, late and out of order, so the merge only ever moves forward: trades are
counted by their ids, an end is an end (but a late trade still counts), and what a report says of
the terms is believed only of a change we are waiting for, or when it was read afresh.
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
    """The events in their order, the order they lead to, and the trades that would overfill it."""

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
    """What follows from a report for an order whose trades with these ids are booked already.

    `fresh` says that the report was read from the broker's book after everything we know of the
    order had been written.
    """
    settlement = ReportEvents(order, at)
    _confirm(settlement, report)
    _trigger(settlement, report)
    _change(settlement, report, fresh=fresh)
    _outgrow(settlement, report)
    _fill(settlement, report.trades, known_trades)
    _fall_short(settlement, report)
    _end(settlement, report)
    return settlement


def _confirm(settlement: ReportEvents, report: OrderReport) -> None:
    if settlement.order.status is Status.CREATED:
        # Only a store that was put back to an earlier moment, or an import, sees this.
        settlement.add(EventKind.SUBMITTING, reason="found in the broker's book")
    if settlement.order.status in _UNCONFIRMED and report.status is not Status.REJECTED:
        settlement.add(EventKind.ACCEPTED, broker_order_id=report.broker_order_id)


def _trigger(settlement: ReportEvents, report: OrderReport) -> None:
    if settlement.order.status is Status.TRIGGER_PENDING and report.status is Status.OPEN:
        settlement.add(EventKind.TRIGGERED)


def _change(settlement: ReportEvents, report: OrderReport, *, fresh: bool) -> None:
    order = settlement.order
    if order.status not in LIVE:
        return
    if order.pending_change is not None:
        if _terms(report, order) == order.pending_change:
            settlement.add(EventKind.MODIFIED)
    elif fresh and order.pending is None and report.status in LIVE and _terms(report, order) != _own(order):
        _take_over(settlement, report)


def _outgrow(settlement: ReportEvents, report: OrderReport) -> None:
    """Trades for all we know of the order, and the broker has more of it: a change held that we gave up, or
    that somebody made elsewhere. Its trades prove it, however the report came."""
    order, traded = settlement.order, sum(trade.quantity for trade in report.trades)
    if (
        order.status in LIVE
        and order.terms.quantity <= traded <= report.terms.quantity != order.terms.quantity
    ):
        _take_over(settlement, report)


def _fall_short(settlement: ReportEvents, report: OrderReport) -> None:
    """The same where the broker has less of it: what he filled whole has no more to come."""
    order = settlement.order
    if (
        order.status in LIVE
        and report.status is Status.FILLED
        and order.filled_quantity == report.terms.quantity < order.terms.quantity
    ):
        _take_over(settlement, report)


def _take_over(settlement: ReportEvents, report: OrderReport) -> None:
    """The broker's terms for ours; who wanted the order gone still does."""
    order = settlement.order
    change = _terms(report, order)
    settlement.add(EventKind.MODIFY_REQUESTED, change=change, reason="changed at the broker")
    settlement.add(EventKind.MODIFIED)
    if order.pending is PendingRequest.PENDING_CANCEL and settlement.order.status in LIVE:
        settlement.add(EventKind.CANCEL_REQUESTED)


def _fill(settlement: ReportEvents, trades: Iterable[Trade], known: AbstractSet[str]) -> None:
    seen = set(known)
    for trade in trades:
        if trade.id in seen:
            continue
        seen.add(trade.id)
        if trade.quantity > settlement.order.remaining_quantity:
            settlement.overfills.append(trade)
        elif may_happen(settlement.order, EventKind.FILLED):
            settlement.add(EventKind.FILLED, trade=trade)


def _end(settlement: ReportEvents, report: OrderReport) -> None:
    order, kind = settlement.order, _ENDS.get(report.status)
    if kind is None or order.status in TERMINAL:
        return
    code = REJECTED if kind is EventKind.REJECTED else None
    broker_order_id = report.broker_order_id if order.broker_order_id is None else None
    settlement.add(kind, code=code, reason=report.reason, broker_order_id=broker_order_id)


def _terms(report: OrderReport, order: Order) -> OrderChange:
    """The report's terms, as far as they are the order's to choose: brokers fill in the rest as they like."""
    wanted = order.pending_change or _own(order)
    terms = report.terms
    waits = order.status is Status.TRIGGER_PENDING
    return OrderChange(
        quantity=terms.quantity,
        limit_price=terms.limit_price if order.terms.type.has_limit else wanted.limit_price,
        trigger_price=terms.trigger_price if waits else wanted.trigger_price,
        protection_price=wanted.protection_price,
    )


def _own(order: Order) -> OrderChange:
    terms = order.terms
    return OrderChange(terms.quantity, **terms.prices)
