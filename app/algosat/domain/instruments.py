"""Instruments and their quotes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class InstrumentKind(StrEnum):
    EQUITY = "equity"
    FUTURE = "future"
    OPTION = "option"
    SPOT = "spot"  # a currency pair: what is bought is owned at once, and sold from holdings

    @property
    def is_derivative(self) -> bool:
        return self in (InstrumentKind.FUTURE, InstrumentKind.OPTION)


class OptionType(StrEnum):
    CALL = "call"
    PUT = "put"


class SettlementMethod(StrEnum):
    """What happens to a position that is open when its contract expires."""

    CASH = "cash"
    PHYSICAL = "physical"  # shares are delivered, which Algosat avoids by closing the position before


@dataclass(frozen=True, slots=True)
class Instrument:
    symbol: str
    name: str
    kind: InstrumentKind
    segment: str  # names the sessions in the calendar: "equity", "derivatives" …
    tick: Decimal  # prices are whole multiples of it
    lot: Decimal  # quantities are whole multiples of it
    freeze_quantity: Decimal  # the largest quantity of one order that the exchange accepts
    has_derivatives: bool = False  # shares with derivatives have a closing auction, and so other hours
    expiry: date | None = None
    underlying: str | None = None  # of a contract with an expiry: the instrument whose close settles it
    strike: Decimal | None = None
    option_type: OptionType | None = None
    settlement: SettlementMethod | None = None
    minimum_quantity: Decimal | None = None  # of one order; None: one lot
    minimum_notional: Decimal | None = None  # of one order, quantity × price; None: any
    currency: str | None = None  # of its prices; None: the account's
    base_currency: str | None = None  # of a currency pair: what is bought; None: not a pair

    def value_at_expiry(self, underlying_close: Decimal) -> Decimal:
        """Return what one unit of the contract is worth when it expires."""
        if self.strike is None:
            return underlying_close
        sign = 1 if self.option_type is OptionType.CALL else -1
        return max(sign * (underlying_close - self.strike), Decimal(0))

    def is_near_delivery(self, day: date) -> bool:
        """Return whether the contract delivers shares and expires on this day or the day after."""
        if self.settlement is not SettlementMethod.PHYSICAL or self.expiry is None:
            return False
        return self.expiry - day <= timedelta(days=1)

    def takes_price(self, price: Decimal) -> bool:
        return price > 0 and price % self.tick == 0

    def takes_quantity(self, quantity: Decimal) -> bool:
        return quantity > 0 and quantity % self.lot == 0

    def too_small(self, quantity: Decimal, price: Decimal) -> str | None:
        """Return why the exchange takes no order of this quantity at this price; None if it is large enough.

        The message has figures and no subject.
        """
        if self.minimum_quantity is not None and quantity < self.minimum_quantity:
            return f"{quantity:f} is less than the smallest quantity of one order, {self.minimum_quantity:f}"
        if self.minimum_notional is not None and quantity * price < self.minimum_notional:
            return (
                f"{quantity:f} at {price:f} is worth less than the smallest order, {self.minimum_notional:f}"
            )
        return None


@dataclass(frozen=True, slots=True)
class Quote:
    symbol: str
    at: datetime  # UTC
    last: Decimal
    bid: Decimal
    ask: Decimal
    bid_quantity: Decimal
    ask_quantity: Decimal
    volume: Decimal  # traded since the session began
    open: Decimal
    high: Decimal
    low: Decimal
    lower_circuit: Decimal
    upper_circuit: Decimal

    def age(self, at: datetime, last_trading: datetime) -> float:
        """Return by how many seconds the quote is older than the market; negative: dated in the future.

        `last_trading` is when continuous trading last was. In an auction nothing trades until the match, so
        the last price before the auction does not age.
        """
        if self.at > at:
            return (at - self.at).total_seconds()
        return max((last_trading - self.at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class FinalSettlement:
    """The exchange's final settlement of an expired contract."""

    symbol: str
    at: datetime  # UTC, on the day of expiry
    price: Decimal  # what one unit is worth: 0 for an option that expires worthless
