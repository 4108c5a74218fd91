"""OCO pairs, brackets and trailing stops of a back-tested strategy."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from algosat.backtest.run import BacktestResult
from algosat.domain.orders import Order, Side, Status
from tests.app.backtest.recordings import SYMBOL, at, backtest, bars, ticks
from tests.app.strategies.fakes import Scripted

TEN = Decimal(10)
pytestmark = pytest.mark.usefixtures("scripted")


def bracket(own: Scripted) -> None:
    own.buy(SYMBOL, TEN, stop_loss=Decimal(98), target=Decimal(103))


def sold(finished: BacktestResult) -> list[tuple[Decimal, Decimal]]:
    """Return quantity and price of each fill that sold."""
    fills = finished.report.outcome.ledger.fills
    return [(fill.quantity, fill.price) for fill in fills if fill.side is Side.SELL]


def working(finished: BacktestResult) -> list[Order]:
    return list(finished.report.outcome.ledger.working.values())


def test_bracket_sells_at_its_target(scripted: type[Scripted]) -> None:
    scripted.script["quote"] = at(0, bracket)
    finished = backtest(ticks("100", "100", "101", "102", "103.20", "101"))
    ((quantity, price),) = sold(finished)
    assert (quantity == 10, price >= 103, working(finished)) == (True, True, [])


def test_target_is_filled_within_a_bar(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(0, bracket)
    finished = backtest(bars("100", "100", ("100", "104", "99.50", "100"), "100"))
    ((quantity, price),) = sold(finished)
    assert (quantity == 10, price >= 103) == (True, True)


def test_bracket_sells_at_its_stop(scripted: type[Scripted]) -> None:
    scripted.script["quote"] = at(0, bracket)
    finished = backtest(ticks("100", "100", "101", "97.50", "104"))
    ((quantity, price),) = sold(finished)
    assert (quantity == 10, price < 98, working(finished)) == (True, True, [])


def test_trailing_stop_follows_the_price(scripted: type[Scripted]) -> None:
    def act(own: Scripted) -> None:
        own.buy(SYMBOL, TEN, trail=Decimal(2))

    scripted.script["quote"] = at(0, act)
    finished = backtest(ticks("100", "100", "103", "105", "105", "104", "102.80", "102", seconds=10))
    ((_, price),) = sold(finished)
    assert Decimal(102) <= price < 103


def test_pair_for_a_position_closes_it_once(scripted: type[Scripted]) -> None:
    def act(own: Scripted, order: Order) -> None:
        if order.status is Status.FILLED and order.terms.side is Side.BUY:
            own.sell(SYMBOL, TEN, trigger=Decimal(98), target=Decimal(103), reduce_only=True)

    scripted.script["quote"] = at(0, lambda own: own.buy(SYMBOL, TEN))
    scripted.script["order"] = act
    finished = backtest(ticks("100", "100", "101", "103.20", "97", "96"))
    assert [quantity for quantity, _ in sold(finished)] == [10]


def test_cancelled_stop_takes_its_target_with_it(scripted: type[Scripted]) -> None:
    scripted.script["quote"] = at(0, bracket)
    scripted.script["order"] = lambda own, order: (
        own.context.cancel(order.id) if order.status is Status.TRIGGER_PENDING else None
    )
    finished = backtest(ticks("100", "100", "101", "101", "104", "105"))
    assert sold(finished) == []


def test_contradiction_is_a_denied_order(scripted: type[Scripted]) -> None:
    def act(own: Scripted) -> None:
        own.buy(SYMBOL, TEN, stop_loss=Decimal(98), target=Decimal(99))

    scripted.script["quote"] = at(0, act)
    finished = backtest(ticks("100", "100"))
    assert finished.report.outcome.denied == {"invalid_terms": 1}


@pytest.mark.parametrize(("expires_on", "left"), [(date(2026, 11, 23), 0), (None, 10)])
def test_stop_of_exits_over_several_days_is_placed_again(
    scripted: type[Scripted], expires_on: date | None, left: int
) -> None:
    def act(own: Scripted) -> None:
        own.buy(SYMBOL, TEN, stop_loss=Decimal(98), target=Decimal(103), exits_expire_on=expires_on)

    scripted.script["bar"] = at(0, act)
    prices = enumerate(("100", "97", "97", "97"), start=15)
    next_day = [f"2026-11-23T09:{minute}:00+05:30,{SYMBOL},{p},{p},{p},{p},1000\n" for minute, p in prices]
    finished = backtest(
        [*bars("100", "100", "100"), *next_day], parameters={"product": "delivery"}, market="09:15-15:30"
    )
    assert finished.report.outcome.ledger.position(SYMBOL).quantity == left
