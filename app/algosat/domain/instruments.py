"""Instruments and their quotes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


class InstrumentKind(StrEnum):
    EQUITY = "equity"
    FUTURE = "future"
    OPTION = "option"


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

    def takes_price(self, price: Decimal) -> bool:
        return price > 0 and price % self.tick == 0

    def takes_quantity(self, quantity: Decimal) -> bool:
        return quantity > 0 and quantity % self.lot == 0


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
