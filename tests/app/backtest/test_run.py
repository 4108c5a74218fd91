from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from algosat.backtest import limits
from algosat.backtest.run import BacktestRequest, class_of, run
from algosat.errors import InvalidBody, InvalidRequest
from algosat.strategies.examples.opening_range_breakout import OpeningRangeBreakout
from tests.app.backtest.recordings import SYMBOL, bars
from tools.bench.backtest import measure

MINE = """
from algosat.strategies.base import Strategy
from algosat.strategies.parameters import Parameters

class Mine(Strategy[Parameters]):
    parameters_model = Parameters

class Other:
    pass
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_class_of_the_catalogue_or_of_a_file_is_found(file: Path) -> None:
    assert class_of("opening-range-breakout") is OpeningRangeBreakout
    assert class_of(f"{file}:Mine").__name__ == "Mine"


def test_other_classes_and_files_are_refused(file: Path) -> None:
    for name in (f"{file}:Other", f"{file}:Missing", "nowhere.py:Mine", f"{file.parent}:Mine"):
        with pytest.raises(InvalidRequest):
            class_of(name)
    with pytest.raises(InvalidBody, match="there are"):
        class_of("martingale")


def test_limits_are_read_from_algosat_yaml_or_its_risk_section(tmp_path: Path) -> None:
    for text in ("environment: testing\nrisk: {max_order_value: '5000'}\n", "max_order_value: 5000\n"):
        path = tmp_path / "limits.yaml"
        path.write_text(text)
        found = limits.read(path)
        assert found.max_order_value == Decimal(5000)
        assert found.max_open_orders == limits.UNLIMITED.max_open_orders


@pytest.mark.parametrize(
    "text", ["- 1\n", "risk: 5\n", "max_order_valu: 5\n", "max_order_value: much\n", "{"]
)
def test_invalid_limits_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(text)
    with pytest.raises(InvalidRequest, match=r"limits\.yaml"):
        limits.read(path)


def test_benchmark_measures_a_run_that_trades() -> None:
    finished = measure(200)
    assert finished.events == 800
    assert finished.events_per_second > 0
    assert finished.report.result["orders"]["trades"] > 0


@pytest.mark.parametrize(("missing", "orders"), [(0, 1), (1, 0), (30, 0)], ids=["whole", "late", "at noon"])
def test_opening_range_that_the_recording_lacks_is_not_traded(missing: int, orders: int) -> None:
    prices = ["100"] * 40 + ["110"] * 5
    lines = bars(*prices)
    parameters = {"symbols": [SYMBOL], "quantity": 10, "range_minutes": 15}
    request = BacktestRequest("opening-range-breakout", parameters, market="09:15-15:30")
    finished = run(request, [lines[0], *lines[1 + missing :]], {"file": "test"})
    entries = [each for each in finished.report.outcome.ledger.orders.values() if not each.terms.reduce_only]
    assert len(entries) == orders
