"""The Broker protocol: what the engine asks of a broker, and the form of the answers.

A broker always describes an order by an `OrderReport`: everything it knows about the order at that moment,
trades included. Reports may be late, repeated or out of order, pushed or polled; all are processed alike.

Every call has a time-out set by the adapter. It returns a value, or raises one of the errors in
`algosat.errors` that are named by what is known afterwards: BrokerRejected (certainly not accepted),
BrokerNotReached (certainly not sent), BrokerUncertain (outcome unknown), BrokerOrderGone (too late),
BrokerSessionExpired (certainly not accepted, log in again).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from algosat.domain.instruments import FinalSettlement, Instrument, Quote
from algosat.domain.orders import Order, OrderChange
from algosat.domain.orders.report import OrderReport


@dataclass(frozen=True, slots=True)
class BrokerSession:
    """Whether orders can be sent to the broker now."""

    active: bool
    detail: str
    expires_at: datetime | None = None


ReportListener = Callable[[OrderReport], None]
QuoteListener = Callable[[Sequence[Quote]], None]


class Broker(Protocol):
    """One account at one broker. Methods are called from several threads."""

    name: str
    account: str
    # Whether `start` cuts off every earlier session, so that requests they have not delivered never arrive.
    # Then the order book proves what a killed engine had sent. No real broker can promise this.
    fences: bool

    def start(self, on_report: ReportListener, on_quotes: QuoteListener) -> None:
        """Connect, and begin to push reports and quotes. Listeners run in the broker's own thread."""

    def stop(self) -> None: ...

    def session(self) -> BrokerSession: ...

    def place(self, order: Order) -> OrderReport:
        """Send a new order, with its id as the tag."""

    def modify(self, order: Order, change: OrderChange) -> OrderReport: ...

    def cancel(self, order: Order) -> OrderReport: ...

    def find(self, tag: str) -> OrderReport | None:
        """Return the order with this tag, or None if it is certainly not in the broker's order book."""

    def reports(self) -> Sequence[OrderReport]:
        """Return the whole order book of the trading day."""

    def instruments(self) -> Sequence[Instrument]:
        """Return what is listed now. It changes when contracts expire and new ones are listed."""

    def quotes(self) -> Sequence[Quote]: ...

    def settlements(self) -> Sequence[FinalSettlement]:
        """Return the final settlements of expired contracts that the broker knows."""
