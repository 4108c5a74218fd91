"""The events that follow from a broker's report of an order.

Reports may come twice, late and out of order, so only progress is taken from them: trades count once by their
ids, and a final state stays final (but a late trade still counts). The terms in a report count only if they
answer a change under way, or if the report was read from the broker's book after our last update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from algosat.domain.decimals import ZERO
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
from algosat.domain.reason_codes import EngineCode

REJECTED: Final = "broker_rejected"
_INFERRED, _CANCELLED = "inferred-", "-cancelled"  # in the ids of trades that are ours, not the broker's

# A trade book lags by seconds, and a fill is inferred after two minutes. An older report waits for no trades.
_LONGEST_LAG: Final = timedelta(minutes=5)

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
    conflicts: list[Trade] = field(default_factory=list)  # of a booked id, with other quantity or price
    is_undecided: bool = False  # whether a later report decides if the order has ended, and how

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
    order: Order,
    report: OrderReport,
    booked: Mapping[str, Trade],
    at: datetime,
    *,
    fresh: bool = False,
    renumbers: bool = False,
) -> ReportEvents:
    """Return the events that follow from a report, given the trades already booked by their ids.

    Args:
        fresh: The report was read from the broker's book after the last change of the order was stored.
        renumbers: The broker replaces a changed order by one with another number.
    """
    outcome = ReportEvents(order, at)
    if _is_replaced(order, report):
        _fill(outcome, report.trades, booked)  # its other news, as its cancel, is not that of our order
        return outcome
    _confirm(outcome, report)
    _trigger(outcome, report)
    _change(outcome, report, fresh=fresh)
    _take_number(outcome, report)
    _adopt_larger_quantity(outcome, report)
    _fill(outcome, report.trades, booked)
    _adopt_smaller_quantity(outcome, report)
    _end(outcome, report, renumbers=renumbers)
    return outcome


def inferred_trade(order: Order, quantity: Decimal, price: Decimal, at: datetime) -> Trade:
    """Return a trade for a quantity that the broker reports as filled without stating its trades."""
    return Trade(f"{_INFERRED}{order.id}-{order.version}", quantity, price, at)


def _is_replaced(order: Order, report: OrderReport) -> bool:
    """Return whether another order of the broker has taken the place of the reported one."""
    return order.broker_order_id not in (None, report.broker_order_id, report.replaces)


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
            outcome.add(EventKind.MODIFIED, broker_order_id=_new_number(order, report))
    elif (
        fresh
        and order.pending is None
        and report.status in LIVE
        and _terms(report, order) != _own_terms(order)
    ):
        _adopt_terms(outcome, report)


def _take_number(outcome: ReportEvents, report: OrderReport) -> None:
    """Take over the number, and the terms, of the order that replaces ours at the broker."""
    order, number = outcome.order, _new_number(outcome.order, report)
    if number is None or order.status not in LIVE:
        return
    if _terms(report, order) != _own_terms(order):
        _adopt_terms(outcome, report)
    outcome.add(EventKind.MODIFIED, reason="replaced at the broker", broker_order_id=number)


def _new_number(order: Order, report: OrderReport) -> str | None:
    """Return the report's number if the order has another one."""
    return None if order.broker_order_id in (None, report.broker_order_id) else report.broker_order_id


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


def _fill(outcome: ReportEvents, trades: Iterable[Trade], booked: Mapping[str, Trade]) -> None:
    """Book the trades that are not booked yet. An id says which trade it is within its order only."""
    new: dict[str, Trade] = {}
    for trade in trades:
        known = booked.get(trade.id) or new.setdefault(trade.id, trade)
        if (known.quantity, known.price) != (trade.quantity, trade.price):
            outcome.conflicts.append(trade)
    if not new or not _replace_inferred(outcome, new.values(), booked):
        return
    for trade in new.values():
        if trade.quantity > outcome.order.remaining_quantity:
            outcome.overfills.append(trade)
        elif may_happen(outcome.order, EventKind.FILLED):
            code = EngineCode.FILL_INFERRED if trade.id.startswith(_INFERRED) else None
            outcome.add(EventKind.FILLED, trade=trade, code=code)


def _replace_inferred(outcome: ReportEvents, new: Iterable[Trade], booked: Mapping[str, Trade]) -> bool:
    """Cancel inferred trades once the broker's trades make up for them. Return whether to book these now."""
    inferred = [
        trade
        for trade in booked.values()
        if trade.id.startswith(_INFERRED)
        and not trade.id.endswith(_CANCELLED)
        and trade.id + _CANCELLED not in booked
    ]
    if not inferred:
        return True
    real = sum((trade.quantity for trade in new if not trade.id.startswith(_INFERRED)), ZERO)
    if real < sum(trade.quantity for trade in inferred):
        return real == 0  # the rest of the trades is still missing; another one may be inferred
    for trade in inferred:
        counterpart = replace(trade, id=trade.id + _CANCELLED, quantity=-trade.quantity)
        reason = "the broker's trades replace the inferred fill"
        outcome.add(
            EventKind.TRADE_CANCELLED, trade=counterpart, code=EngineCode.FILL_CONFIRMED, reason=reason
        )
    return True


def _end(outcome: ReportEvents, report: OrderReport, *, renumbers: bool) -> None:
    order, kind = outcome.order, _ENDS.get(report.status)
    if kind is None or order.status in TERMINAL:
        return
    if renumbers and kind is EventKind.CANCELLED and order.pending is PendingRequest.PENDING_MODIFY:
        outcome.is_undecided = True  # the broker may have cancelled the order to replace it
        return
    if _lacks_fills(outcome, report):
        outcome.is_undecided = True  # an exit sent now would close again what the missing trades have closed
        return
    code = REJECTED if kind is EventKind.REJECTED else None
    broker_order_id = report.broker_order_id if order.broker_order_id is None else None
    outcome.add(kind, code=code, reason=report.reason, broker_order_id=broker_order_id)


def _lacks_fills(outcome: ReportEvents, report: OrderReport) -> bool:
    """Return whether trades of an order that has just ended are still missing."""
    is_short = outcome.order.filled_quantity < report.filled_quantity and not outcome.overfills
    return is_short and abs(outcome.at - report.at) <= _LONGEST_LAG


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
