"""Buy after a dip below the average, sell at the average, and protect the position with a stop."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from algosat.domain.orders import Order
from algosat.strategies.bars import Bar
from algosat.strategies.base import Strategy
from algosat.strategies.parameters import Parameters, Quantity

Percent = Annotated[Decimal, Field(gt=0, lt=50)]


class DipParameters(Parameters):
    quantity: Quantity
    bars: Annotated[int, Field(ge=2, le=500, description="Bars in the average")] = 20
    dip_percent: Percent = Decimal("0.2")
    stop_percent: Percent = Decimal("0.5")


class BuyTheDip(Strategy[DipParameters]):
    parameters_model = DipParameters

    def on_bar(self, bar: Bar) -> None:
        average = self._average(bar)
        if average is None:
            return
        is_flat = not self.position(bar.symbol) and not self.working(bar.symbol)
        if is_flat and bar.close <= average * (1 - self.parameters.dip_percent / 100):
            self.state[bar.symbol] = "hold"
            self.buy(bar.symbol, self.parameters.quantity)
        elif bar.close >= average:
            self.state[bar.symbol] = "leave"
        self._follow_up(bar.symbol)

    def on_order(self, order: Order) -> None:
        self._follow_up(order.terms.symbol)

    def _average(self, bar: Bar) -> Decimal | None:
        """Return the average of the last closes; None until there are enough of them."""
        closes = self.state.setdefault("closes", {}).setdefault(bar.symbol, [])
        closes.append(str(bar.close))
        del closes[: -self.parameters.bars]
        if len(closes) < self.parameters.bars:
            return None
        return sum(map(Decimal, closes), Decimal(0)) / len(closes)

    def _follow_up(self, symbol: str) -> None:
        """Protect a position that is to be held; close one that is to be left, once its stop is cancelled."""
        if self.position(symbol) <= 0:
            return
        if self.state.get(symbol) == "leave":
            if self.working(symbol):
                self.cancel_working(symbol)
            else:
                self.close(symbol)
        elif not self.working(symbol):
            self._place_stop(symbol)

    def _place_stop(self, symbol: str) -> None:
        quote = self.context.quote(symbol)
        if quote is None:
            return
        tick = self.context.instrument(symbol).tick
        trigger = quote.last * (1 - self.parameters.stop_percent / 100) // tick * tick
        self.sell(symbol, self.position(symbol), trigger=trigger, reduce_only=True)
