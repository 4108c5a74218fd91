from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from algosat.domain import market_phases
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.orders import Product, Side
from algosat.domain.scope import ACCOUNT, Scope
from algosat.store.tables import openings
from algosat.trading import account_book, daily_pnl
from algosat.trading.desk import Desk
from tests.app.desks import SHARE, hold, set_prices
from tests.app.fakes import FakeClock


def on_exchange_days(desk: Desk) -> Desk:
    calendar = ExchangeCalendar(market_phases.packaged())
    return replace(desk, calendar=calendar, books=replace(desk.books, trading_day=calendar.trading_day))


def pnl(desk: Desk, scope: Scope = ACCOUNT, *, write: bool = False) -> Decimal:
    day = desk.books.trading_day(desk.clock())
    function = daily_pnl.open_day if write else daily_pnl.daily_pnl
    return desk.writer.run(
        lambda connection: function(
            connection, desk, scope, day, account_book.read_book(connection, desk.account, desk.venue)
        )
    )


def test_daily_pnl_is_measured_from_the_last_prices_of_the_day_before(desk: Desk, clock: FakeClock) -> None:
    hold(desk, "100")
    set_prices(desk, ALPHA="103")
    clock.forward(days=3)
    set_prices(desk, ALPHA="101")
    assert [pnl(desk), pnl(desk, write=True), pnl(desk)] == [-200, -200, -200]
    set_prices(desk, ALPHA="102")
    assert pnl(desk) == -100


def test_pnl_without_a_baseline_is_the_pnl_with_the_baseline_of_the_morning(
    desk: Desk, clock: FakeClock
) -> None:
    """Positions of both sides are carried into the day, and traded in it."""
    hold(desk, "100", strategy="a")
    hold(desk, "50", strategy="b", side=Side.SELL, product=Product.INTRADAY)
    clock.forward(days=1)
    pnl(desk, write=True)
    set_prices(desk, ALPHA="104")
    hold(desk, "60", strategy="a", side=Side.SELL, at="104")
    hold(desk, "90", strategy="b", at="103", product=Product.INTRADAY)
    set_prices(desk, ALPHA="102")
    opened = pnl(desk)
    desk.writer.run(lambda connection: connection.execute(openings.delete()))
    assert pnl(desk) == opened
    assert pnl(desk) == pnl(desk, Scope("a")) + pnl(desk, Scope("b"))


def test_position_opened_today_needs_no_earlier_price(desk: Desk, clock: FakeClock) -> None:
    clock.forward(days=3)
    set_prices(desk, ALPHA="90")
    hold(desk, "100", at="90")
    set_prices(desk, ALPHA="95")
    assert 400 < pnl(desk) < 500  # 5 a share, less the fees


def test_symbols_without_the_previous_close_are_named(desk: Desk, clock: FakeClock) -> None:
    desk = on_exchange_days(desk)
    hold(desk, "100")
    friday = desk.books.trading_day(desk.clock())
    for days, expected in ((3, {}), (1, {SHARE: friday})):
        clock.forward(days=days)
        with desk.database.read() as connection:
            day = desk.books.trading_day(desk.clock())
            book = account_book.read_book(connection, desk.account, desk.venue)
            assert daily_pnl.old_prices(connection, desk, day, book) == expected
