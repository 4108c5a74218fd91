"""Drives one strategy: turns quotes into bars and everything that happens into callbacks, one at a time.

The live process and the back-test both drive a strategy through this and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
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
    """A floor that is told when an occasion begins and ends."""

    def begin(self, event: StrategyEvent) -> None: ...

    def end(self, event: StrategyEvent, state: Mapping[str, Any]) -> None:
        """The callback has returned, and left this state."""


class Runner:
    def __init__(
        self, strategy: Strategy[Any], host: Driver, *, watching_since: datetime | None = None
    ) -> None:
        parameters = strategy.parameters
        self._strategy = strategy
        self._host = host
        self._bars = {
            symbol: Bars(symbol, parameters.bar_seconds, watching_since=watching_since)
            for symbol in parameters.symbols
        }
        # Most strategies live on bars: calling nothing for every quote would be most of a back-test's time.
        self._wants_quotes = type(strategy).on_quote is not Strategy.on_quote

    def start(self, at: datetime, run: str) -> None:
        self.deliver(Started(at, run))

    def stop(self, at: datetime, run: str) -> None:
        self.deliver(Stopping(at, run))

    def pass_time(self, at: datetime) -> None:
        """Tell of the bars that are over by now."""
        for bars in self._bars.values():
            bar = bars.ended(at)
            if bar is not None:
                self.deliver(BarClosed(bar))

    def quote(self, quote: Quote) -> None:
        """A new quote; time must have been passed up to it."""
        bars = self._bars.get(quote.symbol)
        if bars is None:
            return
        bars.add(quote)
        if self._wants_quotes:
            self.deliver(QuoteReceived(quote))

    def order(self, order: Order) -> None:
        self.deliver(OrderUpdated(order, order.version))

    def deliver(self, event: StrategyEvent) -> None:
        """Let the strategy live through an occasion. What it raises is raised here, and ends it."""
        self._host.begin(event)
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
        self._host.end(event, self._strategy.state)
