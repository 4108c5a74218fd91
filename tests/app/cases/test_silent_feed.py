"""Case 02: the broker answers, but has sent no price for 45 seconds."""

from __future__ import annotations

import pytest

from algosat.domain.orders import ModifyRequest, Side, Status
from algosat.trading import close, halts, modify
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist
from tests.app.desks import CAUSE

SYMBOL = "ALPHA-EQ"


@pytest.fixture
def silent(world_at: WorldAt) -> World:
    """Hold 100 shares whose last price is 45 seconds old."""
    world = world_at(ist(2026, 11, 25, 11, 0))
    world.hold(SYMBOL, 100)
    world.tick(2)
    world.clock.forward(seconds=45)
    return world


def test_entry_is_denied(silent: World) -> None:
    order = silent.place(SYMBOL, Side.BUY, 1)
    assert (order.status, order.code) == (Status.DENIED, "stale_quote")


def test_reduce_only_limit_order_passes(silent: World) -> None:
    price = silent.quote(SYMBOL).last
    order = silent.place(SYMBOL, Side.SELL, 100, limit_price=price, reduce_only=True)
    assert order.status in (Status.OPEN, Status.FILLED), order.code


def test_reduce_only_market_order_passes(silent: World) -> None:
    order = silent.place(SYMBOL, Side.SELL, 100, reduce_only=True)
    assert order.status in (Status.OPEN, Status.FILLED), order.code


def test_close_all_passes(silent: World) -> None:
    (order,) = close.close_all(silent.desk, CAUSE).orders
    assert order.status is not Status.DENIED, order.code


def test_flattening_halt_closes_the_position(silent: World) -> None:
    silent.halt_and_flatten()
    silent.run(30, feed=False)
    assert silent.held() == {}


def test_flattening_halt_without_a_fresh_price_raises_an_alert(silent: World) -> None:
    silent.halt_and_flatten()
    silent.run(30, feed=False)
    assert [alert for alert in silent.alerts() if SYMBOL in f"{alert.subject} {alert.detail}"]


def test_plain_sale_of_held_shares_passes_in_a_halt(silent: World) -> None:
    halts.halt_trading(silent.desk, CAUSE, "the feed is silent")
    sold = silent.place(SYMBOL, Side.SELL, 60)
    assert (sold.status, sold.terms.reduce_only) == (Status.FILLED, True), sold.code
    assert silent.place(SYMBOL, Side.SELL, 41).status is Status.DENIED
    assert silent.held() == {SYMBOL: 40}


def test_working_exit_is_repriced_in_a_halt(silent: World) -> None:
    last = silent.quote(SYMBOL).last
    order = silent.place(SYMBOL, Side.SELL, 100, limit_price=last + 10, reduce_only=True)
    assert order.status is Status.OPEN, order.reason
    halts.halt_trading(silent.desk, CAUSE, "the feed is silent", cancel_orders=False)
    modify.modify_order(silent.desk, order.id, ModifyRequest(limit_price=last - 1), CAUSE)
    silent.run(2, feed=False)
    assert silent.held() == {}


def test_exit_passes_after_the_clock_was_set_back(silent: World) -> None:
    silent.clock.forward(seconds=-3600)
    order = silent.place(SYMBOL, Side.SELL, 100, reduce_only=True)
    assert order.status is Status.FILLED, order.code
