"""Case 05: the packaged calendar ends on 31 December 2026; the exchange goes on trading."""

from __future__ import annotations

from dataclasses import replace

import pytest

from algosat.domain.orders import Side, Status
from algosat.trading import close
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist
from tests.app.desks import CAUSE

SYMBOL = "ALPHA-EQ"


@pytest.fixture
def uncovered(world_at: WorldAt) -> World:
    """Hold 100 shares on 1 January 2027, a Friday, with a fresh price."""
    world = world_at(ist(2026, 12, 31, 15, 5))
    world.hold(SYMBOL, 100)
    world.run_until(ist(2026, 12, 31, 15, 30))
    world.jump(ist(2027, 1, 1, 9, 20))
    refresh(world)
    return world


def refresh(world: World) -> None:
    """Receive the last known price again, with the present time."""
    world.receive(replace(world.quote(SYMBOL), at=world.clock()))


def test_entry_is_denied(uncovered: World) -> None:
    order = uncovered.place(SYMBOL, Side.BUY, 1)
    assert (order.status, order.code) == (Status.DENIED, "calendar_unknown")


def test_reduce_only_order_passes(uncovered: World) -> None:
    order = uncovered.place(SYMBOL, Side.SELL, 100, reduce_only=True)
    assert order.status is not Status.DENIED, order.code


def test_close_all_passes(uncovered: World) -> None:
    (order,) = close.close_all(uncovered.desk, CAUSE).orders
    assert order.status is not Status.DENIED, order.code


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 05: flatten closes nothing")
def test_flattening_halt_closes_the_position(uncovered: World) -> None:
    uncovered.halt_and_flatten()
    for _ in range(30):
        refresh(uncovered)
        uncovered.tick()
    assert uncovered.held() == {}
