"""Case 04: the price gaps over night and the loss of the day counts from yesterday's close."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist

SYMBOL = "ALPHA-EQ"


@pytest.fixture
def over_night(world_at: WorldAt) -> World:
    """2,000 shares, and the market closed."""
    world = world_at(ist(2026, 11, 25, 15, 5))
    world.hold(SYMBOL, 2000)
    world.run_until(ist(2026, 11, 25, 15, 31))
    return world


def open_with_a_gap(world: World) -> None:
    """Start the next day at 150.00, some 30 rupees below the close."""
    world.clock.at = ist(2026, 11, 26, 9, 16)
    low, price, high = Decimal("149.90"), Decimal(150), Decimal("150.10")
    quote = world.quote(SYMBOL)
    world.receive(
        replace(quote, at=world.clock(), last=price, bid=low, ask=high, open=price, high=price, low=price)
    )
    for _ in range(2):
        world.components.duties.step(world.clock())
        world.clock.forward(seconds=2)


def test_the_loss_halts_trading_if_the_engine_ran_at_midnight(over_night: World) -> None:
    over_night.jump(ist(2026, 11, 26, 0, 0, 5))
    open_with_a_gap(over_night)
    ((_, reason),) = over_night.halts()
    assert "today; the limit is 50000" in reason


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 04: the day opens after the gap; no halt")
def test_the_loss_halts_trading_if_the_engine_starts_after_the_gap(over_night: World) -> None:
    closed_at = over_night.quote(SYMBOL).last
    open_with_a_gap(over_night)
    assert over_night.halts() == [("all", f"lost {2000 * (closed_at - 150):.2f} today; the limit is 50000")]
