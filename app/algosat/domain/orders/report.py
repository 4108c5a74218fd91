"""A broker's report of an order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from algosat.domain.decimals import ZERO
from algosat.domain.orders.order import Status
from algosat.domain.orders.terms import OrderTerms, Trade


@dataclass(frozen=True, slots=True)
class OrderReport:
    """The state of one order at the broker at one moment."""

    broker_order_id: str
    tag: str | None  # our order's id; None for an external order
    status: Status  # open, trigger_pending, partially_filled, filled, cancelled, rejected or expired
    terms: OrderTerms  # as the broker has them now; its quantity and prices are the truth after a change
    filled_quantity: Decimal
    trades: tuple[Trade, ...]  # those known so far; may lag behind filled_quantity
    at: datetime  # the broker's time of this state, UTC
    reason: str | None = None
    # The broker's number of the order that this one replaces after a change. Terms and filled quantity of the
    # replacement are then those of the whole order, with what the replaced order had filled.
    replaces: str | None = None
    parent: str | None = None  # the broker's number of the order that this one is a part or leg of
    exchange_order_id: str | None = None
    raw_status: str | None = None  # the broker's own word, and code, for logs and support
    raw_code: str | None = None
    average_price: Decimal | None = None  # of the filled quantity; None: the broker does not state it

    @property
    def traded_quantity(self) -> Decimal:
        return sum((trade.quantity for trade in self.trades), ZERO)

    @property
    def traded_value(self) -> Decimal:
        return sum((trade.quantity * trade.price for trade in self.trades), ZERO)

    @property
    def lacks_trades(self) -> bool:
        """Whether the broker's trade book lags behind its order book."""
        return self.filled_quantity > self.traded_quantity


def latest_of_each(reports: Sequence[OrderReport]) -> list[OrderReport]:
    """Return a reading of the order book without the orders that others in it replace.

    The replacement has the trades of all that it replaces, directly or not. It is listed once for each of
    them, since the last one that is known here may be any of them.
    """
    replaced = {report.replaces for report in reports if report.replaces is not None}
    if not replaced:
        return list(reports)
    by_number = {report.broker_order_id: report for report in reports}
    latest: list[OrderReport] = []
    for report in reports:
        if report.broker_order_id in replaced:
            continue
        legs = list(_replaced_by(report, by_number))
        trades = tuple(trade for leg in (*reversed(legs), report) for trade in leg.trades)
        numbers: list[str | None] = [leg.broker_order_id for leg in legs]
        tag = next((leg.tag for leg in (report, *legs) if leg.tag is not None), None)
        latest += [
            replace(report, tag=tag, trades=trades, replaces=number)
            for number in numbers or [report.replaces]
        ]
    return latest


def _replaced_by(report: OrderReport, by_number: dict[str, OrderReport]) -> Iterator[OrderReport]:
    """Yield the orders that this one replaces, the latest first."""
    seen = {report.broker_order_id}
    while report.replaces in by_number and report.replaces not in seen:
        report = by_number[report.replaces]
        seen.add(report.broker_order_id)
        yield report
