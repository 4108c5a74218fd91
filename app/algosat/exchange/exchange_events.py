"""What can happen to the paper exchange, and what it says then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algosat.domain.instruments import Quote
from algosat.domain.orders import OrderChange, OrderTerms
from algosat.exchange.order_book import BookOrder


@dataclass(frozen=True, slots=True)
class Place:
    """A new order. Tags need not be unique: the same one twice is two orders, as at real brokers."""

    request: int  # numbers the caller's requests, so that he knows the answer
    tag: str
    terms: OrderTerms


@dataclass(frozen=True, slots=True)
class Modify:
    request: int
    order_id: str
    symbol: str
    change: OrderChange


@dataclass(frozen=True, slots=True)
class Cancel:
    request: int
    order_id: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Cross:
    """Somebody trades against our order this instant, whatever is displayed. Only faults ask for it."""

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
    """Time has passed: phases change, day orders expire."""


@dataclass(frozen=True, slots=True)
class Arrive:
    """Time has passed for requests on their way, and for nothing else."""


Event = Request | Tick | Clock | Arrive


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    reason: str
    gone: bool = False  # not a no to the request as such: the order has already ended


@dataclass(frozen=True, slots=True)
class Changed:
    """An order is new, or differs from what was last said of it."""

    order: BookOrder


@dataclass(frozen=True, slots=True)
class Answered:
    """A request has arrived, and this came of it."""

    request: int
    order: BookOrder | None  # none when the exchange knows no such order
    refusal: Refusal | None = None


Output = Changed | Answered


@dataclass(frozen=True, slots=True)
class Flight:
    """A request on its way to the exchange."""

    due: datetime
    request: Request
