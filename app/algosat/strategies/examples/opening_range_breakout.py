"""Opening-range breakout: trade once a day in the direction in which the price leaves its opening range.

It is an example of stops, times of day and state. It is not a way to earn money: breakouts fail more often
than they run, the stop at the other end of the range slips in fast markets, and a market order after the
close of a bar pays the price that is left.

If the process did not watch the whole range, because it started late or restarted, it does not trade that
day. In a market that never closes, the first bar of the exchange's date counts as the opening.
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
    range_minutes: Annotated[int, Field(ge=1, le=120, description="Minutes of the opening range")] = 15
    quantity: Quantity
    short: Annotated[bool, Field(description="Also trade downward breakouts")] = True
    flat_by: Annotated[time, Field(description="Exchange time by which positions are closed")] = time(15, 0)

    @field_validator("flat_by")
    @classmethod
    def _in_exchange_time(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("is in exchange time: give it without a time zone")
        return value


class OpeningRangeBreakout(Strategy[BreakoutParameters]):
    """Strategy that enters on a close outside the range, with a stop at the range's other end."""

    parameters_model = BreakoutParameters

    def on_start(self) -> None:
        """Skip the day if the restart lost a bar of the opening range."""
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
            self._exit(bar.symbol)
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
            self._exit(symbol)
        elif order.terms.type is OrderType.MARKET and order.filled_quantity:
            self._protect(symbol, today)

    def _today(self, bar: Bar) -> dict[str, Any] | None:
        """Return the state of the bar's day, new on a new day; None before the market opens."""
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
            "done": bar.start > opening,  # the first bars are missing
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
        """Place a stop at the range's other end for the part of the position that has none."""
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

    def _exit(self, symbol: str) -> None:
        """Cancel the stop, then close the position: `close` leaves out what the stop would sell."""
        if self.working(symbol):
            self.cancel_working(symbol)
        if not self.working(symbol) and self.position(symbol):
            self.close(symbol)
