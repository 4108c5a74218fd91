"""Case 13: a strategy on daily bars decides after the market has closed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from algosat.domain.orders import Order, Product, Status
from algosat.live.live_context import LiveContext
from algosat.live.updates import DeliveredOrders
from algosat.store import queries
from algosat.store.rows import order_from
from algosat.strategies.runner import Runner
from tests.app.cases.backtests import DAY, backtest, recording
from tests.app.cases.conftest import WorldAt
from tests.app.cases.strategies import Once, OnceParameters
from tests.app.cases.world import World, ist

SYMBOL, STRATEGY = "ALPHA-EQ", "daily"
TIMES = ((9, 15), (12, 0), (15, 14), (15, 29), (15, 31), (16, 1))
DAYS = """
    2026-11-02,DLY,100,101,99,100,5000000
    2026-11-03,DLY,100,101,99,100,5000000
    2026-11-04,DLY,100,101,99,100,5000000
"""


def orders_of(world: World) -> list[Order]:
    with world.desk.database.read() as connection:
        page = queries.orders_page(connection, limit=10, strategy=STRATEGY)
    return [order_from(row) for row in page.rows]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 13: denied market_closed at midnight")
def test_live_strategy_on_daily_bars_can_trade(world_at: WorldAt) -> None:
    midnight = ist(2026, 11, 25, 0, 0)
    world = world_at(midnight)
    parameters = OnceParameters(symbols=(SYMBOL,), quantity=10, bar_seconds=DAY, product=Product.DELIVERY)
    context = LiveContext(world.desk, STRATEGY, 1, parameters.product, b"{}", DeliveredOrders(0, {}))
    runner = Runner(Once(parameters, context, {}), context, watching_since=midnight)
    runner.start(world.clock(), "1.1")
    for hour, minute in TIMES:
        world.jump(ist(2026, 11, 25, hour, minute))
        runner.pass_time(world.clock())
        if hour < 16:
            runner.quote(world.quote(SYMBOL))
    world.clock.at = ist(2026, 11, 26, 0, 0, 2)
    runner.pass_time(world.clock() - timedelta(seconds=1))
    (order,) = orders_of(world)
    assert order.status is not Status.DENIED, order.code


@pytest.mark.usefixtures("_strategies")
@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 13: denied market_closed at midnight")
def test_backtested_strategy_on_daily_bars_can_trade() -> None:
    finished = backtest(
        recording(DAYS), terms={"market": "exchange"}, symbols=["DLY"], quantity=10, bar_seconds=DAY
    )
    orders = finished.report.result["orders"]
    assert orders["denied"] == {}
    assert orders["by_status"] == {"filled": 1}
