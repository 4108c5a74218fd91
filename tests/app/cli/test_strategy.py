from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from algosat.cli import cli
from algosat.config.loader import load
from algosat.errors import InvalidBody, NotFound
from tests.app.desks import open_desk
from tests.app.fakes import FakeClock

Run = Callable[..., Result]
SET = ("strategy", "set", "trend", "--class", "moving-average-crossover", "--parameters")
GOOD = "{symbols: [ALPHA-EQ], quantity: 10}"


@pytest.fixture
def run(directory: Path) -> Run:
    """Return a function that runs the command line on a server with listed instruments."""
    with open_desk(load(directory), FakeClock()):
        pass
    return lambda *arguments: CliRunner().invoke(cli, ["--config-dir", str(directory), *arguments])


def test_strategy_is_set_started_listed_and_stopped(run: Run) -> None:
    assert run(*SET, GOOD).output == "trend\tv1\tstopped\n"
    assert run("strategy", "start", "trend").output == "trend\tv1\trunning\n"
    listed = run("strategy", "list").output
    assert listed == "trend\tmoving-average-crossover\tv1\trunning\tunsupervised\tpaper\n"
    assert run("strategy", "stop", "trend").output == "trend\tv1\tstopped\n"


def test_show_prints_yaml_with_the_author_of_the_last_change(run: Run) -> None:
    run(*SET, GOOD)
    shown = yaml.safe_load(run("strategy", "show", "trend").output)
    assert (shown["class"], shown["version"], shown["status"]["state"]) == (
        "moving-average-crossover",
        1,
        "stopped",
    )
    assert shown["parameters"]["quantity"] == "10"
    assert "by cli:" in shown["changed"]


def test_parameters_can_come_from_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "parameters.yaml"
    path.write_text("symbols: [ALPHA-EQ]\nquantity: 5\nfast: 3\n")
    run(*SET, f"@{path}")
    assert yaml.safe_load(run("strategy", "show", "trend").output)["parameters"]["fast"] == 3


@pytest.mark.parametrize(
    ("parameters", "error"),
    [("[1]", SystemExit), ("{", SystemExit), ("@/nowhere", SystemExit), ("{symbols: []}", InvalidBody)],
)
def test_invalid_parameters_are_refused(run: Run, parameters: str, error: type[BaseException]) -> None:
    result = run(*SET, parameters)
    assert result.exit_code != 0
    assert isinstance(result.exception, error)
    assert run("strategy", "list").output == ""


def test_unknown_strategy_cannot_be_started_or_run(run: Run) -> None:
    for verb in ("start", "stop", "show", "run"):
        assert isinstance(run("strategy", verb, "nobody").exception, NotFound)


def test_classes_are_printed_with_their_parameters(run: Run) -> None:
    output = run("strategy", "classes").output
    assert "opening-range-breakout\n" in output
    assert "  quantity (required): Position per symbol\n" in output


def test_invalid_settings_exit_with_code_78(tmp_path: Path) -> None:
    for verb in (["supervise"], ["run", "trend"]):
        result = CliRunner().invoke(cli, ["--config-dir", str(tmp_path), "strategy", *verb])
        assert result.exit_code == 78


@pytest.mark.parametrize(
    "command", [["strategy"], ["backtest"], ["strategy", "supervise"], ["strategy", "set"]]
)
def test_every_command_has_help(command: list[str]) -> None:
    assert CliRunner().invoke(cli, [*command, "--help"]).exit_code == 0
