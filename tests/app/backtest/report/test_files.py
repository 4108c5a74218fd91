from __future__ import annotations

import csv
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from algosat.backtest.report.files import write
from algosat.backtest.run import BacktestRequest, BacktestResult, run
from tools.bench.backtest import walk

CROSSOVER: dict[str, Any] = {"symbols": ["ALPHA-EQ"], "quantity": 100, "fast": 5, "slow": 12, "short": True}


@pytest.fixture(scope="module")
def finished() -> BacktestResult:
    request = BacktestRequest("moving-average-crossover", CROSSOVER, market="09:15-15:30")
    return run(request, walk("ALPHA-EQ", 750), {"file": "walk.csv"})


@pytest.fixture(scope="module")
def out(finished: BacktestResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("out") / "new"
    write(finished.report, directory)
    return directory


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_agree_with_each_other(out: Path) -> None:
    report = orjson.loads((out / "report.json").read_bytes())
    trades, trips, equity = (rows(out / f"{name}.csv") for name in ("trades", "round_trips", "equity"))
    assert len(trades) == report["result"]["orders"]["trades"] > 10
    assert trips == report["round_trips"]
    assert sum(Decimal(trade["fees"]) for trade in trades) == Decimal(report["result"]["fees"]["total"])
    assert equity[-1]["equity"] == report["result"]["equity"]
    assert max(Decimal(row["drawdown"]) for row in equity) == Decimal(report["result"]["drawdown"]["amount"])
    assert report["days"][-1]["equity"] == report["result"]["equity"]


def test_results_of_round_trips_and_days_add_up_to_the_profit(out: Path) -> None:
    report = orjson.loads((out / "report.json").read_bytes())
    profit = Decimal(report["result"]["profit"])
    assert sum(Decimal(day["profit"]) for day in report["days"]) == profit
    assert report["result"]["open_positions"] == {}
    # Each round trip rounds its share of the fees of an order that reverses the position.
    assert sum(Decimal(trip["result"]) for trip in report["round_trips"]) == pytest.approx(
        profit, abs=Decimal("0.5")
    )


def test_components_of_fees_add_up(out: Path) -> None:
    fees = orjson.loads((out / "report.json").read_bytes())["result"]["fees"]
    total = Decimal(fees.pop("total"))
    assert sum(map(Decimal, fees.values())) == total > 0


def test_page_is_self_contained_and_lists_the_assumptions(out: Path) -> None:
    page = (out / "report.html").read_text()
    assert not re.search(r"<script|<link|src=|href=|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert page.count("<svg") == 4
    assert "promises nothing" in page


def test_second_report_replaces_the_first(finished: BacktestResult, out: Path) -> None:
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write(finished.report, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_run_without_a_trade_has_a_report(tmp_path: Path) -> None:
    request = BacktestRequest("moving-average-crossover", {**CROSSOVER, "slow": 900})
    finished = run(request, walk("ALPHA-EQ", 20), {"file": "walk.csv"})
    write(finished.report, tmp_path)
    assert finished.report.result["round_trips"]["number"] == 0
    assert "No round trip was completed" in (tmp_path / "report.html").read_text()
