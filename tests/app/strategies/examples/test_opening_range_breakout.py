from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from algosat.domain.orders import OrderType, Side, Status
from algosat.strategies.bars import Bar
from algosat.strategies.examples.opening_range_breakout import BreakoutParameters, OpeningRangeBreakout
from tests.app.strategies.fakes import MORNING, FakeContext, bar_of

SYMBOL = "ALPHA-EQ"


@pytest.fixture
def context() -> FakeContext:
    return FakeContext()


def strategy(context: FakeContext, **differences: Any) -> OpeningRangeBreakout:
    values = {"symbols": [SYMBOL], "range_minutes": 2, "quantity": 10, **differences}
    return OpeningRangeBreakout(BreakoutParameters.model_validate(values), context, {})


def minute(number: int) -> datetime:
    return MORNING + timedelta(minutes=number)


def deliver(tried: OpeningRangeBreakout, context: FakeContext, bar: Bar) -> None:
    context.now = bar.end
    tried.on_bar(bar)


def opened(context: FakeContext, **differences: Any) -> OpeningRangeBreakout:
    """Return a strategy after its opening range, which is 98 to 102."""
    tried = strategy(context, **differences)
    deliver(tried, context, bar_of("100", minute(0), high="101", low="98"))
    deliver(tried, context, bar_of("100", minute(1), high="102", low="99"))
    return tried


def entered(context: FakeContext) -> OpeningRangeBreakout:
    """Return a strategy that is long 10, with its stop at 98."""
    tried = opened(context)
    deliver(tried, context, bar_of("103", minute(2)))
    context.positions[SYMBOL] = Decimal(10)
    tried.on_order(context.set_status(context.orders[0], Status.FILLED, "10"))
    return tried


def test_close_above_the_range_buys_and_close_within_it_does_not(context: FakeContext) -> None:
    tried = opened(context)
    deliver(tried, context, bar_of("102", minute(2)))
    assert context.orders == []
    deliver(tried, context, bar_of("102.05", minute(3)))
    assert [(order.terms.side, order.terms.type) for order in context.orders] == [
        (Side.BUY, OrderType.MARKET)
    ]


def test_close_below_the_range_sells_only_if_it_may_be_short(context: FakeContext) -> None:
    deliver(opened(context, short=False), context, bar_of("97", minute(2)))
    assert context.orders == []
    deliver(opened(context), context, bar_of("97", minute(2)))
    assert context.orders[0].terms.side is Side.SELL


def test_fill_is_protected_by_a_stop_at_the_other_end_of_the_range(context: FakeContext) -> None:
    entered(context)
    stop = context.orders[1].terms
    assert (stop.side, stop.type) == (Side.SELL, OrderType.STOP)
    assert (stop.trigger_price, stop.quantity) == (Decimal(98), Decimal(10))
    assert stop.reduce_only


def test_second_partial_fill_is_protected_by_a_second_stop(context: FakeContext) -> None:
    tried = opened(context)
    deliver(tried, context, bar_of("103", minute(2)))
    context.positions[SYMBOL] = Decimal(4)
    entry = context.set_status(context.orders[0], Status.PARTIALLY_FILLED, "4")
    tried.on_order(entry)
    context.positions[SYMBOL] = Decimal(10)
    tried.on_order(context.set_status(entry, Status.FILLED, "10"))
    assert [order.terms.quantity for order in context.orders[1:]] == [4, 6]


def test_trades_once_a_day_and_again_on_the_next(context: FakeContext) -> None:
    tried = opened(context)
    for number in (2, 3):
        deliver(tried, context, bar_of("103", minute(number)))
    assert len(context.orders) == 1
    tomorrow = MORNING + timedelta(days=1)
    for number, close in ((0, "100"), (1, "100"), (2, "105")):
        deliver(tried, context, bar_of(close, tomorrow + timedelta(minutes=number)))
    assert len(context.orders) == 2


