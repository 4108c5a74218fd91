"""What somebody wants traded, in words and values, and what came of it at the market."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"

    @property
    def has_trigger(self) -> bool:
        return self in (OrderType.STOP, OrderType.STOP_LIMIT)

    @property
    def has_limit(self) -> bool:
        return self in (OrderType.LIMIT, OrderType.STOP_LIMIT)


class Product(StrEnum):
    DELIVERY = "delivery"
    INTRADAY = "intraday"
    CARRY = "carry"


class Validity(StrEnum):
    DAY = "day"
    IOC = "ioc"


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What somebody wants traded; everything the gate judges and the broker is told."""

    account: str
    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    protection_price: Decimal | None = None  # the worst a market order may trade at; set by the gate
    product: Product = Product.DELIVERY
    validity: Validity = Validity.DAY
    reduce_only: bool = False
    strategy: str | None = None
    algo_id: str | None = None


@dataclass(frozen=True, slots=True)
class OrderChange:
    """The full intended terms of a modified order (never a difference: a lost update must not matter)."""

    quantity: Decimal
    limit_price: Decimal | None
    trigger_price: Decimal | None
    protection_price: Decimal | None = None  # set by the gate: it moves with the trigger or the market


@dataclass(frozen=True, slots=True)
class ModifyRequest:
    """What somebody wants to be other in an order; None stays as it is when the change is made."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None

    def of(self, terms: OrderTerms) -> OrderChange:
        return OrderChange(
            terms.quantity if self.quantity is None else self.quantity,
            terms.limit_price if self.limit_price is None else self.limit_price,
            terms.trigger_price if self.trigger_price is None else self.trigger_price,
        )


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution, as the broker's trade book states it."""

    id: str  # the broker's, unique within the account
    quantity: Decimal
    price: Decimal
    at: datetime
