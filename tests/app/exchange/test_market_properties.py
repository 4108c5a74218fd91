"""Properties of every sequence of orders, modifications, cancels, ticks and waits."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count, pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from algosat.domain.instruments import Quote
from algosat.domain.orders import OrderChange, OrderTerms, OrderType, Side, Status, Validity
from algosat.exchange import depth
from algosat.exchange.exchange_events import (
    Arrive,
    Cancel,
    Changed,
    Clock,
    Event,
    Modify,
    Output,
    Place,
    Tick,
)
from algosat.exchange.market import Market, step
from algosat.exchange.order_book import BookOrder
from algosat.exchange.rules import Rules
from tests.app.exchange.manual_exchange import FUTURE, NOW, SHARE, UNIVERSE, quote_of, rules_of
from tests.app.thorough import examples

RULES = rules_of(latency=timedelta(milliseconds=20))
LIVE = (Status.OPEN, Status.TRIGGER_PENDING, Status.PARTIALLY_FILLED)

symbols = st.sampled_from([SHARE, FUTURE])
prices = st.integers(950, 1050).map(lambda dimes: Decimal(dimes) / 10)  # on both ticks
quantities = st.integers(1, 8).map(lambda lots: Decimal(500 * lots))


@st.composite
def order_terms(draw: st.DrawFn) -> OrderTerms:
    kind = draw(st.sampled_from(OrderType))
    return OrderTerms(
        account="paper",
        symbol=draw(symbols),
        side=draw(st.sampled_from(Side)),
        quantity=draw(quantities),
        type=kind,
        limit_price=draw(prices) if kind.has_limit else None,
        trigger_price=draw(prices) if kind.has_trigger else None,
        protection_price=draw(st.none() | prices) if not kind.has_limit else None,
        validity=draw(st.sampled_from(Validity)),
    )


@st.composite
def ticks(draw: st.DrawFn) -> dict[str, Any]:
    last = draw(prices)
    return {
        "symbol": draw(symbols),
        "last": last,
        "bid": last - draw(st.sampled_from([Decimal(0), Decimal("0.20")])),
        "ask": last + Decimal("0.10"),
        "bid_quantity": 500 * draw(st.integers(0, 4)),
        "ask_quantity": 500 * draw(st.integers(0, 4)),
        "more": 500 * draw(st.integers(0, 10)),
    }


action_lists = st.lists(
    st.one_of(
        order_terms(),
        ticks(),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("modify"), st.integers(0, 30), quantities, prices),
        st.tuples(st.just("wait"), st.integers(1, 90)),
    ),
    min_size=1,
    max_size=40,
)


class Run:
    """One run of the exchange: its steps and all outputs."""

    def __init__(self, rules: Rules, actions: list[Any]) -> None:
        self.rules, self.market, self.at = rules, Market(), NOW
        self.outputs: list[Output] = []
        self.steps: list[tuple[Market, Event, Market, tuple[Output, ...]]] = []
        self._numbers = count(1)
        self._volume: dict[str, Decimal] = defaultdict(lambda: Decimal(50_000))
        for symbol in (SHARE, FUTURE):
            self._apply(Tick(quote_of(symbol, at=self.at)))
        for action in actions:
            self.at += timedelta(milliseconds=15)
            self._apply(self._event(action))
        self.at += timedelta(seconds=1)
        self._apply(Clock())

    def orders(self) -> dict[str, BookOrder]:
        return {output.order.id: output.order for output in self.outputs if isinstance(output, Changed)}

    def histories(self) -> dict[str, list[BookOrder]]:
        histories = defaultdict(list)
        for output in self.outputs:
            if isinstance(output, Changed):
                histories[output.order.id].append(output.order)
        return histories

    def _apply(self, action: Event) -> None:
        for event in (Arrive(), action):  # requests that arrive are a step of their own
            before = self.market
            self.market, outputs = step(self.rules, before, event, self.at)
            self.outputs += outputs
            self.steps.append((before, event, self.market, outputs))

    def _event(self, action: Any) -> Event:
        match action:
            case OrderTerms():
                return Place(next(self._numbers), "a00000000000000001", action)
            case dict():
                return Tick(self._quote(action))
            case ("wait", seconds):
                self.at += timedelta(seconds=seconds)
                return Clock()
            case ("cancel", number):
                order = self._some_order(number)
                return Cancel(next(self._numbers), order.id, order.terms.symbol) if order else Clock()
            case ("modify", number, quantity, price):
                order = self._some_order(number)
                if order is None:
                    return Clock()
                terms = order.terms
                change = OrderChange(
                    quantity,
                    limit_price=price if terms.limit_price else None,
                    trigger_price=terms.trigger_price,
                )
                return Modify(next(self._numbers), order.id, terms.symbol, change)
        raise AssertionError(action)

    def _quote(self, tick: dict[str, Any]) -> Quote:
        self._volume[tick["symbol"]] += tick["more"]
        fields = {name: value for name, value in tick.items() if name not in ("symbol", "more")}
        return quote_of(tick["symbol"], at=self.at, volume=self._volume[tick["symbol"]], **fields)

    def _some_order(self, number: int) -> BookOrder | None:
        orders = list(self.orders().values())
        return orders[number % len(orders)] if orders else None


thorough = settings(max_examples=examples(30))


@thorough
@given(action_lists)
def test_filled_quantity_is_the_sum_of_trades_and_never_exceeds_the_order(actions: list[Any]) -> None:
    for order in Run(RULES, actions).orders().values():
        assert order.filled_quantity == sum((trade.quantity for trade in order.trades), Decimal(0))
        if order.status is not Status.REJECTED:
            assert order.filled_quantity <= order.terms.quantity
        assert (order.status is Status.FILLED) == (order.filled_quantity == order.terms.quantity)


@thorough
@given(action_lists)
def test_no_fill_is_worse_than_the_limit(actions: list[Any]) -> None:
    for history in Run(RULES, actions).histories().values():
        known = 0
        for order in history:
            for trade in order.trades[known:]:
                assert order.limit is not None
                assert order.reaches(trade.price)
            known = len(order.trades)


@thorough
@given(action_lists)
def test_fills_are_in_whole_lots_on_the_tick_within_the_circuit_limits(actions: list[Any]) -> None:
    for order in Run(RULES, actions).orders().values():
        instrument = UNIVERSE[order.terms.symbol].instrument
        for trade in order.trades:
            assert instrument.takes_quantity(trade.quantity)
            assert instrument.takes_price(trade.price)
            assert 80 <= trade.price <= 120


@thorough
@given(action_lists)
def test_filled_quantity_only_grows_and_final_orders_never_change(actions: list[Any]) -> None:
    for history in Run(RULES, actions).histories().values():
        for before, after in pairwise(history):
            assert after.filled_quantity >= before.filled_quantity
            assert after.trades[: len(before.trades)] == before.trades
            assert before.status in LIVE
            assert after.version > before.version


@thorough
@given(action_lists)
def test_fills_never_exceed_the_display_and_the_share_of_the_volume(actions: list[Any]) -> None:
    for before, event, after, outputs in Run(RULES, actions).steps:
        if not isinstance(event, Tick):
            continue
        symbol = event.quote.symbol
        filled = _filled(before, outputs, symbol)
        traded = event.quote.volume - (before.book(symbol).quote or event.quote).volume
        displayed = sum(
            level.quantity
            for side in Side
            for level in depth.displayed(RULES.seed, UNIVERSE[symbol].instrument, event.quote, side)
        )
        assert filled <= displayed + max(traded, Decimal(0)) * RULES.participation
        assert after.book(symbol).bids_taken >= 0


@thorough
@given(action_lists)
def test_live_orders_of_the_book_match_the_outputs(actions: list[Any]) -> None:
    run = Run(RULES, actions)
    reported = {number for number, order in run.orders().items() if order.status in LIVE}
    stored = {order.id for book in run.market.books.values() for order in book.orders}
    assert stored == reported


@thorough
@given(action_lists)
def test_same_seed_and_events_give_the_same_outputs_byte_for_byte(actions: list[Any]) -> None:
    assert repr(Run(RULES, actions).outputs) == repr(Run(RULES, actions).outputs)


def test_other_seed_gives_other_fills() -> None:
    actions = [
        OrderTerms("paper", SHARE, Side.BUY, Decimal(4000), OrderType.LIMIT, limit_price=Decimal("101.0"))
    ]
    filled = {
        tuple(order.trades for order in Run(replace(RULES, seed=seed), actions).orders().values())
        for seed in range(5)
    }
    assert len(filled) == 5


def _filled(before: Market, outputs: tuple[Output, ...], symbol: str) -> Decimal:
    had = {order.id: order.filled_quantity for order in before.book(symbol).orders}
    newest = {
        output.order.id: output.order
        for output in outputs
        if isinstance(output, Changed) and output.order.terms.symbol == symbol
    }
    return sum(
        (order.filled_quantity - had.get(number, Decimal(0)) for number, order in newest.items()), Decimal(0)
    )
