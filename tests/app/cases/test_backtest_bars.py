"""Cases 22, 26 and 28: how a back-test reads the bars and prices of a recording."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

import pytest

from algosat.backtest.run import BacktestResult
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.orders import Side
from algosat.strategies.bars import Bar, Bars
from tests.app.cases.backtests import (
    BARS,
    backtest,
    fills,
    minutes,
    prices,
    recording,
    require_bought,
    require_trades,
)
from tests.app.cases.world import SetupFailed, ist
from tests.app.desks import quote_of
from tests.app.strategies.fakes import Scripted

pytestmark = pytest.mark.usefixtures("_strategies")

HOUR = 3600


def bars_received(scripted: type[Scripted]) -> list[str]:
    bars: list[Bar] = [bar for name, bar in scripted.calls if name == "bar"]
    return [
        f"{bar.start.astimezone(EXCHANGE_TIME):%H:%M} {bar.open} {bar.high} {bar.low} {bar.close}"
        for bar in bars
    ]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 22: bars are counted from midnight")
def test_hourly_bars_from_the_open_reach_the_strategy_as_recorded(scripted: type[Scripted]) -> None:
    lines = recording(
        """
        2026-11-02T09:15:00+0530,HRL,100,110,90,105,4000
        2026-11-02T10:15:00+0530,HRL,105,120,104,118,4000
        2026-11-02T11:15:00+0530,HRL,118,119,100,101,4000
        2026-11-02T12:15:00+0530,HRL,101,103,95,102,4000
        """
    )
    backtest(lines, strategy="scripted", symbols=["HRL"], bar_seconds=HOUR)
    assert bars_received(scripted) == [
        "09:15 100 110 90 105",
        "10:15 105 120 104 118",
        "11:15 118 119 100 101",
        "12:15 101 103 95 102",
    ]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 22: the first live bar ends at 10:00")
def test_first_hourly_bar_of_a_live_day_is_a_whole_hour() -> None:
    opening, bars = ist(2026, 11, 2, 9, 15), Bars("HRL", HOUR)
    for minute, price in ((0, "100"), (30, "110"), (59, "105")):
        at = opening + timedelta(minutes=minute)
        assert bars.ended(at) is None
        bars.add(quote_of("HRL", at, price))
    bar = bars.ended(opening + timedelta(hours=1))
    assert bar is not None
    assert (bar.start, bar.close) == (opening, Decimal(105))


def wave() -> list[str]:
    """Return 300 hours of prices of five decimals, half a paisa either side of 1.0750."""
    lines, close = [BARS], 1.075
    for number in range(300):
        start, close = close, 1.075 + 0.005 * math.sin(number / 12)
        high, low = max(start, close) + 0.0002, min(start, close) - 0.0002
        at = ist(2026, 3, 2, 9, 0) + timedelta(hours=number)
        values = ",".join(f"{price:.5f}" for price in (start, high, low, close))
        lines.append(f"{at.isoformat()},FXE,{values},4000\n")
    return lines


def crossed() -> BacktestResult:
    return backtest(
        wave(),
        strategy="moving-average-crossover",
        symbols=["FXE"],
        quantity=1000,
        bar_seconds=HOUR,
    )


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 26: prices are rounded to a tick of 0.01")
def test_every_trade_is_within_the_recorded_prices() -> None:
    finished = crossed()
    require_trades(finished)
    low, high = Decimal("1.0695"), Decimal("1.0805")
    outside = [fill.price for fill in fills(finished) if not low < fill.price < high]
    assert outside == []


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 26: a tick of 0.01 takes all gains")
def test_crossover_on_a_wave_wins_every_round_trip() -> None:
    trips = [trip.realised for trip in crossed().report.trips]
    if len(trips) < 3:
        raise SetupFailed(f"too few trips: {trips}")
    assert all(realised > 0 for realised in trips), trips


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 26: the tick of the first price is kept")
def test_prices_after_a_split_are_not_rounded_to_the_tick_before_it(scripted: type[Scripted]) -> None:
    lines = recording(
        """
        2026-11-02 09:15,SPL,21000,21000,21000,21000,4000
        2026-11-02 09:16,SPL,21000,21000,21000,21000,4000
        2026-11-02 09:17,SPL,2105.35,2105.35,2105.35,2105.35,40000
        2026-11-02 09:18,SPL,2105.35,2105.35,2105.35,2105.35,40000
        """
    )
    backtest(lines, strategy="scripted", symbols=["SPL"])
    assert bars_received(scripted)[-1] == "09:18 2105.35 2105.35 2105.35 2105.35"


def held_intraday(market: str) -> BacktestResult:
    """Buy in the first minutes of a day at 1000; the next day is at 950."""
    first, second = ist(2026, 11, 2, 9, 15), ist(2026, 11, 3, 9, 15)
    lines = [BARS, *minutes("ITD", first, 375, "1000", 100_000), *minutes("ITD", second, 375, "950", 100_000)]
    terms = {"market": market}
    return backtest(lines, terms=terms, symbols=["ITD"], quantity=100, buy_at=5, product="intraday")


@pytest.mark.parametrize(
    "market",
    [
        "09:15-15:30",
        pytest.param(
            "always",
            marks=pytest.mark.xfail(
                strict=True, raises=AssertionError, reason="case 28: never squared off by default"
            ),
        ),
    ],
)
def test_intraday_position_is_squared_off(market: str) -> None:
    finished = held_intraday(market)
    result = finished.report.result
    require_bought(finished, (100, "1000.30"))
    assert prices(finished, Side.SELL) == [(100, Decimal("999.70"))]
    assert (result["realised"], result["fees"]["total"], result["profit"]) == ("-60.00", "82.68", "-142.68")
    assert result["open_positions"] == {}
