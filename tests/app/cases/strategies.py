"""Strategies for the cases."""

from __future__ import annotations

from decimal import Decimal

from algosat.domain.orders import Order, Side
from algosat.strategies.bars import Bar
from algosat.strategies.base import Strategy
from algosat.strategies.parameters import Parameters, Quantity


class OnceParameters(Parameters):
    quantity: Quantity
    buy_at: int = 1  # number of the bar after which it buys
    sell_at: int = 0  # number of the bar after which it closes; 0: never
    stop: Decimal | None = None  # trigger of a protective stop, placed once the entry is filled


class Once(Strategy[OnceParameters]):
    """Buys once and closes once."""

    parameters_model = OnceParameters

    def on_bar(self, bar: Bar) -> None:
        number = self.state[bar.symbol] = self.state.get(bar.symbol, 0) + 1
        if number == self.parameters.buy_at:
            self.buy(bar.symbol, self.parameters.quantity)
        if number == self.parameters.sell_at:
            self.close(bar.symbol)

    def on_order(self, order: Order) -> None:
        terms, trigger = order.terms, self.parameters.stop
        if trigger is None or terms.side is Side.SELL or not order.filled_quantity:
            return
        if not self.working(terms.symbol):
            self.sell(terms.symbol, order.filled_quantity, trigger=trigger, reduce_only=True)


class BuyEveryBarParameters(Parameters):
    quantity: Quantity
    limit: Decimal


class BuyEveryBar(Strategy[BuyEveryBarParameters]):
    """Places one limit order after each bar."""

    parameters_model = BuyEveryBarParameters

    def on_bar(self, bar: Bar) -> None:
        self.buy(bar.symbol, self.parameters.quantity, limit=self.parameters.limit)
