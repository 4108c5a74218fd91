"""Case 10: securities transaction tax is due on the day's note, rounded once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from algosat.store import queries
from algosat.trading.desk import Desk
from tests.app.cases.backtests import backtest, require_bought
from tests.app.cases.world import SetupFailed, ist
from tests.app.desks import hold, set_prices
from tests.app.fakes import FakeClock

ORDERS = 100
TAX = "case 10: the tax is rounded for each order"
PRICES = pytest.mark.parametrize(("price", "charges"), [("499", "59.35"), ("501", "59.40")])


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=TAX)
@PRICES
def test_hundred_orders_of_a_day_are_charged_as_one_note(
    desk: Desk, clock: FakeClock, price: str, charges: str
) -> None:
    set_prices(desk, ALPHA=price)
    for _ in range(ORDERS):
        hold(desk, "1", at=price)
        clock.forward(milliseconds=50)
    with desk.database.read() as connection:
        (position,) = queries.open_positions(connection, desk.account)
    if position.quantity != ORDERS:
        raise SetupFailed(f"held {position}")
    assert position.fees == Decimal(charges)


@pytest.mark.usefixtures("_strategies")
@pytest.mark.xfail(strict=True, raises=AssertionError, reason=TAX)
@PRICES
def test_backtest_charges_a_hundred_orders_as_one_note(price: str, charges: str) -> None:
    lines = ["at,symbol,last,bid,ask,ask_quantity\n"]
    for number in range(ORDERS + 1):
        at = ist(2026, 11, 2, 9, 15) + timedelta(minutes=number)
        lines.append(f"{at.isoformat()},TAX,{price},{Decimal(price) - 1},{price},{10 * ORDERS}\n")
    finished = backtest(lines, strategy="buy-every-bar", symbols=["TAX"], quantity=1, limit=price)
    require_bought(finished, *[(1, price)] * ORDERS)
    assert finished.report.result["fees"]["total"] == charges
