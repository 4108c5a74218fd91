"""Cases 20, 21 and 29: prices and quantities at which a back-test fills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from algosat.backtest.run import BacktestResult
from algosat.domain.orders import Side
from tests.app.cases.backtests import (
    DAY,
    backtest,
    fills,
    prices,
    recording,
    require_bought,
    require_trades,
)

pytestmark = pytest.mark.usefixtures("_strategies")

BEFORE = """
    2026-11-02 09:15,SBR,1000,1001,999,1000,800000
    2026-11-02 09:30,SBR,1000,1001,999,1000,800000
    2026-11-02 09:45,SBR,1000,1001,999,1000,800000
"""
AFTER = """
    2026-11-02 10:15,SBR,945,946,900,905,800000
    2026-11-02 10:30,SBR,905,906,880,885,800000
"""


def stopped(bar: str) -> BacktestResult:
    """Hold 100, bought at 1000.30, with a stop at 980 while this bar passes."""
    lines = recording(f"{BEFORE.rstrip()}\n2026-11-02 10:00,SBR,{bar},800000{AFTER}")
    finished = backtest(lines, symbols=["SBR"], quantity=100, bar_seconds=900, stop="980")
    require_bought(finished, (100, "1000.30"))
    return finished


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 20: the stop rests above the market")
def test_stop_passed_within_a_bar_fills_at_its_trigger() -> None:
    finished = stopped("1000,1001,940,945")
    assert prices(finished, Side.SELL) == [(100, Decimal(980))]
    assert finished.report.result["realised"] == "-2030.00"
    assert finished.report.result["open_positions"] == {}


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 20: filled at the bar's low")
def test_stop_barely_passed_fills_at_its_trigger() -> None:
    assert prices(stopped("1000,1001,976,977"), Side.SELL) == [(100, Decimal(980))]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 20: the stop rests above the market")
def test_stop_passed_by_a_gap_fills_at_the_open() -> None:
    finished = stopped("960,961,940,945")
    assert sum(fill.quantity for fill in fills(finished, Side.SELL)) == 100
    assert all(Decimal("959.50") <= price <= 960 for _, price in prices(finished, Side.SELL))


def daily(text: str, **parameters: Any) -> BacktestResult:
    return backtest(recording(text), symbols=["ABC"], quantity=10, bar_seconds=DAY, **parameters)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 21: the exit expires unfilled")
def test_exit_decided_at_the_close_fills_at_the_next_open() -> None:
    finished = daily(
        """
        2026-11-02,ABC,1990,2005,1985,2000,500000
        2026-11-03,ABC,2000,2010,1990,2000,500000
        2026-11-04,ABC,1800,1805,1700,1710,500000
        2026-11-05,ABC,1700,1710,1500,1510,500000
        2026-11-06,ABC,1500,1510,1400,1410,500000
        """,
        sell_at=2,
    )
    result = finished.report.result
    require_bought(finished, (10, "2000"))
    assert prices(finished, Side.SELL) == [(10, Decimal(1800))]
    assert (result["realised"], result["fees"]["total"]) == ("-2000.00", "42.41")
    assert (result["profit"], result["open_positions"]) == ("-2042.41", {})


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 21: the entry expires unfilled")
def test_entry_decided_at_the_close_fills_at_the_next_open() -> None:
    finished = daily(
        """
        2026-11-02,ABC,1990,2005,1985,2000,500000
        2026-11-03,ABC,2060,2070,2050,2065,500000
        2026-11-04,ABC,2065,2070,2060,2065,500000
        """
    )
    assert prices(finished, Side.BUY) == [(10, Decimal(2060))]


def bought_by_volume(
    symbol: str, price: int, quantity: int, volume: int, **parameters: Any
) -> BacktestResult:
    """Buy more than is displayed, in bars whose volume is no multiple of four; close after the third."""
    values = f"{symbol},{price},{price + 1},{price - 1},{price},{volume}"
    bars = "\n".join(f"2026-11-02 09:{minute},{values}" for minute in range(15, 22))
    terms = {"capital": Decimal(100_000_000)}
    finished = backtest(
        recording(bars), terms=terms, symbols=[symbol], quantity=quantity, sell_at=3, **parameters
    )
    require_trades(finished)
    return finished


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 29: fills of a fraction of a share")
def test_fills_and_positions_are_whole_shares() -> None:
    finished = bought_by_volume("FRC", 100, 3000, 533)
    assert [fill for fill in fills(finished) if fill.quantity % 1 or fill.after.quantity % 1] == []


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 29: the exit is denied off_lot")
def test_exit_sells_the_whole_position() -> None:
    finished = bought_by_volume("FRC", 100, 3000, 533)
    assert finished.report.result["orders"]["denied"] == {}
    assert prices(finished, Side.SELL)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 29: fills of a fraction of a lot")
def test_fills_of_a_future_are_whole_lots() -> None:
    finished = bought_by_volume("GRANITE-FUT", 930, 22_000, 5330, product="carry")
    assert [fill for fill in fills(finished) if fill.quantity % 550 or fill.after.quantity % 550] == []
