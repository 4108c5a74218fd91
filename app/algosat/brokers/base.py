"""What the engine asks of a broker, and how a broker answers.

A broker's word about an order is always a `Report`: the whole of what it knows of that order
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
from decimal import Decimal
from typing import Protocol

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Change, Intent, Order, Status, Trade


@dataclass(frozen=True, slots=True)
class Report:
    """All a broker knows of one order at one moment."""

    broker_order_id: str
    tag: str | None  # our order's id; none for one that was placed elsewhere
    status: Status  # open, trigger_pending, partially_filled, filled, cancelled, rejected or expired
    terms: Intent  # as the broker has them now; its quantity and prices are the truth after a change
    filled_quantity: Decimal
    trades: tuple[Trade, ...]  # those known so far; may lag behind filled_quantity
    at: datetime  # the broker's time of this state, UTC
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Whether the broker can be traded with now."""

    active: bool
    detail: str
    expires_at: datetime | None = None


ReportListener = Callable[[Report], None]
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

    def session(self) -> Session: ...

    def place(self, order: Order) -> Report:
        """Send a new order under its id as tag."""

    def modify(self, order: Order, change: Change) -> Report: ...

    def cancel(self, order: Order) -> Report: ...

    def find(self, tag: str) -> Report | None:
        """The order with this tag in the broker's book, or None when the book surely lacks it."""

    def reports(self) -> Sequence[Report]:
        """The whole order book of the trading day."""

    def instruments(self) -> Sequence[Instrument]: ...

    def quotes(self) -> Sequence[Quote]: ...
