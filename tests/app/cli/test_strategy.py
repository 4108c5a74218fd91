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
    """The command line, on a server whose exchange has listed its instruments."""
    with open_desk(load(directory), FakeClock()):
        pass
    return lambda *arguments: CliRunner().invoke(cli, ["--config-dir", str(directory), *arguments])


def test_a_strategy_is_set_started_listed_and_stopped(run: Run) -> None:
    assert run(*SET, GOOD).output == "trend\tv1\tstopped\n"
    assert run("strategy", "start", "trend").output == "trend\tv1\trunning\n"
    listed = run("strategy", "list").output
    assert listed == "trend\tmoving-average-crossover\tv1\trunning\tunsupervised\n"
    assert run("strategy", "stop", "trend").output == "trend\tv1\tstopped\n"


def test_it_is_shown_as_yaml_with_who_changed_it(run: Run) -> None:
    run(*SET, GOOD)
    shown = yaml.safe_load(run("strategy", "show", "trend").output)
    assert (shown["class"], shown["version"], shown["status"]["state"]) == (
        "moving-average-crossover",
        1,
        "stopped",
    )
    assert shown["parameters"]["quantity"] == "10"
    assert "by cli:" in shown["changed"]


def test_parameters_may_stand_in_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "parameters.yaml"
    path.write_text("symbols: [ALPHA-EQ]\nquantity: 5\nfast: 3\n")
    run(*SET, f"@{path}")
    assert yaml.safe_load(run("strategy", "show", "trend").output)["parameters"]["fast"] == 3


@pytest.mark.parametrize(
    ("parameters", "error"),
    [("[1]", SystemExit), ("{", SystemExit), ("@/nowhere", SystemExit), ("{symbols: []}", InvalidBody)],
)
def test_parameters_that_are_none_are_refused(run: Run, parameters: str, error: type[BaseException]) -> None:
    result = run(*SET, parameters)
    assert result.exit_code != 0
    assert isinstance(result.exception, error)
    assert run("strategy", "list").output == ""


def test_what_is_not_there_cannot_be_started_or_run(run: Run) -> None:
    for verb in ("start", "stop", "show", "run"):
        assert isinstance(run("strategy", verb, "nobody").exception, NotFound)


def test_classes_are_listed_with_their_parameters(run: Run) -> None:
    output = run("strategy", "classes").output
    assert "opening-range-breakout\n" in output
    assert "  quantity (needed): To hold, per symbol\n" in output


def test_settings_that_are_refused_end_supervision_with_a_code_of_their_own(tmp_path: Path) -> None:
    for verb in (["supervise"], ["run", "trend"]):
        result = CliRunner().invoke(cli, ["--config-dir", str(tmp_path), "strategy", *verb])
        assert result.exit_code == 78


@pytest.mark.parametrize(
    "command", [["strategy"], ["backtest"], ["strategy", "supervise"], ["strategy", "set"]]
)
def test_every_command_has_help(command: list[str]) -> None:
    assert CliRunner().invoke(cli, [*command, "--help"]).exit_code == 0
