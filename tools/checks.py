"""Run the checks that prove the project, side by side, and print a summary with what was skipped and why.

python -m tools.checks lint unit slow chaos molecule [--times 3]
"""

import argparse
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tools import apt, postgresql, prometheus, scheduler
from tools.paths import ROOT
from tools.say import finish, note
from tools.scheduler import Check, Result

# Directories of molecule/ that `make test` runs, with their usual seconds; the others are named in LEFT_OUT.
SCENARIOS = {"default": 500, "alternative": 550, "operations": 700}
CONTAINERS = ("podman", "ssh", "ssh-keygen", "mmdebstrap", "gpg")
_PYTEST = ("pytest", "--numprocesses=auto", "--durations=5")
_TESTS = (*_PYTEST, "tests/app", "tests/infra")
_ENGINE_TESTS = (
    *("auto_close", "expiry", "kills", "pending_requests"),
    *("quotes", "reconciler", "router", "walks"),
)
# Tests of what is written in SQL. `make prove PART=postgresql` runs all tests on PostgreSQL.
_STORE_TESTS = (
    *(f"tests/app/{part}" for part in ("store", "trading")),
    *(f"tests/app/engine/test_{part}.py" for part in _ENGINE_TESTS),
    *(f"tests/app/api/test_{part}.py" for part in ("orders", "baskets", "book")),
    "tests/app/test_broker_down.py",
)


def lint() -> Iterator[Check]:
    """Yield the checks of formatting, types and rules."""
    yield Check("ruff check", ("ruff", "check", "."), early=True)
    yield Check("ruff format", ("ruff", "format", "--check", "."), early=True)
    typed = ("app/algosat", "tools", "tests", "roles/algosat/files")
    yield Check("mypy", ("mypy", *typed), usual_seconds=40, early=True)
    # The linter reads playbooks, not servers: it needs no inventory, and a fresh clone has none.
    offline = {"ANSIBLE_INVENTORY": "localhost,"}
    yield Check("ansible-lint", ("ansible-lint", "--offline"), env=offline, usual_seconds=90, early=True)
    yield Check("yamllint", ("yamllint", "--strict", "."), early=True)
    yield Check("shellcheck", ("shellcheck", *_shell_scripts()), needs=("shellcheck",), early=True)
    yield Check(
        "bandit", ("bandit", "-q", "-r", "app/algosat", "tools", "roles", "-c", "pyproject.toml"), early=True
    )
    yield Check("licences", ("python", "-m", "tools.licences"), early=True)
    yield Check("language", ("python", "-m", "tools.language"), early=True)


def unit() -> Iterator[Check]:
    """Yield the tests that need no machine and little time."""
    command = (*_TESTS, "-m", "not slow")
    yield Check("unit tests", command, wants=_programs_of_the_tests, usual_seconds=50, early=True)


def slow() -> Iterator[Check]:
    """Yield the tests that start processes or go through very many cases, and the store's on PostgreSQL."""
    yield Check("slow tests", (*_TESTS, "-m", "slow"), wants=_programs_of_the_slow_tests, usual_seconds=60)
    on_postgresql = (*_PYTEST, "--store=postgresql", "-m", "not sqlite", *_STORE_TESTS)
    yield Check("on PostgreSQL", on_postgresql, wants=postgresql.ensure, usual_seconds=45)


def chaos() -> Iterator[Check]:
    """Yield the short run of random kills and faults; `make chaos` is the long one."""
    yield Check("chaos", ("pytest", "--showlocals", "tests/chaos"), usual_seconds=20)


def molecule() -> Iterator[Check]:
    """Yield the whole site on fresh machines: the scenarios that SCENARIO names, or each of `SCENARIOS`."""
    for scenario in os.environ.get("SCENARIO", "").split() or SCENARIOS:
        command = ("molecule", "test", "--no-command-borders", f"--scenario-name={scenario}")
        yield Check(
            f"molecule {scenario}", command, needs=CONTAINERS, usual_seconds=SCENARIOS.get(scenario, 600)
        )


GROUPS = {"lint": lint, "unit": unit, "slow": slow, "chaos": chaos, "molecule": molecule}
# What no check of these groups covers, and the command that does.
LEFT_OUT = {
    "molecule": (
        "Ubuntu 24.04 and 26.04, whose archive not every network reaches: `make molecule SCENARIO=ubuntu`",
        "what a container cannot show (kernel, restart, power cut): `make molecule SCENARIO=vm`, on QEMU",
    )
}


def main() -> int:
    """Run the checks of the given groups, `--times` times over, and print the summary."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.checks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("groups", nargs="+", choices=GROUPS)
    parser.add_argument("--times", type=int, default=1, help="repeat all of it, to find what fails by chance")
    asked = parser.parse_args()
    checks = [check for group in asked.groups for check in GROUPS[group]()]
    began = time.monotonic()
    rounds = []
    for number in range(1, asked.times + 1):
        if asked.times > 1:
            note(f"Round {number} of {asked.times}")
        rounds.append(scheduler.run_all(checks, scheduler.workers()))
    note("\n".join(summary(rounds, time.monotonic() - began)))
    note("\n".join(skipped(rounds[-1], asked.groups)))
    return 0 if all(result.passed for results in rounds for result in results) else 1


def summary(rounds: list[list[Result]], seconds: float) -> Iterator[str]:
    """Yield a line for each check: passed in every round, failed in every round, or by chance in some."""
    yield "\nSummary"
    for runs in zip(*rounds, strict=True):
        times = " ".join(f"{run.seconds:6.1f}" for run in runs)
        yield f"  {_outcome([run.passed for run in runs])}  {runs[0].check.name:<22} {times} s"
    yield f"  all of it took {seconds:.0f} s"
    passed = [all(run.passed for run in runs) for runs in zip(*rounds, strict=True)]
    yield f"{passed.count(True)} passed, {passed.count(False)} failed"


def _outcome(passed: list[bool]) -> str:
    if all(passed):
        return "passed"
    return f"FAILED {passed.count(False)} of {len(passed)}" if len(passed) > 1 else "FAILED"


def skipped(results: list[Result], groups: list[str]) -> Iterator[str]:
    """Yield the reason for everything that was skipped, by the tests or by the choice of scenarios."""
    reasons = [f"{result.check.name}: {reason}" for result in results for reason in result.skipped]
    reasons += [f"{group}: {reason}" for group in groups for reason in LEFT_OUT.get(group, ())]
    yield "Skipped" if reasons else "Skipped nothing"
    yield from (f"  {reason}" for reason in reasons)


def _programs_of_the_tests() -> None:
    """Install the programs that the commands of docs/api.md use, and those that test alert rules."""
    apt.ensure_commands("curl", "jq")
    prometheus.ensure()


def _programs_of_the_slow_tests() -> None:
    postgresql.ensure()
    prometheus.ensure()


def _shell_scripts() -> list[str]:
    """Return every shell script that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [name for name in listed.stdout.splitlines() if is_shell(ROOT / name)]


def is_shell(file: Path) -> bool:
    """Return whether the file is a script for sh or bash, by its first line."""
    if not file.is_file() or file.suffix == ".j2":
        return False
    with file.open("rb") as opened:
        return re.match(rb"#!\s*/(usr/)?bin/(env )?(ba|da)?sh\b", opened.readline()) is not None


if __name__ == "__main__":
    finish(main)
