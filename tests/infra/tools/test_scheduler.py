"""Checks that run side by side."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tools import scheduler
from tools.say import Trouble
from tools.scheduler import Check, Result

# Ends well once the file of the other check is there; gives up after a minute.
MEETS = """
import pathlib, time
pathlib.Path({own!r}).touch()
end = time.monotonic() + 60
while not pathlib.Path({other!r}).exists():
    assert time.monotonic() < end
    time.sleep(0.01)
"""
# Fails when another check of this kind is running.
KEEPS_OTHERS_OUT = """
import pathlib
pathlib.Path("busy").touch(exist_ok=False)
pathlib.Path("busy").unlink()
"""


@pytest.fixture(autouse=True)
def own_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scheduler, "LOCAL", tmp_path)
    monkeypatch.setattr(scheduler, "ROOT", tmp_path)


def check(name: str, script: str, **options: object) -> Check:
    return Check(name, (sys.executable, "-c", script), **options)  # type: ignore[arg-type]


def passed(results: list[Result]) -> dict[str, bool]:
    return {result.check.name: result.passed for result in results}


def test_check_that_exits_with_0_has_passed() -> None:
    assert scheduler.run(check("some", "print('fine')")).passed


def test_failing_check_shows_its_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert passed(scheduler.run_all([check("some", "print('this broke'); raise SystemExit(3)")], 1)) == {
        "some": False
    }
    assert "this broke" in capsys.readouterr().out


def test_failing_check_does_not_stop_the_others() -> None:
    broken = check("broken", "raise SystemExit(1)", usual_seconds=9)
    assert passed(scheduler.run_all([broken, check("fine", "")], 1)) == {"broken": False, "fine": True}


def test_two_checks_run_side_by_side_with_two_workers() -> None:
    checks = [
        check("one", MEETS.format(own="one", other="two")),
        check("two", MEETS.format(own="two", other="one")),
    ]
    assert passed(scheduler.run_all(checks, 2)) == {"one": True, "two": True}


def test_checks_with_one_worker_run_one_after_the_other() -> None:
    checks = [check(name, KEEPS_OTHERS_OUT) for name in "abc"]
    assert all(passed(scheduler.run_all(checks, 1)).values())


def test_early_checks_start_first_and_then_the_longest(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        check("short", "", usual_seconds=1),
        check("long", "", usual_seconds=100),
        check("early", "", early=True),
    ]
    results = scheduler.run_all(checks, 1)
    started = [line for line in capsys.readouterr().out.splitlines() if line.startswith("==>")]
    assert started == ["==> early", "==> long", "==> short"]
    assert [result.check.name for result in results] == ["short", "long", "early"]


def test_output_of_two_failing_checks_is_not_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    script = MEETS + "\nfor _ in range(20): print({own!r}, flush=True)\nraise SystemExit(1)"
    scheduler.run_all(
        [
            check("one", script.format(own="one", other="two")),
            check("two", script.format(own="two", other="one")),
        ],
        2,
    )
    said = [line for line in capsys.readouterr().out.splitlines() if line in {"one", "two"}]
    assert said in (["one"] * 20 + ["two"] * 20, ["two"] * 20 + ["one"] * 20)


def test_reasons_for_skipping_are_kept() -> None:
    said = (
        "SKIPPED [2] tests/app/test_x.py:7: no PostgreSQL\nSKIPPED [1] tests/app/test_y.py:9: no PostgreSQL"
    )
    assert scheduler.run(check("some", f"print({said!r})")).skipped == ("no PostgreSQL (3)",)


def test_check_runs_without_what_it_only_wants() -> None:
    def unavailable() -> None:
        raise Trouble("there is none", "install it")

    assert passed(scheduler.run_all([check("some", "", wants=unavailable)], 1)) == {"some": True}


def test_check_gets_its_additional_environment() -> None:
    script = "import os; assert os.environ['WHICH'] == 'this'"
    assert scheduler.run(check("some", script, env={"WHICH": "this"})).passed


@pytest.mark.parametrize(("cores", "expected"), [(None, 3), (1, 3), (2, 3), (8, 9)])
def test_there_is_one_worker_more_than_cores_and_three_at_least(
    cores: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert scheduler.workers() == expected
