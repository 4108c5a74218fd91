"""Case 06: phases without trades, in which the last price is always old."""

from __future__ import annotations

from datetime import datetime

import pytest

from algosat.domain.orders import Side, Status
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import ist

TAKEN = {Status.OPEN, Status.FILLED}


@pytest.mark.parametrize(
    "at",
    [ist(2026, 11, 23, 15, 21), ist(2026, 11, 23, 15, 24), ist(2026, 11, 23, 15, 26)],
    ids=["auction", "late in the auction", "auction, limit orders only"],
)
def test_limit_order_is_accepted_in_the_closing_auction(world_at: WorldAt, at: datetime) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10))
    world.hold("NOVA-EQ", 10)
    world.run_until(at)
    order = world.place("NOVA-EQ", Side.SELL, 1, limit_price=world.quote("NOVA-EQ").last)
    assert order.status in TAKEN, order.code


def test_market_order_is_accepted_in_the_post_close_session(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10))
    world.hold("NOVA-EQ", 10)
    world.run_until(ist(2026, 11, 23, 15, 51))
    order = world.place("NOVA-EQ", Side.SELL, 1)
    assert order.status in TAKEN, order.code


def test_limit_order_is_denied_in_the_post_close_session(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10))
    world.hold("NOVA-EQ", 10)
    world.run_until(ist(2026, 11, 23, 15, 55))
    order = world.place("NOVA-EQ", Side.SELL, 1, limit_price=world.quote("NOVA-EQ").last)
    assert (order.status, order.code) == (Status.DENIED, "market_closed")


@pytest.mark.parametrize("minute", [1, 4], ids=["09:01", "09:04"])
def test_market_order_is_accepted_in_the_pre_open_session(world_at: WorldAt, minute: int) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10)).jump(ist(2026, 11, 25, 8, 59))
    world.run_until(ist(2026, 11, 25, 9, minute), step=5)
    order = world.place("ALPHA-EQ", Side.BUY, 5)
    assert order.status in TAKEN, order.code
