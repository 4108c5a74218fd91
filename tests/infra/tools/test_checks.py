"""The checks that `make test` runs, and their summary."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import checks
from tools.paths import ROOT
from tools.scheduler import Check, Result


def result(name: str, passed: bool, seconds: float = 1.0) -> Result:
    return Result(Check(name, ()), passed, seconds, ())


def test_unit_and_slow_tests_are_all_there_are() -> None:
    chosen = {check.command[-1] for check in (*checks.unit(), next(checks.slow()))}
    assert chosen == {"not slow", "slow"}


def test_every_scenario_runs_or_is_named_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCENARIO", raising=False)
    run = {check.command[-1].partition("=")[2] for check in checks.molecule()}
    left_out = " ".join(checks.LEFT_OUT["molecule"])
    for scenario in (it.name for it in (ROOT / "molecule").iterdir()):
        assert (scenario in run) != (f"SCENARIO={scenario}" in left_out)


def test_chosen_scenario_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO", "ubuntu")
    assert [check.name for check in checks.molecule()] == ["molecule ubuntu"]
    monkeypatch.setenv("SCENARIO", "default vm")
    assert [check.name for check in checks.molecule()] == ["molecule default", "molecule vm"]


def test_summary_has_a_line_for_each_check_and_the_time_of_all() -> None:
    lines = list(checks.summary([[result("one", True, 3.0), result("two", False, 4.0)]], 5.0))
    assert [line.split() for line in lines[1:]] == [
        ["passed", "one", "3.0", "s"],
        ["FAILED", "two", "4.0", "s"],
        ["all", "of", "it", "took", "5", "s"],
        ["1", "passed,", "1", "failed"],
    ]


def test_summary_of_several_rounds_says_how_often_a_check_failed() -> None:
    rounds = [[result("one", True), result("two", ok)] for ok in (True, False, True)]
    lines = list(checks.summary(rounds, 5.0))
    assert lines[1].split()[:2] == ["passed", "one"]
    assert lines[2].split()[:5] == ["FAILED", "1", "of", "3", "two"]


def test_summary_names_what_was_skipped_and_what_the_groups_leave_out() -> None:
    ran = Result(Check("slow tests", ()), True, 1.0, ("no PostgreSQL (3)",))
    lines = list(checks.skipped([ran], ["slow", "molecule"]))
    assert "  slow tests: no PostgreSQL (3)" in lines
    assert any("SCENARIO=vm" in line for line in lines)
    assert list(checks.skipped([result("one", True)], ["unit"])) == ["Skipped nothing"]


@pytest.mark.parametrize(
    ("beginning", "shell"),
    [
        ("#!/bin/sh\n", True),
        ("#!/usr/bin/env bash\n", True),
        ("#!/usr/bin/env python3\n", False),
        ("echo\n", False),
    ],
)
def test_shell_scripts_are_known_by_their_first_line(tmp_path: Path, beginning: str, shell: bool) -> None:
    script = tmp_path / "script"
    script.write_text(beginning)
    assert checks.is_shell(script) is shell
