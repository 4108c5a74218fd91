from __future__ import annotations

from decimal import Decimal

from algosat.domain.funds import Funds
from algosat.domain.orders import Product, Side
from algosat.store import ledger
from algosat.trading.desk import Desk
from algosat.trading.funds import funds
from tests.app.desks import buy, hold, set_prices


def current_funds(desk: Desk) -> Funds:
    with desk.database.read() as connection:
        return funds(connection, desk)


def test_delivery_position_uses_its_full_value_as_margin(desk: Desk) -> None:
    hold(desk, "100")
    fees = current_funds(desk).fees
    assert fees > 0
    assert current_funds(desk).available == Decimal(990_000) - fees


def test_price_rise_raises_equity_but_not_available_funds(desk: Desk) -> None:
    hold(desk, "100")
    before = current_funds(desk)
    set_prices(desk, ALPHA="110")
    after = current_funds(desk)
    assert after.equity - before.equity == 1000
    assert after.available == before.available


def test_intraday_positions_and_orders_use_a_fifth_as_margin(desk: Desk) -> None:
    hold(desk, "100", side=Side.SELL, product=Product.INTRADAY)
    buy(desk, "300", product=Product.INTRADAY)
    assert current_funds(desk).margin_used == Decimal(4000)


def test_second_opening_deposit_is_ignored(desk: Desk) -> None:
    desk.writer.run(lambda connection: ledger.deposit(connection, desk.account, Decimal(5)))
    assert current_funds(desk).deposited == 1_000_000
