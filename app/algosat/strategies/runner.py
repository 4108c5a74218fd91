"""The runner: builds bars from quotes and delivers strategy events to callbacks, one at a time.

The live process and the back-test both run a strategy through `Runner` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from algosat.domain.instruments import Quote
from algosat.domain.orders import Order
from algosat.strategies.bars import Bars
from algosat.strategies.base import Strategy, StrategyContext
from algosat.strategies.strategy_events import (
    BarClosed,
    OrderUpdated,
    QuoteReceived,
    Started,
    Stopping,
    StrategyEvent,
)


class Driver(StrategyContext, Protocol):
    """A strategy context that is called before and after each event."""

    def begin(self, event: StrategyEvent) -> None: ...

    def end(self, event: StrategyEvent, state: Mapping[str, Any]) -> None:
        """Note that the callback has returned and left this state."""


class Runner:
    """One strategy, its bars and its driver."""

    def __init__(
        self,
        strategy: Strategy[Any],
        driver: Driver,
        *,
        watching_since: datetime | None = None,
        daily_bars: Mapping[str, datetime] | None = None,
    ) -> None:
        """Build a runner; `daily_bars` has the end of the last daily bar that was handled, by symbol."""
        parameters = strategy.parameters
        self._strategy = strategy
        self._driver = driver
        self._bars = {
            symbol: Bars(
                symbol,
                parameters.bar_seconds,
                zone=driver.zone,
                closes_at=partial(driver.closes_at, symbol),
                watching_since=watching_since,
                returned=daily_bars,
            )
            for symbol in parameters.symbols
        }
        # Most strategies use bars only: calling an empty `on_quote` would take most of a back-test's time.
        self._wants_quotes = type(strategy).on_quote is not Strategy.on_quote

    def start(self, at: datetime, run: str) -> None:
        self.deliver(Started(at, run))

    def stop(self, at: datetime, run: str) -> None:
        self.deliver(Stopping(at, run))

    def pass_time(self, at: datetime) -> None:
        """Deliver the bars that have ended by `at`, the earliest first."""
        ended = [bar for bars in self._bars.values() if (bar := bars.ended(at)) is not None]
        for bar in sorted(ended, key=lambda bar: bar.end) if len(ended) > 1 else ended:
            self.deliver(BarClosed(bar))

    def quote(self, quote: Quote) -> None:
        """Add a quote to its bar and deliver it. Call `pass_time` with the quote's time first."""
        bars = self._bars.get(quote.symbol)
        if bars is None:
            return
        bars.add(quote)
        if self._wants_quotes:
            self.deliver(QuoteReceived(quote))

    def order(self, order: Order) -> None:
        self.deliver(OrderUpdated(order, order.version))

    def deliver(self, event: StrategyEvent) -> None:
        """Call the strategy for an event. An exception of the callback is not caught."""
        self._driver.begin(event)
        match event:
            case Started():
                self._strategy.on_start()
            case BarClosed(bar):
                self._strategy.on_bar(bar)
            case QuoteReceived(quote):
                self._strategy.on_quote(quote)
            case OrderUpdated(order, _):
                self._strategy.on_order(order)
            case Stopping():
                self._strategy.on_stop()
        self._driver.end(event, self._strategy.state)
