"""Moving-average crossover: long while the fast average of closes is above the slow one.

It is the simplest trend follower, an example whose trades can be checked by hand. It is not a way to earn
money: on liquid markets its signals are no better than chance before costs, every crossing pays the spread
and charges, and sideways markets cross often. Parameters that did well in a back-test fitted that past.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from algosat.domain.orders import Product
from algosat.strategies.bars import Bar
from algosat.strategies.base import State, Strategy
from algosat.strategies.parameters import Parameters, Quantity


class CrossoverParameters(Parameters):
    fast: Annotated[int, Field(ge=1, le=500, description="Bars in the fast average")] = 10
    slow: Annotated[int, Field(ge=2, le=1000, description="Bars in the slow average")] = 30
    quantity: Annotated[Quantity, Field(description="Position per symbol")]
    short: Annotated[bool, Field(description="Go short on a downward crossing, instead of flat")] = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError("fast must be smaller than slow")
        if self.short and self.product is Product.DELIVERY:
            raise ValueError("shares cannot be sold short for delivery: choose another product")
        return self


class MovingAverageCrossover(Strategy[CrossoverParameters]):
    """Strategy that places one market order at a crossing, and repeats a failed exit at the next bar.

    After its position was closed for it, by square-off for example, it waits for the next crossing.
    """

    parameters_model = CrossoverParameters

    def on_bar(self, bar: Bar) -> None:
        crossed = self._crossing(bar)
        stance = self.state.setdefault("stance", {})
        if crossed:
            stance[bar.symbol] = crossed
        if self.working(bar.symbol):
            return
        held, wanted = self.position(bar.symbol), self._wanted(stance.get(bar.symbol, 0))
        if crossed:
            self._trade(bar.symbol, wanted - held)
        elif held * wanted < 0 or (held and not wanted):
            self.close(bar.symbol)

    @classmethod
    def migrate_state(cls, state: State, before: CrossoverParameters, now: CrossoverParameters) -> State:
        if before.bar_seconds != now.bar_seconds:
            return {}
        return state  # the closes do not depend on the lengths of the averages

    def _crossing(self, bar: Bar) -> int:
        """Return 1 if the fast average has just crossed above the slow one, -1 if below it, else 0."""
        closes = self.state.setdefault("closes", {}).setdefault(bar.symbol, [])
        closes.append(str(bar.close))
        del closes[: -self.parameters.slow - 1]
        if len(closes) <= self.parameters.slow:
            return 0
        before, now = self._lead(closes[:-1]), self._lead(closes[1:])
        if before <= 0 < now:
            return 1
        return -1 if before >= 0 > now else 0

    def _lead(self, closes: list[str]) -> Decimal:
        """Return fast average minus slow average, times both lengths: only the sign matters."""
        fast, slow = self.parameters.fast, self.parameters.slow
        prices = [Decimal(close) for close in closes]
        return sum(prices[-fast:], Decimal(0)) * slow - sum(prices[-slow:], Decimal(0)) * fast

    def _wanted(self, stance: int) -> Decimal:
        if stance >= 0:
            return self.parameters.quantity * stance
        return -self.parameters.quantity if self.parameters.short else Decimal(0)

    def _trade(self, symbol: str, change: Decimal) -> None:
        if change > 0:
            self.buy(symbol, change)
        elif change < 0:
            self.sell(symbol, -change)
