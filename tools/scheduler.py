"""Running checks side by side, each with its own log."""

import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tools import apt
from tools.paths import LOCAL, ROOT, VENV_BIN
from tools.say import Trouble, note

SKIPPED = re.compile(r"^SKIPPED \[(?P<count>\d+)\] \S+:\d+: (?P<reason>.+)$", re.MULTILINE)
SHOWN_LINES = 150


@dataclass(frozen=True)
class Check:
    """A command that must exit with 0.

    Attributes:
        needs: programs the command calls; they are installed before it starts.
        wants: installs what the command can do without; it skips tests if this fails.
        env: additional environment variables.
        usual_seconds: about how long it takes alone on two cores. Longer checks start before shorter ones, so
            that the short ones fill the gaps at the end.
        early: starts before longer checks, because it is quick and fails most often.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    wants: Callable[[], None] | None = None
    env: dict[str, str] = field(default_factory=dict)
    usual_seconds: int = 5
    early: bool = False


@dataclass(frozen=True)
class Result:
    """The outcome of one run of a check; `skipped` holds the reasons its tests gave for skipping."""

    check: Check
    passed: bool
    seconds: float
    skipped: tuple[str, ...]


def workers() -> int:
    """Return how many checks run at a time: one more than there are cores, since some of them only wait."""
    return 1 + max(2, os.cpu_count() or 1)


def run_all(checks: Sequence[Check], workers: int) -> list[Result]:
    """Run every check to its end, whatever the others' outcome. Returns the results in the given order."""
    waiting = sorted(checks, key=lambda check: (not check.early, -check.usual_seconds))
    running: dict[Future[Result], Check] = {}
    results: dict[str, Result] = {}
    with ThreadPoolExecutor(workers) as pool:
        while waiting or running:
            while waiting and len(running) < workers:
                check = waiting.pop(0)
                _install(check)
                note(f"==> {check.name}")
                running[pool.submit(run, check)] = check
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                results[running.pop(future).name] = future.result()
                _report(future.result())
    return [results[check.name] for check in checks]


def run(check: Check) -> Result:
    """Run one check to its end. Its output goes to its log."""
    log = log_of(check)
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(
            check.command, cwd=ROOT, env=_environment(check), stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    return Result(check, done.returncode == 0, time.monotonic() - began, _skipped(log.read_text()))


def log_of(check: Check) -> Path:
    """Return the file that holds the output of a check's last run."""
    return LOCAL / "logs" / f"check-{check.name.replace(' ', '-')}.log"


def _install(check: Check) -> None:
    apt.ensure_commands(*check.needs)
    if check.wants is not None:
        with suppress(Trouble):
            check.wants()


def _report(result: Result) -> None:
    log = log_of(result.check)
    if result.passed:
        note(f"    {result.check.name} passed in {result.seconds:.1f} s")
        return
    note("\n".join(log.read_text().splitlines()[-SHOWN_LINES:]))
    note(f"    {result.check.name} FAILED after {result.seconds:.1f} s; its whole output is in {log}")


def _skipped(output: str) -> tuple[str, ...]:
    """Return each reason that pytest gave for skipping a test, with the number of tests."""
    reasons: Counter[str] = Counter()
    for found in SKIPPED.finditer(output):
        reasons[found["reason"]] += int(found["count"])
    return tuple(f"{reason} ({count})" for reason, count in reasons.items())


def _environment(check: Check) -> dict[str, str]:
    path = f"{VENV_BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **check.env}
