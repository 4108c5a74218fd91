from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from algosat.domain.orders import Side, Status
from algosat.strategies.examples.moving_average_crossover import CrossoverParameters, MovingAverageCrossover
from tests.app.strategies.fakes import MORNING, FakeContext, bar_of

RISING = ["100", "100", "100", "104"]  # the last close makes the fast average of 2 cross the slow one of 3
SYMBOL = "ALPHA-EQ"


@pytest.fixture
def context() -> FakeContext:
    return FakeContext()


def strategy(context: FakeContext, **differences: Any) -> MovingAverageCrossover:
    values = {"symbols": [SYMBOL], "fast": 2, "slow": 3, "quantity": 10, **differences}
    return MovingAverageCrossover(CrossoverParameters.model_validate(values), context, {})


def feed(tried: MovingAverageCrossover, *closes: str) -> None:
    for number, close in enumerate(closes):
        tried.on_bar(bar_of(close, MORNING + timedelta(minutes=number)))


def test_buys_when_the_fast_average_crosses_above_the_slow_one(context: FakeContext) -> None:
    tried = strategy(context)
    feed(tried, *RISING[:-1])
    assert context.orders == []
    feed(tried, RISING[-1])
    (order,) = context.orders
    assert (order.terms.side, order.terms.quantity, order.terms.strategy) == (
        Side.BUY,
        Decimal(10),
        "tried",
    )


def test_does_not_enter_a_trend_that_began_before_its_first_bar(context: FakeContext) -> None:
    feed(strategy(context), "100", "101", "102", "103", "104", "105")
    assert context.orders == []


def test_sells_its_position_when_the_fast_average_crosses_below(context: FakeContext) -> None:
    tried = strategy(context)
    feed(tried, *RISING)
    context.set_status(context.orders[0], Status.FILLED)
    context.positions[SYMBOL] = Decimal(10)
    feed(tried, "90")
    assert [(order.terms.side, order.terms.quantity) for order in context.orders[1:]] == [
        (Side.SELL, Decimal(10))
    ]


def test_reverses_with_one_order_if_it_may_be_short(context: FakeContext) -> None:
    tried = strategy(context, short=True)
    feed(tried, *RISING)
    context.set_status(context.orders[0], Status.FILLED)
    context.positions[SYMBOL] = Decimal(10)
    feed(tried, "90")
    assert context.orders[-1].terms.quantity == 20


def test_waits_while_its_order_is_working(context: FakeContext) -> None:
    tried = strategy(context, short=True)
    feed(tried, *RISING)
    feed(tried, "90")
    assert len(context.orders) == 1


def test_failed_exit_is_repeated_at_the_next_bar(context: FakeContext) -> None:
    tried = strategy(context)
    feed(tried, *RISING)
    context.set_status(context.orders[0], Status.FILLED)
    context.positions[SYMBOL] = Decimal(10)
    feed(tried, "90")
    context.set_status(context.orders[1], Status.DENIED)
    feed(tried, "90")
    assert context.closed == [SYMBOL]


def test_state_is_kept_for_other_averages_but_not_for_other_bars() -> None:
    state = {"closes": {SYMBOL: ["1"]}}
    values = {"symbols": [SYMBOL], "quantity": 10}
    before = CrossoverParameters.model_validate(values)
    longer = CrossoverParameters.model_validate({**values, "slow": 50})
    hourly = CrossoverParameters.model_validate({**values, "bar_seconds": 3600})
    assert MovingAverageCrossover.migrate_state(state, before, longer) == state
    assert MovingAverageCrossover.migrate_state(state, before, hourly) == {}
