"""Case 13: a strategy on daily bars decides once continuous trading has ended, live as in a back-test."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest

from algosat.domain.orders import Order, Product, Side, Status, TradingSession
from algosat.live import checkpoint
from algosat.live.live_context import LiveContext
from algosat.live.updates import DeliveredOrders
from algosat.store import queries
from algosat.store.rows import order_from
from algosat.strategies.bars import Bar
from algosat.strategies.runner import Runner
from tests.app.cases.backtests import BARS, DAY, backtest, fills, recording
from tests.app.cases.conftest import WorldAt
from tests.app.cases.strategies import Once, OnceParameters
from tests.app.cases.world import World, ist
from tests.app.desks import order_now

SYMBOL, STRATEGY = "ALPHA-EQ", "daily"
DAYS = """
    2026-11-02,DLY,100,101,99,100,5000000
    2026-11-03,DLY,102,104,101,103,5000000
    2026-11-04,DLY,105,106,104,105,5000000
"""


class Recorder(Once):
    """Records the bars that it is told."""

    bars: list[Bar]

    def on_bar(self, bar: Bar) -> None:
        self.bars.append(bar)
        super().on_bar(bar)


class Live:
    """A strategy on daily bars, run as its process runs it."""

    def __init__(self, world: World, symbol: str = SYMBOL, **parameters: Any) -> None:
        options = {"bar_seconds": DAY, "product": Product.DELIVERY, "quantity": 10, **parameters}
        self.world, self.symbol = world, symbol
        self.parameters = OnceParameters(symbols=(symbol,), **options)
        self.bars: list[Bar] = []
        self.start()

    def start(self) -> None:
        """Start the process, the first or a later one, from its checkpoint."""
        desk, product = self.world.desk, self.parameters.product
        with desk.database.read() as connection:
            saved = checkpoint.load(connection, STRATEGY)
            delivered = DeliveredOrders.begin(connection, STRATEGY, saved.delivered if saved else None)
        state = saved.state if saved else {}
        context = LiveContext(desk, STRATEGY, 1, product, orjson.dumps(state), delivered)
        strategy = Recorder(self.parameters, context, state)
        strategy.bars = self.bars
        started = desk.clock()
        self.runner = Runner(strategy, context, watching_since=started, daily_bars=delivered.daily_bars)
        self.runner.start(started, "1.1")

    def at(self, hour: int, minute: int, second: int = 0, *, day: int = 25) -> None:
        """Jump to this time, and handle what the store holds then."""
        self.world.jump(ist(2026, 11, day, hour, minute, second))
        quote = self.world.quote(self.symbol)
        self.runner.pass_time(quote.at)
        self.runner.quote(quote)
        self.runner.pass_time(self.world.clock() - timedelta(seconds=1))

    def orders(self) -> list[Order]:
        with self.world.desk.database.read() as connection:
            page = queries.orders_page(connection, limit=10, strategy=STRATEGY)
        return [order_from(row) for row in page.rows]


@pytest.mark.parametrize(
    ("symbol", "options", "hour", "minute"),
    [
        ("ALPHA-EQ", {}, 15, 30),
        ("NOVA-EQ", {}, 15, 15),  # a closing auction follows
        ("NOVA-FUT", {"product": Product.CARRY, "quantity": 500}, 15, 40),
    ],
    ids=["share", "share with derivatives", "future"],
)
def test_live_strategy_is_told_its_daily_bar_when_trading_ends_and_trades_at_the_next_open(
    world_at: WorldAt, symbol: str, options: dict[str, Any], hour: int, minute: int
) -> None:
    live = Live(world_at(ist(2026, 11, 25, 0, 0)), symbol, **options)
    for time in ((9, 15), (12, 0), (hour, minute - 1)):
        live.at(*time)
    assert live.bars == []
    live.at(hour, minute, 2)
    (bar,) = live.bars
    assert (bar.start, bar.end) == (ist(2026, 11, 25, 0, 0), ist(2026, 11, 25, hour, minute))
    (kept,) = live.orders()
    assert (kept.status, kept.terms.session) == (Status.CREATED, TradingSession.AFTER_MARKET), kept.reason
    live.at(0, 0, 2, day=26)
    assert live.bars == [bar]
    live.at(8, 59, day=26)
    live.world.run_until(ist(2026, 11, 26, 9, 16), step=10)
    assert order_now(live.world.desk, kept).status is Status.FILLED


def test_live_strategy_on_shorter_bars_is_not_taken_to_the_next_day(world_at: WorldAt) -> None:
    live = Live(world_at(ist(2026, 11, 25, 14, 59, 59)), bar_seconds=900)
    for time in ((15, 1), (15, 14), (15, 16), (15, 20), (15, 31)):
        live.at(*time)
    assert [bar.end for bar in live.bars] == [ist(2026, 11, 25, 15, 15), ist(2026, 11, 25, 15, 30)]
    (order,) = live.orders()
    assert order.terms.session is TradingSession.REGULAR


def test_restarted_strategy_is_told_the_bar_of_the_whole_day_once(world_at: WorldAt) -> None:
    live = Live(world_at(ist(2026, 11, 25, 8, 0)))
    for time in ((9, 15), (12, 0)):
        live.at(*time)
    first = live.world.quote(SYMBOL)
    live.start()
    for time in ((13, 0), (15, 29), (15, 31)):
        live.at(*time)
    (bar,) = live.bars
    assert (bar.open, bar.volume) == (first.open, live.world.quote(SYMBOL).volume)
    live.start()
    for time in ((15, 32), (16, 0)):
        live.at(*time)
    assert live.bars == [bar]


def test_strategy_that_was_away_at_the_end_of_trading_is_told_its_bar_when_it_returns(
    world_at: WorldAt,
) -> None:
    live = Live(world_at(ist(2026, 11, 25, 8, 0)))
    for time in ((9, 15), (15, 29), (15, 31)):
        live.at(*time)
    live.world.run_until(ist(2026, 11, 26, 15, 35), step=600)
    live.start()
    live.at(15, 36, day=26)
    assert [bar.end for bar in live.bars] == [ist(2026, 11, day, 15, 30) for day in (25, 26)]


@pytest.mark.usefixtures("_strategies")
@pytest.mark.parametrize("market", ["exchange", "09:15-15:30", "always"])
def test_backtested_strategy_on_daily_bars_trades_at_the_next_open(market: str) -> None:
    finished = backtest(
        recording(DAYS),
        terms={"market": market},
        symbols=["DLY"],
        quantity=10,
        bar_seconds=DAY,
        sell_at=2,
    )
    orders = finished.report.result["orders"]
    assert orders["denied"] == {}
    assert orders["by_status"] == {"filled": 2}
    opens = ist(2026, 11, 3, 0 if market == "always" else 9, 0 if market == "always" else 15)
    bought, sold = fills(finished)
    assert [(bought.side, bought.at), (sold.side, sold.at)] == [
        (Side.BUY, opens),
        (Side.SELL, opens + timedelta(days=1)),
    ]
    assert abs(bought.price - 102) < 1
    assert abs(sold.price - 105) < 1


@pytest.mark.usefixtures("_strategies")
def test_backtest_on_minutes_of_a_day_decides_when_the_server_does() -> None:
    """Bars of a minute, from which a daily bar is built: the last one ends with continuous trading."""
    lines = [BARS]
    for day in (25, 26):
        for hour, minute in ((9, 15), (12, 0), (15, 29)):
            lines.append(f"{ist(2026, 11, day, hour, minute).isoformat()},ALPHA-EQ,184,184,184,184,50000\n")
    finished = backtest(
        lines,
        terms={"market": "exchange", "interval": timedelta(minutes=1)},
        symbols=[SYMBOL],
        quantity=10,
        bar_seconds=DAY,
    )
    (order,) = finished.report.outcome.ledger.orders.values()
    assert order.created_at == ist(2026, 11, 25, 15, 30)
    assert [fill.at for fill in fills(finished)] == [ist(2026, 11, 26, 9, 15)]
