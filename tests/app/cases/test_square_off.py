"""Case 03: the engine is not running when intraday positions must be closed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from algosat.domain.orders import Product, Side
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist

LONG, SHORT = "ALPHA-EQ", "NOVA-EQ"


@pytest.fixture
def intraday(world_at: WorldAt) -> World:
    """Hold 300 long and 100 short at 14:55, before the square-off."""
    world = world_at(ist(2026, 11, 25, 14, 55))
    world.hold(LONG, 300, product=Product.INTRADAY)
    world.hold(SHORT, 100, side=Side.SELL, product=Product.INTRADAY)
    return world


def test_intraday_positions_are_closed_before_the_close(intraday: World) -> None:
    intraday.run_until(ist(2026, 11, 25, 15, 17))
    assert intraday.held() == {}


def test_late_engine_closes_within_the_window(intraday: World) -> None:
    intraday.jump(ist(2026, 11, 25, 15, 25)).run(30)
    assert LONG not in intraday.held()


def test_late_engine_closes_in_the_closing_auction(intraday: World) -> None:
    intraday.jump(ist(2026, 11, 25, 15, 21)).run_until(ist(2026, 11, 25, 15, 45))
    assert intraday.held().get(SHORT, Decimal(0)) == 0


def test_missed_square_off_is_made_up_at_the_next_open(intraday: World) -> None:
    intraday.jump(ist(2026, 11, 26, 9, 14)).run_until(ist(2026, 11, 26, 9, 16), step=5)
    assert intraday.held() == {}


def test_missed_square_off_raises_an_alert_with_symbol_and_quantity(intraday: World) -> None:
    intraday.jump(ist(2026, 11, 26, 9, 14)).run_until(ist(2026, 11, 26, 9, 16), step=5)
    texts = [f"{alert.kind} {alert.subject} {alert.detail}" for alert in intraday.alerts()]
    assert [text for text in texts if LONG in text and "300" in text]
    assert [text for text in texts if SHORT in text and "100" in text]


def test_square_off_missed_on_a_friday_is_made_up_on_monday(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 27, 14, 55))
    world.hold(LONG, 300, product=Product.INTRADAY)
    world.jump(ist(2026, 11, 28, 11, 0)).run(30)
    assert world.held() == {LONG: 300}
    world.jump(ist(2026, 11, 30, 9, 14)).run_until(ist(2026, 11, 30, 9, 16), step=5)
    assert world.held() == {}


def test_engine_away_until_after_the_close_makes_up_for_it_the_next_day(intraday: World) -> None:
    intraday.place(
        LONG,
        Side.SELL,
        300,
        limit_price=intraday.quote(LONG).upper_circuit,
        product=Product.INTRADAY,
        reduce_only=True,
    )
    intraday.jump(ist(2026, 11, 25, 18, 0)).run(30)
    assert intraday.held() == {LONG: 300, SHORT: -100}
    intraday.jump(ist(2026, 11, 26, 9, 14)).run_until(ist(2026, 11, 26, 9, 16), step=5)
    assert intraday.held() == {}
    assert intraday.working() == []


def test_delivery_position_is_not_squared_off(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 25, 14, 55))
    world.hold(LONG, 300)
    world.jump(ist(2026, 11, 26, 9, 14)).run_until(ist(2026, 11, 26, 9, 20), step=5)
    assert world.held() == {LONG: 300}
    assert all("square_off" not in each.kind for each in world.alerts())
