"""The Broker protocol: what the engine asks of a broker, and the form of the answers.

A broker describes an order by an `OrderReport`: everything it knows about the order at that moment, trades
included. Reports may be late, repeated or out of order, pushed or polled; all are processed alike. A broker
that answers a request without the order's state returns an `Ack`; the state then comes by a report.

Every call has a time-out set by the adapter. It returns a value, or raises one of the errors in
`algosat.errors` that are named by what is known afterwards: BrokerRejected (certainly not accepted),
BrokerNotReached (certainly not sent), BrokerUncertain (outcome unknown), BrokerOrderGone (too late),
BrokerSessionExpired (certainly not accepted, log in again). What its `capabilities` exclude, an adapter
refuses with BrokerUnsupported; it never sends something else instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Protocol

from algosat.domain.bars import Bar
from algosat.domain.broker_account import BrokerFunds, BrokerHolding, BrokerPosition
from algosat.domain.capabilities import Capabilities
from algosat.domain.instruments import FinalSettlement, Instrument, Quote
from algosat.domain.orders import Order, OrderChange, Product
from algosat.domain.orders.report import OrderReport

__all__ = [
    "Ack",
    "BookHint",
    "BookReading",
    "Broker",
    "BrokerFunds",
    "BrokerHolding",
    "BrokerPosition",
    "BrokerSession",
    "CallKind",
    "Capabilities",
    "Feed",
    "FeedChange",
    "FeedListener",
    "FeedState",
    "Period",
    "Quota",
    "QuoteListener",
    "ReportListener",
    "SessionState",
]


class SessionState(StrEnum):
    ACTIVE = "active"
    EXPIRING = "expiring"  # active; a person must log in again before it expires
    LOGIN_REQUIRED = "login_required"
    EGRESS_REFUSED = "egress_refused"  # the broker refuses orders from this server's address; reads work
    UNREACHABLE = "unreachable"
    CLOSED = "closed"  # the adapter does not run


@dataclass(frozen=True, slots=True)
class BrokerSession:
    """Whether requests can be sent to the broker now."""

    state: SessionState
    detail: str
    expires_at: datetime | None = None
    clock_offset: timedelta | None = None  # the broker's clock minus ours; None: not measured

    @property
    def active(self) -> bool:
        """Whether orders can be sent."""
        return self.state in (SessionState.ACTIVE, SessionState.EXPIRING)

    @property
    def is_readable(self) -> bool:
        """Whether the order book and the account can be read."""
        return self.active or self.state is SessionState.EGRESS_REFUSED


@dataclass(frozen=True, slots=True)
class Ack:
    """An answer without the order's state: the broker has taken the request, and nothing more is known.

    The broker may still reject the order. An adapter never lets the broker split an order, so there is one
    number.
    """

    broker_order_id: str


@dataclass(frozen=True, slots=True)
class BookHint:
    """What a reading of the order book must contain, for brokers that cannot return it whole."""

    since: datetime | None = None  # orders sent since then
    symbols: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()  # the broker's order numbers


@dataclass(frozen=True, slots=True)
class BookReading:
    """A reading of the order book, and what the absence of an order from it proves."""

    reports: Sequence[OrderReport]
    covers_from: datetime | None  # every order sent since then is in it; None: no such time is known
    complete: bool = True  # False: a page, a symbol or the trades of an order could not be read

    def proves_absence(self, sent_at: datetime) -> bool:
        """Whether an order sent at this time that the reading lacks is certainly not at the broker."""
        return self.complete and self.covers_from is not None and sent_at >= self.covers_from


class Feed(StrEnum):
    """A stream of the broker. Both may share one connection."""

    ORDERS = "orders"
    QUOTES = "quotes"


class FeedState(StrEnum):
    UP = "up"  # connected and subscribed, whether or not anything trades
    DOWN = "down"
    GAP = "gap"  # connected, but messages were missed


@dataclass(frozen=True, slots=True)
class FeedChange:
    feed: Feed
    state: FeedState
    detail: str = ""


class CallKind(IntEnum):
    """What a call to the broker is for. Lower kinds have precedence when calls are scarce."""

    CANCEL = 0
    EXIT = 1  # a new order that only reduces a position
    MODIFY = 2  # of an order, or of the product of a position
    ORDER = 3
    BOOK = 4  # order book, one order, positions, holdings, funds
    QUOTES = 5  # quotes, instruments, settlements
    HISTORY = 6  # candles, order books of earlier days


class Period(StrEnum):
    """A calendar period: brokers count by the second of the clock, not over a sliding window."""

    SECOND = "second"
    MINUTE = "minute"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Quota:
    """The number of calls of these kinds together that the broker accepts in a period."""

    limit: int
    period: Period
    kinds: frozenset[CallKind] = frozenset(CallKind)
    strikes: int | None = None  # so many refusals for too many calls are forgiven in a day; the next one bans


ReportListener = Callable[[OrderReport], None]
QuoteListener = Callable[[Sequence[Quote]], None]
FeedListener = Callable[[FeedChange], None]


class Broker(Protocol):
    """One account at one broker. Methods are called from several threads."""

    name: str
    account: str
    capabilities: Capabilities
    quotas: Sequence[Quota]  # how many calls the broker accepts; empty: any number

    def start(self, on_report: ReportListener, on_quotes: QuoteListener, on_feed: FeedListener) -> None:
        """Connect, and begin to push reports, quotes and feed changes.

        Listeners run in the broker's own thread. A feed counts as down until its first change.
        """

    def stop(self) -> None:
        """End all threads of the adapter. `start` works again afterwards."""

    def session(self) -> BrokerSession:
        """Return the state of the broker session, without a call to the broker."""

    def login_url(self, state: str) -> str | None:
        """Return the page on which a person logs in and that returns `state`; None: there is no such page."""

    def login(self, answer: Mapping[str, str]) -> BrokerSession:
        """Open a broker session with what the login page returned."""

    def logout(self) -> None: ...

    def place(self, order: Order) -> Ack | OrderReport:
        """Send a new order, with its id as the tag."""

    def modify(self, order: Order, change: OrderChange) -> Ack | OrderReport: ...

    def cancel(self, order: Order) -> Ack | OrderReport: ...

    def convert(self, symbol: str, quantity: Decimal, source: Product, target: Product) -> None:
        """Convert a quantity (negative: of a short position) of a position to another product.

        Returns once the broker has done so. A second request converts as much again: after BrokerUncertain
        only the broker's positions tell the outcome.
        """

    def find(self, order: Order) -> OrderReport | None:
        """Return the broker's report of an order, or None if the order is certainly not at the broker.

        Raises BrokerBookTooShort if the order is not found, and was sent before what the broker can show.
        """

    def read_book(self, hint: BookHint) -> BookReading:
        """Read the order book of the trading day, external orders included."""

    def history(self, day: date) -> BookReading:
        """Read the order book of an earlier trading day."""

    def positions(self) -> Sequence[BrokerPosition]:
        """Return the open positions, and those closed today with the quantity 0 if the broker states them."""

    def holdings(self) -> Sequence[BrokerHolding]: ...

    def funds(self) -> Sequence[BrokerFunds]:
        """Return the funds, one item for each currency."""

    def instruments(self) -> Sequence[Instrument]:
        """Return what is listed now. It changes when contracts expire and new ones are listed."""

    def quotes(self) -> Sequence[Quote]: ...

    def subscribe(self, symbols: AbstractSet[str]) -> None:
        """Push the quotes of these symbols from now on, also after a reconnect, and of no others.

        A broker that pushes all its quotes ignores the call.
        """

    def candles(self, symbol: str, interval: timedelta, since: datetime, until: datetime) -> Sequence[Bar]:
        """Return the bars that began in [since, until) and have ended, oldest first."""

    def settlements(self) -> Sequence[FinalSettlement]:
        """Return the final settlements of expired contracts that the broker knows."""
