"""Case 06: phases without trades, in which the last price is always old."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from algosat.domain.orders import Product, Side, Status
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import ist
from tests.app.desks import order_now

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


def test_orders_of_the_pre_open_session_are_filled_at_its_match_at_one_price(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10)).jump(ist(2026, 11, 25, 9, 0))
    with_limit = (world.quote("ALPHA-EQ").last * Decimal("1.04")).quantize(Decimal("0.01"))
    orders = [
        world.place("ALPHA-EQ", Side.BUY, 5),
        world.place("ALPHA-EQ", Side.BUY, 6, limit_price=with_limit),
        world.place("ALPHA-EQ", Side.BUY, 7, product=Product.INTRADAY),
    ]
    world.run_until(ist(2026, 11, 25, 9, 9), step=60)
    assert {order_now(world.desk, order).status for order in orders} == {Status.OPEN}
    world.run_until(ist(2026, 11, 25, 9, 11), step=60)
    filled = [order_now(world.desk, order) for order in orders]
    assert {order.status for order in filled} == {Status.FILLED}
    assert {order.average_price for order in filled} == {world.quote("ALPHA-EQ").open}


def test_orders_of_the_closing_auction_are_filled_at_its_match_or_cancelled(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10))
    world.hold("NOVA-EQ", 10)
    world.run_until(ist(2026, 11, 23, 15, 21))
    last = world.quote("NOVA-EQ").last
    market = world.place("NOVA-EQ", Side.SELL, 3)
    within, above = (
        world.place("NOVA-EQ", Side.SELL, 2, limit_price=(last * Decimal(share)).quantize(Decimal(1)))
        for share in ("0.98", "1.02")
    )
    outside = world.place("NOVA-EQ", Side.SELL, 1, limit_price=(last * Decimal("1.04")).quantize(Decimal(1)))
    assert (outside.status, outside.code) == (Status.REJECTED, "outside_auction_band")
    world.run_until(ist(2026, 11, 23, 15, 29), step=60)
    assert {order_now(world.desk, each).status for each in (market, within, above)} == {Status.OPEN}
    world.run_until(ist(2026, 11, 23, 15, 36), step=60)
    assert [order_now(world.desk, each).average_price for each in (market, within)] == [last, last]
    assert order_now(world.desk, above).status is Status.CANCELLED


def test_post_close_order_is_filled_at_the_closing_price(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10))
    world.hold("ALPHA-EQ", 10)
    world.run_until(ist(2026, 11, 23, 15, 51))
    sold = world.place("ALPHA-EQ", Side.SELL, 4)
    assert (sold.status, sold.average_price) == (Status.FILLED, world.quote("ALPHA-EQ").last)


def test_feed_that_was_silent_before_the_auction_is_stale_in_the_auction(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10))
    last = world.quote("NOVA-EQ").last
    world.clock.at = ist(2026, 11, 23, 15, 21)
    world.broker.step()
    order = world.place("NOVA-EQ", Side.BUY, 1, limit_price=last)
    assert (order.status, order.code) == (Status.DENIED, "stale_quote")
    assert "299.0 s old" in (order.reason or ""), (
        order.reason
    )  # from the quote to the end of continuous trading


@pytest.mark.parametrize(
    ("symbol", "asked", "flat_by"),
    [
        ("NOVA-EQ", ist(2026, 11, 23, 15, 21), ist(2026, 11, 23, 15, 31)),
        ("NOVA-EQ", ist(2026, 11, 23, 15, 24, 30), ist(2026, 11, 23, 15, 31)),
        # The second half of the auction takes no market orders: the post-close session is the next to do so.
        ("NOVA-EQ", ist(2026, 11, 23, 15, 26), ist(2026, 11, 23, 15, 51)),
        ("ALPHA-EQ", ist(2026, 11, 23, 15, 51), ist(2026, 11, 23, 15, 53)),
        ("ALPHA-EQ", ist(2026, 11, 25, 9, 4, 30), ist(2026, 11, 25, 9, 12)),
    ],
    ids=["auction", "end of entry", "auction, limit orders only", "post-close", "pre-open"],
)
def test_position_is_flattened_at_the_match_and_its_exit_stays_until_then(
    world_at: WorldAt, symbol: str, asked: datetime, flat_by: datetime
) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10))
    world.hold(symbol, 10)
    world.run_until(min(asked, ist(2026, 11, 23, 15, 30)))
    if asked > ist(2026, 11, 24, 0, 0):
        world.jump(ist(2026, 11, 25, 9, 0))
    world.run_until(asked, step=60)
    world.halt_and_flatten()
    world.run_until(asked + timedelta(seconds=20), step=5)
    world.run_until(flat_by - timedelta(minutes=1, seconds=30), step=30)
    world.run_until(flat_by, step=5)
    assert world.held() == {}
    exits = [report for report in world.broker.reports() if report.terms.side is Side.SELL]
    assert [(report.status, report.filled_quantity) for report in exits] == [(Status.FILLED, Decimal(10))]


def test_exit_that_reaches_the_exchange_after_its_phase_is_sent_again_in_the_next_one(
    world_at: WorldAt,
) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10))
    world.hold("ALPHA-EQ", 10)
    world.run_until(ist(2026, 11, 23, 15, 30))
    world.jump(ist(2026, 11, 25, 9, 0))
    world.run_until(ist(2026, 11, 25, 9, 4, 55), step=60)
    world.halt_and_flatten()
    world.tick(5)
    sales = [report for report in world.broker.reports() if report.terms.side is Side.SELL]
    assert [report.status for report in sales] == [Status.REJECTED]
    world.run_until(ist(2026, 11, 25, 9, 15, 30), step=15)
    assert world.held() == {}
