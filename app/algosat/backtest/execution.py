"""Execution of a back-test's orders on the exchange, without look-ahead.

An order, or a change of one, that was decided at a quote reaches the exchange with the symbol's next quote:
a stop before that quote, so that the quote can trigger it, any other order after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import count

from algosat.domain.instruments import Quote
from algosat.domain.orders import Order, OrderChange
from algosat.domain.orders.report import OrderReport
from algosat.exchange import market
from algosat.exchange.exchange_events import Cancel, Changed, Event, Modify, Place, Tick
from algosat.exchange.market import Market
from algosat.exchange.rules import Rules


class Execution:
    """The exchange, and the orders and changes on their way to it."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._market = Market()
        self._arriving: dict[str, list[Order]] = {}  # by symbol
        self._changes: dict[str, list[tuple[Order, OrderChange]]] = {}  # by symbol
        self._requests = count(1)
        self._changed: dict[int, str] = {}  # order id, by number of the modify request
        self._refused: list[str] = []

    def submit(self, order: Order) -> None:
        """Send an order. It arrives with its symbol's next quote."""
        self._arriving.setdefault(order.terms.symbol, []).append(order)

    def place_at_once(self, order: Order, at: datetime) -> list[OrderReport]:
        """Place an order at the present quote, and fill it as an order resting at its limit would be."""
        return self._step(self._places([order]), at)

    def cancel(self, order: Order, at: datetime) -> list[OrderReport]:
        """Cancel an order at once. Returns no report if the order has not arrived yet."""
        arriving = self._arriving.get(order.terms.symbol, [])
        if order in arriving:
            arriving.remove(order)
            return []
        if order.broker_order_id is None:
            return []
        return self._step([Cancel(next(self._requests), order.broker_order_id, order.terms.symbol)], at)

    def modify(self, order: Order, change: OrderChange) -> None:
        """Send a change of an order. It arrives with the symbol's next quote."""
        self._changes.setdefault(order.terms.symbol, []).append((order, change))

    def tick(self, quote: Quote) -> list[OrderReport]:
        """Process a quote and what arrives with it. Returns the order reports in their sequence."""
        arriving, changes = self._arriving.pop(quote.symbol, []), self._changes.pop(quote.symbol, [])
        if not arriving and not changes:
            return self._step([Tick(quote)], quote.at)
        stops = [order for order in arriving if order.terms.type.has_trigger]
        others = [order for order in arriving if not order.terms.type.has_trigger]
        modifies, places = self._modifies(changes), self._places(others)
        return self._step([*self._places(stops), Tick(quote), *modifies, *places], quote.at)

    def take_refused(self) -> list[str]:
        """Return the orders whose change was refused since the last call."""
        refused, self._refused = self._refused, []
        return refused

    def _places(self, orders: Iterable[Order]) -> list[Place]:
        return [Place(next(self._requests), order.id, order.terms) for order in orders]

    def _modifies(self, changes: Iterable[tuple[Order, OrderChange]]) -> list[Modify]:
        requests = []
        for order, change in changes:
            number = next(self._requests)
            self._changed[number] = order.id
            requests.append(Modify(number, order.broker_order_id or "", order.terms.symbol, change))
        return requests

    def _step(self, events: Iterable[Event], at: datetime) -> list[OrderReport]:
        reports = []
        for event in events:
            self._market, outputs = market.step(self._rules, self._market, event, at)
            for output in outputs:
                if isinstance(output, Changed):
                    reports.append(output.order.report())
                elif output.request in self._changed:
                    changing = self._changed.pop(output.request)
                    self._refused += [changing] if output.refusal else []
        return reports
