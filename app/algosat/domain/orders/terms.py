"""The terms of an order, its prices, changes of them, and its trades."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final


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
    GTC = "gtc"  # good till cancelled: over any number of days. Few venues have it: see `Capabilities`


class TradingSession(StrEnum):
    """The trading session that an order is meant for."""

    REGULAR = "regular"  # the one under way: the order is sent at once
    AFTER_MARKET = "after_market"  # the next one: placed while the market is closed, sent when it opens


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The prices of an order, by their names in the store and the API; None: the order has no such price.

    Every list of an order's prices is made from this class: a new kind of price is a field here.
    """

    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    # The worst price a market order may trade at. The gate sets it; it moves with the trigger or the market.
    protection_price: Decimal | None = None

    @property
    def prices(self) -> dict[str, Decimal | None]:
        """All prices by name."""
        return {
            "limit_price": self.limit_price,
            "trigger_price": self.trigger_price,
            "protection_price": self.protection_price,
        }

    def dearest(self, at_least: Decimal) -> Decimal:
        """Return the highest of the prices and `at_least`."""
        return max([at_least, *(price for price in self.prices.values() if price is not None)])


PRICES: Final = tuple(each.name for each in fields(Prices))


@dataclass(frozen=True, slots=True)
class OrderTerms(Prices):
    """The terms of an order: what the gate judges and the broker is sent."""

    account: str
    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType
    product: Product = Product.DELIVERY
    validity: Validity = Validity.DAY
    reduce_only: bool = False
    strategy: str | None = None
    algo_id: str | None = None
    session: TradingSession = TradingSession.REGULAR
    send_at: datetime | None = None  # when an after-market order is sent; the gate sets it
    slice_of: str | None = None  # id of the first slice of the same order; None for that slice, and unsliced

    @property
    def is_after_market(self) -> bool:
        return self.session is TradingSession.AFTER_MARKET

    def as_regular(self) -> OrderTerms:
        """Return the terms as the gate checks them when the order is sent."""
        return replace(self, session=TradingSession.REGULAR, send_at=None)


@dataclass(frozen=True, slots=True)
class OrderChange(Prices):
    """The full terms an order is to have (never a difference, so that a lost update does not matter)."""

    quantity: Decimal

    def applied_to(self, terms: OrderTerms) -> OrderTerms:
        """Return the terms with this change made."""
        return replace(
            terms,
            quantity=self.quantity,
            limit_price=self.limit_price,
            trigger_price=self.trigger_price,
            protection_price=self.protection_price,
        )


@dataclass(frozen=True, slots=True)
class ModifyRequest:
    """What to change in an order; None leaves a value as it is when the change is made."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None

    def of(self, terms: OrderTerms) -> OrderChange:
        """Return the change of these terms. The gate sets its protection price."""
        return OrderChange(
            quantity=terms.quantity if self.quantity is None else self.quantity,
            limit_price=terms.limit_price if self.limit_price is None else self.limit_price,
            trigger_price=terms.trigger_price if self.trigger_price is None else self.trigger_price,
        )


class Liquidity(StrEnum):
    """Which side of a trade the order was: some venues charge the two differently."""

    MAKER = "maker"
    TAKER = "taker"


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution, as the broker's trade book states it."""

    id: str  # the broker's, unique within the account
    quantity: Decimal
    price: Decimal
    at: datetime
    fee: Decimal | None = None  # None: the broker does not state it with the trade
    fee_currency: str | None = None  # None: the account's currency
    liquidity: Liquidity | None = None
