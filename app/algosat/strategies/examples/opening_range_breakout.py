"""Opening-range breakout: trade once a day in the direction in which price leaves its first minutes' range.

What it is: a classic of intraday trading, here because it shows stops, times of day and state.
What it is not: a way to earn money. Breakouts fail more often than they run, the stop at the other end
of the range slips in fast markets, and a market order after a bar's close pays whatever the rush has
left.

A range that was not watched whole is none: started late, or restarted meanwhile, it stays out for the day.
Where the market never closes there is no opening; the first bar of the exchange's date stands for it.
"""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, field_validator

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.orders import Order, OrderType, Product
from algosat.strategies.bars import Bar
from algosat.strategies.base import Strategy
from algosat.strategies.parameters import Parameters, Quantity


class BreakoutParameters(Parameters):
    range_minutes: Annotated[int, Field(ge=1, le=120, description="Length of the opening range")] = 15
    quantity: Quantity
    short: Annotated[bool, Field(description="Also trade breakouts downwards")] = True
    flat_by: Annotated[time, Field(description="Exchange time from which it holds nothing")] = time(15, 0)

    @field_validator("flat_by")
    @classmethod
    def _in_exchange_time(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("is exchange time: give it without a zone")
        return value


class OpeningRangeBreakout(Strategy[BreakoutParameters]):
    parameters_model = BreakoutParameters

    def on_start(self) -> None:
        """A restart lost the bar that was being built: a range it belongs to stays unknown."""
        for today in self.state.values():
            if today["seen_until"] < today["range_until"]:
                today["done"] = True

    def on_bar(self, bar: Bar) -> None:
        today = self._today(bar)
        if today is None:
            return
        if today["seen_until"] < today["range_until"]:
            today["seen_until"] = bar.end.timestamp()
        if bar.end.astimezone(EXCHANGE_TIME).time() >= self.parameters.flat_by:
            today["done"] = True
            self._leave(bar.symbol)
        elif bar.start.timestamp() < today["range_until"]:
            today["high"] = str(max(Decimal(today["high"]), bar.high))
            today["low"] = str(min(Decimal(today["low"]), bar.low))
        elif not today["done"]:
            self._enter(bar, today)

    def on_order(self, order: Order) -> None:
        symbol = order.terms.symbol
        today = self.state.get(symbol)
        if today is None:
            return
        if self.context.now.astimezone(EXCHANGE_TIME).time() >= self.parameters.flat_by:
            self._leave(symbol)
        elif order.terms.type is OrderType.MARKET and order.filled_quantity:
            self._protect(symbol, today)

    def _today(self, bar: Bar) -> dict[str, Any] | None:
        """What is known of the day's range; None before the market opens."""
        day = str(bar.start.astimezone(EXCHANGE_TIME).date())
        known: dict[str, Any] | None = self.state.get(bar.symbol)
        if known is not None and known["day"] == day:
            return known
        opening = self.context.opens_at(bar.symbol, bar.start) or bar.start
        if bar.end <= opening:
            return None
        known = self.state[bar.symbol] = {
            "day": day,
            "range_until": opening.timestamp() + 60 * self.parameters.range_minutes,
            "seen_until": opening.timestamp(),
            "high": str(bar.high),
            "low": str(bar.low),
            "done": bar.start > opening,  # the first bars were not seen
        }
        return known

    def _enter(self, bar: Bar, today: dict[str, Any]) -> None:
        if bar.close > Decimal(today["high"]):
            self.buy(bar.symbol, self.parameters.quantity)
            today["done"] = True
        elif bar.close < Decimal(today["low"]) and self._may_short():
            self.sell(bar.symbol, self.parameters.quantity)
            today["done"] = True

    def _may_short(self) -> bool:
        return self.parameters.short and self.parameters.product is not Product.DELIVERY

    def _protect(self, symbol: str, today: dict[str, Any]) -> None:
        """Have a stop at the range's other end for all that was filled so far."""
        held = self.position(symbol)
        stopped = sum(
            (order.remaining_quantity for order in self.working(symbol) if order.terms.reduce_only),
            Decimal(0),
        )
        if abs(held) <= stopped:
            return
        if held > 0:
            self.sell(symbol, held - stopped, trigger=Decimal(today["low"]), reduce_only=True)
        else:
            self.buy(symbol, -held - stopped, trigger=Decimal(today["high"]), reduce_only=True)

    def _leave(self, symbol: str) -> None:
        """Out of the position; the stop goes first, since what it would sell cannot be sold twice."""
        if self.working(symbol):
            self.cancel_working(symbol)
        if not self.working(symbol) and self.position(symbol):
            self.close(symbol)
