"""Benchmark of the back-test: events a second, and bare Python reading the same lines."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from algosat.backtest.run import BacktestRequest, BacktestResult, run
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.exchange.prices import seeded
from tools.bench.report import Figure

_BARS: Final = 20_000
_EVENTS_A_BAR: Final = 4
_BEGINS: Final = datetime(2026, 6, 1, 9, 15, tzinfo=EXCHANGE_TIME)
_BARS_A_DAY: Final = 375


def figure(bars: int = _BARS) -> Figure:
    """Measure a back-test, and how fast its recording can be read and parsed."""
    began = time.perf_counter()
    rows = csv.DictReader(walk("BENCH", bars))
    total = sum(Decimal(row[name]) for row in rows for name in ("open", "high", "low", "close"))
    bare = bars * _EVENTS_A_BAR / (time.perf_counter() - began)
    finished = measure(bars)
    if not total or not finished.events:
        raise SystemExit("the benchmark of the back-test had no events")
    return Figure(
        "back-test: quotes through market, gate, book and strategy",
        f"{finished.events_per_second:.0f} events/s; the same lines read and parsed alone {bare:.0f}/s",
        "",
    )


def measure(bars: int = _BARS) -> BacktestResult:
    """Run a crossover strategy that trades now and then on seeded bars of one minute."""
    parameters = {"symbols": ["BENCH"], "fast": 10, "slow": 30, "quantity": 10}
    return run(
        BacktestRequest("moving-average-crossover", parameters), walk("BENCH", bars), {"file": "seeded walk"}
    )


def walk(symbol: str, bars: int, *, seed: int = 1, price: int = 50_000) -> Iterator[str]:
    """Yield the lines of a recording: a seeded random walk in paise over several days."""
    yield "at,symbol,open,high,low,close,volume\n"
    for number in range(bars):
        day, minute = divmod(number, _BARS_A_DAY)
        at = _BEGINS + timedelta(days=day, minutes=minute)
        opened = price
        price = max(price + 5 * round(6 * seeded.normal(seed, symbol, number)), 500)
        low = min(opened, price) - 5 * int(4 * seeded.uniform(seed, symbol, number, "low"))
        high = max(opened, price) + 5 * int(4 * seeded.uniform(seed, symbol, number, "high"))
        shown = (str(Decimal(each) / 100) for each in (opened, high, low, price))
        yield f"{at.isoformat()},{symbol},{','.join(shown)},{2000 + number % 700}\n"
