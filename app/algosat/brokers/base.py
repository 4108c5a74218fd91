"""What the engine asks of a broker, and how a broker answers.

A broker's word about an order is always a `OrderReport`: the whole of what it knows of that order
now, trades included. Reports may come late, twice or out of order, pushed or polled; settling
one is the same in every case (`trading.settle`).

Every call has a time-out of the adapter's own. Its outcome is a value or one of the errors that
`algosat.errors` names by what is known afterwards: BrokerRejected (surely not taken),
BrokerNotReached (surely not sent), BrokerUncertain (nobody knows), BrokerOrderGone (too late),
BrokerSessionExpired (log in again; surely not taken).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Order, OrderChange
from algosat.domain.orders.report import OrderReport


@dataclass(frozen=True, slots=True)
class BrokerSession:
    """Whether the broker can be traded with now."""

    active: bool
    detail: str
    expires_at: datetime | None = None


ReportListener = Callable[[OrderReport], None]
QuoteListener = Callable[[Sequence[Quote]], None]


class Broker(Protocol):
    """One account at one broker. Methods are called from several threads."""

    name: str
    account: str
    # Whether `start` cuts off every earlier session: what such a one had not delivered by then never arrives,
    # so the book is proof of what an engine that was killed had sent. No broker out in the world can say so.
    fences: bool

    def start(self, on_report: ReportListener, on_quotes: QuoteListener) -> None:
        """Connect and begin to push. Listeners are called from the broker's own thread."""

    def stop(self) -> None: ...

    def session(self) -> BrokerSession: ...

    def place(self, order: Order) -> OrderReport:
        """Send a new order under its id as tag."""

    def modify(self, order: Order, change: OrderChange) -> OrderReport: ...

    def cancel(self, order: Order) -> OrderReport: ...

    def find(self, tag: str) -> OrderReport | None:
        """The order with this tag in the broker's book, or None when the book surely lacks it."""

    def reports(self) -> Sequence[OrderReport]:
        """The whole order book of the trading day."""

    def instruments(self) -> Sequence[Instrument]: ...

    def quotes(self) -> Sequence[Quote]: ...
