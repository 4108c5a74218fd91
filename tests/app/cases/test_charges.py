"""Case 10 and its siblings: charges are due on the day's contract note, rounded once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from algosat.domain.fee_table import packaged
from algosat.domain.fees import Turnover, charges
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Product, Side
from algosat.store import queries
from algosat.trading.desk import Desk
from tests.app.cases.backtests import BARS, RATES_OF, backtest, fills, minutes, require_bought
from tests.app.cases.world import SetupFailed, ist
from tests.app.client import Client
from tests.app.desks import hold, set_prices
from tests.app.fakes import FakeClock

ORDERS = 100
PRICES = pytest.mark.parametrize(("price", "expected"), [("499", "59.35"), ("501", "59.40")])


@PRICES
def test_hundred_orders_of_a_day_are_charged_as_one_note(
    desk: Desk, clock: FakeClock, price: str, expected: str
) -> None:
    set_prices(desk, ALPHA=price)
    for _ in range(ORDERS):
        hold(desk, "1", at=price)
        clock.forward(milliseconds=50)
    with desk.database.read() as connection:
        (position,) = queries.open_positions(connection, desk.account)
    if position.quantity != ORDERS:
        raise SetupFailed(f"held {position}")
    assert position.fees == Decimal(expected)


@pytest.mark.usefixtures("_strategies")
@PRICES
def test_backtest_charges_a_hundred_orders_as_one_note(price: str, expected: str) -> None:
    lines = ["at,symbol,last,bid,ask,ask_quantity\n"]
    for number in range(ORDERS + 1):
        at = ist(2026, 11, 2, 9, 15) + timedelta(minutes=number)
        lines.append(f"{at.isoformat()},TAX,{price},{Decimal(price) - 1},{price},{10 * ORDERS}\n")
    finished = backtest(lines, strategy="buy-every-bar", symbols=["TAX"], quantity=1, limit=price)
    require_bought(finished, *[(1, price)] * ORDERS)
    assert finished.report.result["fees"]["total"] == expected


# Siblings


def test_many_small_intraday_sales_pay_the_tax_of_their_sum(desk: Desk) -> None:
    # Each sale of 400 owes 0.10: rounded by itself, none of them would pay tax.
    for _ in range(10):
        hold(desk, "4", product=Product.INTRADAY)
        hold(desk, "4", side=Side.SELL, product=Product.INTRADAY)
    bought = sold = Decimal(4000)
    turnover = Turnover(bought, sold, tuple([Decimal(400)] * 20))
    expected = charges(packaged(), InstrumentKind.EQUITY, Product.INTRADAY, turnover, desk.clock().date())
    assert expected.stt == 1
    assert fees(desk) == expected.total == Decimal("4.26")


def test_delivery_sold_on_the_day_of_its_purchase_is_charged_as_intraday(desk: Desk, viewer: Client) -> None:
    """The worked example of an intraday round trip. Every view of the API shows its charges."""
    for side, price in ((Side.BUY, "1000"), (Side.SELL, "1100")):
        set_prices(desk, ALPHA=price)
        hold(desk, "400", at=price, side=side)
    items = {path: viewer.get(path).json["items"] for path in ("/trades", "/positions?closed=true", "/pnl")}
    shown = {path: sum(Decimal(item["fees"]) for item in found) for path, found in items.items()}
    shown["/funds"] = Decimal(viewer.get("/funds").json["fees"])
    assert set(shown.values()) == {Decimal("200.62")}, shown


@pytest.mark.usefixtures("_strategies")
def test_backtest_charges_a_delivery_sold_on_the_day_of_its_purchase_as_intraday() -> None:
    lines = minutes("TAX", ist(2026, 11, 2, 9, 15), 5, "1000", 100_000)
    finished = backtest([BARS, *lines], symbols=["TAX"], quantity=400, sell_at=2)
    bought, sold = fills(finished)
    turnover = Turnover(bought.value, sold.value, (bought.value, sold.value))
    expected = charges(packaged(), InstrumentKind.EQUITY, Product.INTRADAY, turnover, RATES_OF)
    assert finished.report.result["fees"]["total"] == str(expected.total)
    assert sold.charges.stt < 0


def fees(desk: Desk) -> Decimal:
    with desk.database.read() as connection:
        balance = queries.balance(connection, desk.account)
    if balance is None:
        raise SetupFailed("the account has no balance")
    fees: Decimal = balance.fees
    return fees
