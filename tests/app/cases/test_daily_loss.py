"""Case 04: after an overnight gap, the day's loss counts from the previous close."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.domain.orders import Side, Status, Trade
from algosat.domain.risk import DenialCode
from algosat.domain.scope import ACCOUNT
from algosat.trading import account_book, daily_pnl
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist
from tests.app.engine.rig import step_duties

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
    quote_at(world, 150)
    check(world)


def quote_at(world: World, price: int) -> None:
    at, last = world.clock(), Decimal(price)
    bid, ask = last - Decimal("0.10"), last + Decimal("0.10")
    quote = world.quote(SYMBOL)
    opened = last if quote.at.date() < at.date() else quote.open
    world.receive(replace(quote, at=at, last=last, bid=bid, ask=ask, open=opened, high=last, low=last))


def check(world: World) -> None:
    for _ in range(2):
        step_duties(world.components)
        world.clock.forward(seconds=2)


def test_loss_halts_trading_if_the_engine_ran_at_midnight(overnight: World) -> None:
    overnight.jump(ist(2026, 11, 26, 0, 0, 5))
    open_with_a_gap(overnight)
    ((_, reason),) = overnight.halts()
    assert "today; the limit is 50000" in reason


def test_loss_halts_trading_if_the_engine_starts_after_the_gap(overnight: World) -> None:
    closed_at = overnight.quote(SYMBOL).last
    open_with_a_gap(overnight)
    assert overnight.halts() == [("all", f"lost {2000 * (closed_at - 150):.2f} today; the limit is 50000")]


def test_order_before_the_engine_starts_does_not_move_the_start_of_the_day(overnight: World) -> None:
    """The web process writes the baseline with the first order of the day."""
    closed_at = overnight.quote(SYMBOL).last
    overnight.clock.at = ist(2026, 11, 26, 9, 10)
    overnight.place(SYMBOL, Side.BUY, 1)
    open_with_a_gap(overnight)
    assert overnight.halts() == [("all", f"lost {2000 * (closed_at - 150):.2f} today; the limit is 50000")]


def test_order_after_the_gap_does_not_move_the_start_of_the_day(overnight: World) -> None:
    """The engine has taken in the first price, and dies before its first look at the loss."""
    overnight.clock.at = ist(2026, 11, 26, 9, 16)
    quote_at(overnight, 150)
    order = overnight.place(SYMBOL, Side.BUY, 1)
    assert (order.status, order.code) == (Status.DENIED, DenialCode.DAILY_LOSS)
    check(overnight)
    ((_, reason),) = overnight.halts()
    assert "today; the limit is 50000" in reason


def test_sale_reported_a_day_late_does_not_count_as_todays(world_at: WorldAt) -> None:
    """The exchange fills an order while the engine is stopped, and reports the fill on the next day."""
    world = world_at(ist(2026, 11, 25, 15, 5))
    world.hold(SYMBOL, 2000)
    price = world.quote(SYMBOL).last
    order = world.place(SYMBOL, Side.SELL, 2000, limit_price=price + 2)
    world.clock.at = ist(2026, 11, 26, 0, 0, 5)
    check(world)
    (report,) = [each for each in world.broker.reports() if each.tag == order.id]
    trade = Trade("late", Decimal(2000), price + 2, ist(2026, 11, 25, 15, 10))
    world.components.report_processor.process(
        [replace(report, status=Status.FILLED, filled_quantity=trade.quantity, trades=(trade,))]
    )
    with world.desk.database.read() as connection:
        book = account_book.read_book(connection, world.desk.account, world.desk.venue)
        day = world.desk.calendar.trading_day(world.clock())
        today = daily_pnl.daily_pnl(connection, world.desk, ACCOUNT, day, book)
    assert not world.held()
    assert today == 0


def test_gain_of_missed_days_does_not_hide_a_loss_of_today(overnight: World) -> None:
    """The engine misses a whole trading day, in which the price rises."""
    overnight.clock.at = ist(2026, 11, 27, 9, 16)
    quote_at(overnight, 200)
    check(overnight)
    overnight.clock.forward(minutes=5)
    quote_at(overnight, 174)
    check(overnight)
    assert overnight.halts() == [("all", "lost 52000.00 today; the limit is 50000")]
    assert [each.subject for each in overnight.alerts() if each.kind == "risk.start_price_old"] == [SYMBOL]
