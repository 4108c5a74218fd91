from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from algosat.backtest.report.charts import ChartMark, Series, area, line, steps, thinned
from tests.app.strategies.fakes import MORNING


def series_of(*values: int) -> Series:
    return [(MORNING + timedelta(minutes=n), Decimal(value)) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("low", "high"),
    [("0", "0"), ("100", "100"), ("-3", "7"), ("99.95", "100.05"), ("0", "1e9"), ("-1e-3", "0")],
)
def test_ticks_are_round_and_enclose_all_values(low: str, high: str) -> None:
    ticks = steps(Decimal(low), Decimal(high))
    assert ticks[0] <= Decimal(low)
    assert Decimal(high) <= ticks[-1]
    assert 2 <= len(ticks) <= 6


def test_thinned_series_keeps_ends_and_extremes() -> None:
    series = series_of(*[n % 7 for n in range(5000)], 100, *[3] * 5000, -50, 1)
    thin = thinned(series)
    assert len(thin) < 1000
    assert (thin[0], thin[-1]) == (series[0], series[-1])
    assert {Decimal(100), Decimal(-50)} <= {value for _, value in thin}
    assert [at for at, _ in thin] == sorted(at for at, _ in thin)


def test_chart_is_valid_svg_without_scripts() -> None:
    mark = ChartMark(MORNING + timedelta(minutes=1), Decimal(2), "buy", "buy 1 < 2 & 3")
    for drawn in (
        line("Equity <b>", series_of(1, 2, 3), marks=[mark]),
        area("Drawdown", series_of(0, 2, 1), downwards=True),
        line("One", series_of(5)),
    ):
        figure = ElementTree.fromstring(drawn)
        assert figure.find("svg") is not None
        assert "<script" not in drawn


def test_nights_take_no_width() -> None:
    days = [*series_of(1, 2), (MORNING + timedelta(days=1), Decimal(3))]
    points = ElementTree.fromstring(line("Equity", days)).find("svg/polyline")
    assert points is not None
    xs = [float(point.split(",")[0]) for point in points.attrib["points"].split()]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
