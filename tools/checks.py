"""What proves the project, one line for each check, and a summary with what was skipped and why.

python -m tools.checks lint unit slow chaos molecule
"""

import argparse
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tools import apt, postgresql
from tools.paths import LOCAL, ROOT, VENV_BIN
from tools.say import Trouble, finish, note

SKIPPED = re.compile(r"^SKIPPED \[(?P<count>\d+)\] \S+:\d+: (?P<reason>.+)$", re.MULTILINE)
SHOWN = 150
# Directories of molecule/; the others are named in LEFT_OUT.
SCENARIOS = ("default", "alternative", "operations")
_PYTEST = ("pytest", "--numprocesses=auto", "--durations=5")
_TESTS = (*_PYTEST, "tests/app", "tests/infra")
_OF_THE_STORE = (
    *(f"tests/app/{part}" for part in ("store", "trading", "engine")),
    *(f"tests/app/api/test_{part}.py" for part in ("orders", "baskets", "book")),
    "tests/app/test_broker_down.py",
)


@dataclass(frozen=True)
class Check:
    """A command that must end well; `needs` are other commands it calls, `env` is what it is told besides.

    `wants` brings what it can do without, and says so by what it skips.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    wants: Callable[[], None] | None = None
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What became of a check; `skipped` are the reasons it gave for leaving something out."""

    check: Check
    passed: bool
    seconds: float
    skipped: tuple[str, ...]


def lint() -> Iterator[Check]:
    """Formatting, types and rules."""
    yield Check("ruff check", ("ruff", "check", "."))
    yield Check("ruff format", ("ruff", "format", "--check", "."))
    yield Check("mypy", ("mypy", "app/algosat", "tools", "tests", "roles/algosat/files"))
    # The linter reads playbooks, not servers: it needs no inventory, which a fresh clone has none of.
    yield Check("ansible-lint", ("ansible-lint", "--offline"), env={"ANSIBLE_INVENTORY": "localhost,"})
    yield Check("yamllint", ("yamllint", "--strict", "."))
    yield Check("shellcheck", ("shellcheck", *_shell_scripts()), needs=("shellcheck",))


def unit() -> Iterator[Check]:
    """Tests that need no machine and little time."""
    yield Check("unit tests", (*_TESTS, "-m", "not slow"))


def slow() -> Iterator[Check]:
    """The others of them: whole processes, every case there is, and the store's users on PostgreSQL."""
    yield Check("slow tests", (*_TESTS, "-m", "slow"), wants=postgresql.ensure)
    on_postgresql = ("--store=postgresql", "-m", "not sqlite")
    yield Check("on PostgreSQL", (*_PYTEST, *on_postgresql, *_OF_THE_STORE), wants=postgresql.ensure)


def chaos() -> Iterator[Check]:
    """Real processes, real kills; `make chaos` is the long form."""
    yield Check("chaos", ("pytest", "--showlocals", "tests/chaos"))


def molecule() -> Iterator[Check]:
    """The whole site on fresh machines, in the situation that SCENARIO names, or in each of `SCENARIOS`."""
    asked = os.environ.get("SCENARIO")
    for scenario in (asked,) if asked else SCENARIOS:
        command = ("molecule", "test", "--no-command-borders", f"--scenario-name={scenario}")
        yield Check(f"molecule {scenario}", command)


GROUPS = {"lint": lint, "unit": unit, "slow": slow, "chaos": chaos, "molecule": molecule}
# What no check of these groups covers, and how to see it all the same.
LEFT_OUT = {
    "molecule": (
        "Ubuntu 24.04 and 26.04, whose archive not every network reaches: `make molecule SCENARIO=ubuntu`",
        "what a container cannot show (kernel, restart, power cut): `make molecule SCENARIO=vm`, on QEMU",
    )
}


def main() -> int:
    """Run the groups asked for, all of them to the end, and say how they ended."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks", description=__doc__)
    parser.add_argument("groups", nargs="+", choices=GROUPS)
    groups = parser.parse_args().groups
    results = [run(check) for group in groups for check in GROUPS[group]()]
    _summarise(results, groups)
    return 0 if all(result.passed for result in results) else 1


def run(check: Check) -> Result:
    """Run one check to its end; what it says is kept, and shown if it fails."""
    apt.ensure_commands(*check.needs)
    if check.wants is not None:
        with suppress(Trouble):
            check.wants()
    note(f"==> {check.name}")
    log = LOCAL / "logs" / f"check-{check.name.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("w") as written:
        done = subprocess.run(
            check.command, cwd=ROOT, env=_environment(check), stdin=subprocess.DEVNULL,
            stdout=written, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    said = log.read_text()
    if done.returncode != 0:
        note("\n".join(said.splitlines()[-SHOWN:]))
        note(f"    {check.name} failed; the whole output is in {log.relative_to(ROOT)}")
    return Result(check, done.returncode == 0, time.monotonic() - began, _skipped(said))


def _skipped(said: str) -> tuple[str, ...]:
    """Each reason that pytest gives for leaving something out, and how often."""
    reasons: Counter[str] = Counter()
    for found in SKIPPED.finditer(said):
        reasons[found["reason"]] += int(found["count"])
    return tuple(f"{reason} ({count})" for reason, count in reasons.items())


def _summarise(results: list[Result], groups: list[str]) -> None:
    note("\nSummary")
    for result in results:
        note(f"  {'passed' if result.passed else 'FAILED'}  {result.check.name:<20} {result.seconds:6.1f} s")
    note(f"  in all {sum(result.seconds for result in results):.0f} s")
    skipped = [f"{result.check.name}: {reason}" for result in results for reason in result.skipped]
    skipped += [f"{group}: {reason}" for group in groups for reason in LEFT_OUT.get(group, ())]
    note("Skipped" if skipped else "Skipped nothing")
    for reason in skipped:
        note(f"  {reason}")


def _shell_scripts() -> list[str]:
    """Every file that git keeps (or would) and that begins as a shell script."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [name for name in listed.stdout.splitlines() if is_shell(ROOT / name)]


def is_shell(file: Path) -> bool:
    """Whether the file is a script for sh or bash, by its first line."""
    if not file.is_file() or file.suffix == ".j2":
        return False
    with file.open("rb") as opened:
        return re.match(rb"#!\s*/(usr/)?bin/(env )?(ba|da)?sh\b", opened.readline()) is not None


def _environment(check: Check) -> dict[str, str]:
    path = f"{VENV_BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **check.env}


if __name__ == "__main__":
    finish(main)
