from __future__ import annotations

import csv
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from algosat.backtest.report.files import write
from algosat.backtest.run import Finished, Request, run
from tools.bench.backtest import walk

CROSSOVER: dict[str, Any] = {"symbols": ["ALPHA-EQ"], "quantity": 100, "fast": 5, "slow": 12, "short": True}


@pytest.fixture(scope="module")
def finished() -> Finished:
    request = Request("moving-average-crossover", CROSSOVER, market="09:15-15:30")
    return run(request, walk("ALPHA-EQ", 750), {"file": "walk.csv"})


@pytest.fixture(scope="module")
def out(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("out") / "new"
    write(finished.report, directory)
    return directory


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_files_agree_with_each_other(out: Path) -> None:
    report = orjson.loads((out / "report.json").read_bytes())
    trades, trips, equity = (rows(out / f"{name}.csv") for name in ("trades", "round_trips", "equity"))
    assert len(trades) == report["result"]["orders"]["trades"] > 10
    assert trips == report["round_trips"]
    assert sum(Decimal(trade["fees"]) for trade in trades) == Decimal(report["result"]["fees"]["total"])
    assert equity[-1]["equity"] == report["result"]["equity"]
    assert max(Decimal(row["drawdown"]) for row in equity) == Decimal(report["result"]["drawdown"]["amount"])
    assert report["days"][-1]["equity"] == report["result"]["equity"]


def test_results_of_trips_and_days_add_up_to_the_profit(out: Path) -> None:
    report = orjson.loads((out / "report.json").read_bytes())
    profit = Decimal(report["result"]["profit"])
    assert sum(Decimal(day["profit"]) for day in report["days"]) == profit
    assert report["result"]["open_positions"] == {}
    # Each trip rounds what a turning order paid.
    assert sum(Decimal(trip["result"]) for trip in report["round_trips"]) == pytest.approx(
        profit, abs=Decimal("0.5")
    )


def test_components_of_fees_add_up(out: Path) -> None:
    fees = orjson.loads((out / "report.json").read_bytes())["result"]["fees"]
    total = Decimal(fees.pop("total"))
    assert sum(map(Decimal, fees.values())) == total > 0


def test_the_page_needs_nothing_else_and_states_what_it_assumes(out: Path) -> None:
    page = (out / "report.html").read_text()
    assert not re.search(r"<script|<link|src=|href=|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert page.count("<svg") == 4
    assert "promises nothing" in page


def test_a_second_report_takes_the_place_of_the_first(finished: Finished, out: Path) -> None:
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write(finished.report, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_run_without_a_trade_makes_a_report_too(tmp_path: Path) -> None:
    request = Request("moving-average-crossover", {**CROSSOVER, "slow": 900})
    finished = run(request, walk("ALPHA-EQ", 20), {"file": "walk.csv"})
    write(finished.report, tmp_path)
    assert finished.report.result["round_trips"]["number"] == 0
    assert "None was completed" in (tmp_path / "report.html").read_text()
