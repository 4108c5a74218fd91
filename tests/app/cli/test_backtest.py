from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from algosat.cli import cli
from algosat.errors import AlgosatError
from tools.bench.backtest import walk

Run = Callable[..., Result]
PARAMETERS = "{symbols: [ALPHA-EQ], quantity: 10, fast: 3, slow: 8}"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that back-tests the crossover on 200 bars, with further options."""
    data = tmp_path / "data.csv"
    data.write_text("".join(walk("ALPHA-EQ", 200)))

    def run(*options: str, out: str = "out", parameters: str = PARAMETERS) -> Result:
        command = ["backtest", "moving-average-crossover", "--data", str(data), "--params", parameters]
        return CliRunner().invoke(cli, [*command, "--out", str(tmp_path / out), *options])

    return run


def test_report_is_written_and_its_figures_are_printed(run: Run, tmp_path: Path) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.json", "report.html", "trades.csv", "round_trips.csv", "equity.csv",
    }  # fmt: skip
    assert "profit after fees:" in result.output
    assert "800 events" in result.output


def test_same_command_writes_the_same_bytes(run: Run, tmp_path: Path) -> None:
    for out in ("first", "second"):
        run(out=out)
    first, second = ((tmp_path / out / "report.json").read_bytes() for out in ("first", "second"))
    assert first == second


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--market", "sometimes"), "09:15-15:30"),
        (("--brokerage", "nobody"), "no brokerage is known for 'nobody': the table has zerodha, fyers"),
        (("--interval", "7"), "bar_seconds"),
    ],
)
def test_invalid_option_is_refused_and_nothing_is_written(
    run: Run, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    result = run(*options)
    assert isinstance(result.exception, AlgosatError)
    assert reason in result.exception.detail
    assert not (tmp_path / "out").exists()


def test_brokerage_error_does_not_ask_for_a_day_of_charges(run: Run) -> None:
    result = run("--brokerage", "nobody")
    assert isinstance(result.exception, AlgosatError)
    assert "--charges-of" not in result.exception.detail


def test_unknown_exchange_is_refused_with_the_choices(run: Run) -> None:
    result = run("--exchange", "mcx")
    assert result.exit_code == 2
    assert "'mcx' is not one of 'nse', 'bse'" in result.output


@pytest.mark.parametrize("capital", ["0", "-5", "much", "Infinity"])
def test_invalid_capital_is_refused(run: Run, capital: str) -> None:
    result = run("--capital", capital)
    assert result.exit_code == 2
    assert "not an amount above 0" in result.output


def test_calendar_file_extends_the_exchange_s_calendar(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "calendar.yaml"
    file.write_text("holidays: {2031-01-01: Too late}\n")
    refused = run("--market", "exchange", "--calendar", str(file))
    assert "holidays.2031-01-01" in getattr(refused.exception, "detail", "")
    file.write_bytes(b"\xff")
    assert "cannot be read" in run("--market", "exchange", "--calendar", str(file)).output
    file.write_text("holidays: {2026-05-01: A holiday}\n")
    assert run("--market", "exchange", "--calendar", str(file)).exit_code == 0