def test_stop_is_cancelled_and_position_closed_at_flat_by(context: FakeContext) -> None:
    tried = entered(context)
    deliver(tried, context, bar_of("105", minute(345)))  # ends at 15:01
    assert context.orders[1].status is Status.CANCELLED
    assert context.closed == [SYMBOL]


def test_nothing_is_entered_after_flat_by(context: FakeContext) -> None:
    tried = opened(context)
    deliver(tried, context, bar_of("110", minute(345)))
    assert context.orders == []


def test_fill_after_flat_by_is_closed(context: FakeContext) -> None:
    tried = opened(context)
    deliver(tried, context, bar_of("103", minute(2)))
    context.now = minute(346)
    context.positions[SYMBOL] = Decimal(10)
    tried.on_order(context.set_status(context.orders[0], Status.FILLED, "10"))
    assert context.closed == [SYMBOL]


def test_started_at_noon_it_skips_the_day_and_trades_on_the_next(context: FakeContext) -> None:
    tried = strategy(context)
    for number, close in ((165, "100"), (166, "100"), (167, "105"), (168, "95")):
        deliver(tried, context, bar_of(close, minute(number)))
    assert context.orders == []
    tomorrow = MORNING + timedelta(days=1)
    for number, close in ((0, "100"), (1, "100"), (2, "105")):
        deliver(tried, context, bar_of(close, tomorrow + timedelta(minutes=number)))
    assert [order.terms.side for order in context.orders] == [Side.BUY]


def test_trades_before_the_opening_are_not_in_the_range(context: FakeContext) -> None:
    tried = strategy(context)
    deliver(tried, context, bar_of("100", minute(-8), high="120", low="80"))
    deliver(tried, context, bar_of("100", minute(0), high="101", low="98"))
    deliver(tried, context, bar_of("100", minute(1), high="102", low="99"))
    deliver(tried, context, bar_of("103", minute(2)))
    assert [order.terms.side for order in context.orders] == [Side.BUY]


def test_restart_within_the_range_skips_the_day(context: FakeContext) -> None:
    tried = strategy(context)
    deliver(tried, context, bar_of("100", minute(0)))
    again = OpeningRangeBreakout(tried.parameters, context, tried.state)
    again.on_start()
    deliver(again, context, bar_of("105", minute(3)))
    assert context.orders == []


def test_restart_after_the_range_changes_nothing(context: FakeContext) -> None:
    tried = opened(context)
    again = OpeningRangeBreakout(tried.parameters, context, tried.state)
    again.on_start()
    deliver(again, context, bar_of("105", minute(30)))
    assert [order.terms.side for order in context.orders] == [Side.BUY]


def test_range_without_a_quote_in_its_last_minute_survives_a_later_restart(
    context: FakeContext,
) -> None:
    tried = strategy(context)
    deliver(tried, context, bar_of("100", minute(0), high="101", low="98"))
    deliver(tried, context, bar_of("100", minute(2)))
    again = OpeningRangeBreakout(tried.parameters, context, tried.state)
    again.on_start()
    deliver(again, context, bar_of("105", minute(30)))
    assert [order.terms.side for order in context.orders] == [Side.BUY]


def test_first_bar_is_the_opening_in_a_market_that_never_closes(context: FakeContext) -> None:
    context.opening = None
    tried = strategy(context)
    for number, close in ((165, "100"), (166, "100"), (167, "105")):
        deliver(tried, context, bar_of(close, minute(number)))
    assert [order.terms.side for order in context.orders] == [Side.BUY]


def test_opening_within_the_first_bar_counts_as_watched(context: FakeContext) -> None:
    """Hourly bars begin at the full hour, before the opening at 09:15."""
    context.opening = time(9, 15)
    tried = strategy(context, range_minutes=15, bar_seconds=3600)
    nine = minute(-15)
    for hour, close in ((0, "100"), (1, "105")):
        bar = replace(bar_of(close, nine + timedelta(hours=hour)), seconds=3600)
        deliver(tried, context, bar)
    assert [order.terms.side for order in context.orders] == [Side.BUY]
