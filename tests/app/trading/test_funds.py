from __future__ import annotations

from decimal import Decimal

from algosat.domain.funds import Funds
from algosat.domain.orders import Product, Side
from algosat.domain.scope import ACCOUNT
from algosat.store import ledger
from algosat.trading import account_book, daily_pnl
from algosat.trading.desk import Desk
from algosat.trading.funds import funds
from tests.app.desks import buy, hold, set_prices


def now(desk: Desk) -> Funds:
    with desk.database.read() as connection:
        return funds(connection, desk.account)


def test_what_is_held_for_delivery_is_paid_for_whole(desk: Desk) -> None:
    hold(desk, "100")
    fees = now(desk).fees
    assert fees > 0
    assert now(desk).available == Decimal(990_000) - fees


def test_a_rising_price_moves_equity_and_not_what_is_available(desk: Desk) -> None:
    hold(desk, "100")
    before = now(desk)
    set_prices(desk, ALPHA="110")
    after = now(desk)
    assert after.equity - before.equity == 1000
    assert after.available == before.available


def test_intraday_positions_and_working_orders_hold_a_fifth(desk: Desk) -> None:
    hold(desk, "100", side=Side.SELL, product=Product.INTRADAY)
    buy(desk, "300", product=Product.INTRADAY)
    assert now(desk).margin_used == Decimal(4000)


def test_a_symbol_without_price_is_named(desk: Desk) -> None:
    hold(desk)
    desk.writer.run(lambda connection: connection.exec_driver_sql("DELETE FROM quotes"))
    with desk.database.read() as connection:
        assert account_book.read_book(connection, desk.account).unpriced == {"ALPHA-EQ"}


def test_the_days_result_is_measured_from_the_first_look(desk: Desk) -> None:
    day = desk.calendar.trading_day(desk.clock())

    def result(worth: str) -> Decimal:
        return desk.writer.run(
            lambda connection: daily_pnl.open_day(connection, desk.account, ACCOUNT, day, Decimal(worth))
        )

    assert [result("50"), result("20"), result("60")] == [0, -30, 10]


def test_an_account_is_opened_once(desk: Desk) -> None:
    desk.writer.run(lambda connection: ledger.deposit(connection, desk.account, Decimal(5)))
    assert now(desk).deposited == 1_000_000
