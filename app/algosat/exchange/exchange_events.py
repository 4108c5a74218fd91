"""Events of the simulated exchange, and its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algosat.domain.instruments import Quote
from algosat.domain.orders import OrderChange, OrderTerms
from algosat.exchange.order_book import BookOrder


@dataclass(frozen=True, slots=True)
class Place:
    """Place an order. Tags need not be unique: the same tag sent twice is two orders, as at real brokers."""

    request: int  # the caller's number, repeated in the answer
    tag: str
    terms: OrderTerms


@dataclass(frozen=True, slots=True)
class Modify:
    """Change the quantity or the prices of an order."""

    request: int
    order_id: str
    symbol: str
    change: OrderChange


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel an order."""

    request: int
    order_id: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Cross:
    """Fill an order at once, whatever is displayed. Used by fault injection only."""

    request: int
    order_id: str
    symbol: str
    quantity: Decimal


Request = Place | Modify | Cancel | Cross


@dataclass(frozen=True, slots=True)
class Tick:
    """A new quote of one symbol."""

    quote: Quote


@dataclass(frozen=True, slots=True)
class Clock:
    """Time has passed: phases may change and day orders expire."""


@dataclass(frozen=True, slots=True)
class Arrive:
    """Time has passed: requests on their way may arrive, and nothing else changes."""


@dataclass(frozen=True, slots=True)
class Delist:
    """A contract has expired and is no longer listed: its working orders expire."""

    symbol: str


Event = Request | Tick | Clock | Arrive | Delist


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the exchange refuses a request."""

    code: str
    reason: str
    gone: bool = False  # refused only because the order has already ended


@dataclass(frozen=True, slots=True)
class Changed:
    """An order is new, or has changed since it was last reported."""

    order: BookOrder


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request that has arrived."""

    request: int
    order: BookOrder | None  # None if the exchange has no such order
    refusal: Refusal | None = None


Output = Changed | Answered


@dataclass(frozen=True, slots=True)
class Flight:
    """A request on its way to the exchange."""

    due: datetime
    request: Request
