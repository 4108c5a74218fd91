from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import checks
from tools.checks import Check
from tools.paths import ROOT
from tools.say import Trouble


def run(monkeypatch: pytest.MonkeyPatch, directory: Path, script: str) -> checks.Result:
    monkeypatch.setattr(checks, "LOCAL", directory)
    monkeypatch.setattr(checks, "ROOT", directory)
    return checks.run(Check("some check", (sys.executable, "-c", script)))


def test_check_that_ends_well_has_passed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, "print('fine')").passed


def test_failing_check_shows_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run(monkeypatch, tmp_path, "print('this broke'); raise SystemExit(3)").passed
    assert "this broke" in capsys.readouterr().out


def test_reasons_for_skipping_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = (
        "SKIPPED [2] tests/app/test_x.py:7: no PostgreSQL\nSKIPPED [1] tests/app/test_y.py:9: no PostgreSQL"
    )
    assert run(monkeypatch, tmp_path, f"print({said!r})").skipped == ("no PostgreSQL (3)",)


def test_what_a_check_can_do_without_does_not_stop_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unavailable() -> None:
        raise Trouble("there is none", "install it")

    monkeypatch.setattr(checks, "LOCAL", tmp_path)
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    assert checks.run(Check("some check", (sys.executable, "-c", ""), wants=unavailable)).passed


def test_unit_and_slow_tests_are_all_there_are() -> None:
    chosen = {check.command[-1] for check in (*checks.unit(), next(checks.slow()))}
    assert chosen == {"not slow", "slow"}


def test_every_scenario_is_gone_through_or_named_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCENARIO", raising=False)
    run = {check.command[-1].partition("=")[2] for check in checks.molecule()}
    told = " ".join(checks.LEFT_OUT["molecule"])
    for scenario in (it.name for it in (ROOT / "molecule").iterdir()):
        assert (scenario in run) != (f"SCENARIO={scenario}" in told)


def test_scenario_that_is_asked_for_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO", "ubuntu")
    assert [check.name for check in checks.molecule()] == ["molecule ubuntu"]


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
