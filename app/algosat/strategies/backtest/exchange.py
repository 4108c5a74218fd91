"""The paper market of a back-test, and the rule against looking ahead.

What is decided at one price can only be carried out at a later one: an order waits until its symbol's
next quote. A stop then waits before it, any other order meets it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import count

from algosat.brokers.base import Report
from algosat.brokers.paper import market
from algosat.brokers.paper.events import Cancel, Changed, Event, Place, Tick
from algosat.brokers.paper.market import Market
from algosat.brokers.paper.rules import Rules
from algosat.domain.instruments import Quote
from algosat.domain.orders import Order


class Exchange:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._market = Market()
        self._waiting: dict[str, list[Order]] = {}  # by symbol
        self._requests = count(1)

    def submit(self, order: Order) -> None:
        """Send an order; it arrives with its symbol's next quote."""
        self._waiting.setdefault(order.intent.symbol, []).append(order)

    def cancel(self, order: Order, at: datetime) -> list[Report]:
        """Cancel an order at once; none to report where it has not arrived yet."""
        waiting = self._waiting.get(order.intent.symbol, [])
        if order in waiting:
            waiting.remove(order)
            return []
        if order.broker_order_id is None:
            return []
        return self._step([Cancel(next(self._requests), order.broker_order_id, order.intent.symbol)], at)

    def tick(self, quote: Quote) -> list[Report]:
        """A new quote, and what waited for it; every change of an order, in order."""
        arriving = self._waiting.pop(quote.symbol, None)
        if arriving is None:
            return self._step([Tick(quote)], quote.at)
        stops = [order for order in arriving if order.intent.type.has_trigger]
        others = [order for order in arriving if not order.intent.type.has_trigger]
        return self._step([*self._places(stops), Tick(quote), *self._places(others)], quote.at)

    def _places(self, orders: Iterable[Order]) -> list[Place]:
        return [Place(next(self._requests), order.id, order.intent) for order in orders]

    def _step(self, events: Iterable[Event], at: datetime) -> list[Report]:
        reports = []
        for event in events:
            self._market, outputs = market.step(self._rules, self._market, event, at)
            reports += [output.order.report() for output in outputs if isinstance(output, Changed)]
        return reports
