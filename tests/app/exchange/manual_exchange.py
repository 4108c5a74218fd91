"""The simulated exchange, driven event by event by a test."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from algosat.domain.calendar import AlwaysOpen, Calendar
from algosat.domain.instruments import Quote
from algosat.domain.orders import PRICES, OrderChange, OrderTerms, OrderType, Side, Trade, Validity
from algosat.exchange import listings
from algosat.exchange.exchange_events import (
    Answered,
    Cancel,
    Changed,
    Clock,
    Cross,
    Event,
    Modify,
    Output,
    Place,
    Refusal,
    Tick,
)
from algosat.exchange.market import Market, step
from algosat.exchange.order_book import BookOrder
from algosat.exchange.rules import Rules

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)  # 10:30 at the exchange, a Friday
SHARE = "EMBER-EQ"  # tick 0.05, lot 1
FUTURE = "NOVA-FUT"  # tick 0.10, lot 500, freeze 20,000
UNIVERSE = listings.packaged()


def rules_of(*, calendar: Calendar | None = None, **differences: Any) -> Rules:
    rules = Rules(universe=UNIVERSE, calendar=calendar or AlwaysOpen(), seed=7)
    return replace(rules, **differences)


def quote_of(symbol: str = SHARE, *, at: datetime = NOW, **differences: str | Decimal) -> Quote:
    """Return a quote around 100 with 1000 at bid and ask; `last="101"` changes one field."""
    fields = {
        "last": "100", "bid": "99.90", "ask": "100.10", "bid_quantity": "1000", "ask_quantity": "1000",
        "volume": "50000", "open": "100", "high": "200", "low": "50",
        "lower_circuit": "80", "upper_circuit": "120",
    }  # fmt: skip
    return Quote(symbol, at, **{name: Decimal(value) for name, value in {**fields, **differences}.items()})


def terms_of(side: Side = Side.BUY, quantity: int | str = 100, **differences: Any) -> OrderTerms:
    """Return the terms of a market order; a limit or trigger price makes it the type that has them."""
    prices = {name: _price(differences.get(name)) for name in ("limit_price", "trigger_price")}
    kinds = {
        (False, False): OrderType.MARKET,
        (True, False): OrderType.LIMIT,
        (False, True): OrderType.STOP,
        (True, True): OrderType.STOP_LIMIT,
    }
    kind = kinds[prices["limit_price"] is not None, prices["trigger_price"] is not None]
    terms = OrderTerms("paper", SHARE, side, Decimal(quantity), kind)
    return replace(terms, **{**differences, **prices})


class ManualExchange:
    """Applies events to the exchange, and keeps its state and all outputs."""

    def __init__(self, rules: Rules | None = None, *, at: datetime = NOW) -> None:
        self.rules = rules or rules_of()
        self.market = Market()
        self.at = at
        self.outputs: list[Output] = []
        self._numbers = count(1)

    def apply(self, event: Event) -> list[Output]:
        self.market, outputs = step(self.rules, self.market, event, self.at)
        self.outputs += outputs
        return list(outputs)

    def quote(self, symbol: str = SHARE, **differences: str | Decimal) -> list[Output]:
        return self.apply(Tick(quote_of(symbol, at=self.at, **differences)))

    def wait(self, seconds: float = 1) -> list[Output]:
        self.at += timedelta(seconds=seconds)
        return self.apply(Clock())

    def until(self, at: datetime) -> list[Output]:
        self.at = at
        return self.apply(Clock())

    def place(self, terms: OrderTerms, tag: str = "a00000000000000001") -> BookOrder:
        """Place an order. Returns the order as answered."""
        answer = self._ask(Place(next(self._numbers), tag, terms))
        assert answer.refusal is None, answer.refusal
        assert answer.order is not None
        return answer.order

    def refusal(self, terms: OrderTerms) -> Refusal:
        """Place an order that must be refused. Returns the refusal."""
        answer = self._ask(Place(next(self._numbers), "a00000000000000001", terms))
        assert answer.refusal is not None
        return answer.refusal

    def cancel(self, order: BookOrder) -> Answered:
        return self._ask(Cancel(next(self._numbers), order.id, order.terms.symbol))

    def modify(self, order: BookOrder, **differences: Any) -> Answered:
        terms = order.terms
        whole = {"quantity": terms.quantity, **terms.prices, **differences}
        prices = {name: _price(whole[name]) for name in PRICES}
        change = OrderChange(Decimal(whole["quantity"]), **prices)
        return self._ask(Modify(next(self._numbers), order.id, terms.symbol, change))

    def cross(self, order: BookOrder, quantity: int) -> Answered:
        return self._ask(Cross(next(self._numbers), order.id, order.terms.symbol, Decimal(quantity)))

    def order(self, order: BookOrder) -> BookOrder:
        """Return the latest version of an order."""
        changes = [out.order for out in self.outputs if isinstance(out, Changed) and out.order.id == order.id]
        return changes[-1]

    def trades(self, order: BookOrder) -> list[tuple[int, str]]:
        return [(int(trade.quantity), str(trade.price)) for trade in self.order(order).trades]

    def all_trades(self) -> list[Trade]:
        newest = {output.order.id: output.order for output in self.outputs if isinstance(output, Changed)}
        return [trade for order in newest.values() for trade in order.trades]

    def _ask(self, request: Event) -> Answered:
        answers = [output for output in self.apply(request) if isinstance(output, Answered)]
        return answers[-1]


def ioc(terms: OrderTerms) -> OrderTerms:
    return replace(terms, validity=Validity.IOC)


def _price(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)
