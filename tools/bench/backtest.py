"""Back-tests: events a second, beside bare Python that reads the same lines."""

from __future__ import annotations

import csv
import time
from decimal import Decimal
from typing import Final

from algosat.backtest import bench
from tools.bench.report import Figure

_BARS: Final = 20_000
_EVENTS_A_BAR: Final = 4


def figure(bars: int = _BARS) -> Figure:
    began = time.perf_counter()
    rows = csv.DictReader(bench.walk("BENCH", bars))
    total = sum(Decimal(row[name]) for row in rows for name in ("open", "high", "low", "close"))
    bare = bars * _EVENTS_A_BAR / (time.perf_counter() - began)
    finished = bench.measure(bars)
    if not total or not finished.events:
        raise SystemExit("the back-test of the bench saw nothing")
    return Figure(
        "back-test: quotes through market, gate, book and strategy",
        f"{finished.events_per_second:.0f} events/s; the same lines read and parsed alone {bare:.0f}/s",
        "",
    )
