"""Case 04: after an overnight gap, the day's loss counts from the previous close."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist

SYMBOL = "ALPHA-EQ"


@pytest.fixture
def overnight(world_at: WorldAt) -> World:
    """Hold 2,000 shares after the close of the market."""
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


def test_loss_halts_trading_if_the_engine_ran_at_midnight(overnight: World) -> None:
    overnight.jump(ist(2026, 11, 26, 0, 0, 5))
    open_with_a_gap(overnight)
    ((_, reason),) = overnight.halts()
    assert "today; the limit is 50000" in reason


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 04: the day opens after the gap; no halt")
def test_loss_halts_trading_if_the_engine_starts_after_the_gap(overnight: World) -> None:
    closed_at = overnight.quote(SYMBOL).last
    open_with_a_gap(overnight)
    assert overnight.halts() == [("all", f"lost {2000 * (closed_at - 150):.2f} today; the limit is 50000")]
