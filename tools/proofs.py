"""Parts of `make prove`: how one is run, how its figures are read, and the page of all results."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from tools.paths import LOCAL, ROOT, VENV_BIN
from tools.say import Trouble

STATE = LOCAL / "prove"
PASSED, FAILED, NOT_POSSIBLE = "passed", "failed", "not possible here"
# What provisioning prints when the network does not reach a distribution's archive.
_NO_ARCHIVE = r"(?P<reason>the \S+ archive gave no image)"
_INTRODUCTION = """\
# Proofs

    make prove                    # every part that has not passed at this commit, one after the other
    make prove PART="chaos vm"    # these parts, in any case

`make test` proves each promise at the smallest size that fails on broken code, `make prove` at full size. It
writes this page: each part with its last result, the commit it ran on, and the figures it printed.
"""

Read = Callable[[str], Iterator[str]]


def lines(*patterns: str) -> Read:
    """Return a reader of every line of the output that matches one of the patterns."""
    wanted = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    return lambda output: (line.strip() for line in output.splitlines() if wanted.search(line))


def pytest_totals(output: str) -> Iterator[str]:
    """Yield the totals of each run of pytest in the output."""
    yield from re.findall(r"(\d+ (?:passed|failed)[^=\n]*?) in [\d.]+s", output)


def rows(output: str) -> Iterator[str]:
    """Yield the rows of a table of figures, and whether each figure is met."""
    for found in re.finditer(r"^\| (?!work |---)(.+?) \| (.+?) \| (.*?) \| (.*?) \|$", output, re.MULTILINE):
        work, measured, wanted, met = found.groups()
        yield f"{work}: {measured}" + (f" (wanted {wanted}: {met.strip('*')})" if wanted else "")


def summary(output: str) -> Iterator[str]:
    """Yield the lines of a summary that `tools.checks` prints."""
    lines = output.partition("\nSummary\n")[2].splitlines()
    yield from (line.strip() for line in lines if line.startswith("  "))


@dataclass(frozen=True)
class Part:
    """A command, what it proves, and how the figures are read from its output.

    Attributes:
        fails: a pattern of output that makes the part fail although the command exits with 0.
        not_possible: a pattern of output that says the machine cannot run this part, with a group `reason`.
        prepare: installs what the command needs; a `Trouble` it raises means that the part cannot run here.
    """

    name: str
    proves: str
    command: tuple[str, ...]
    figures: Read
    env: dict[str, str] = field(default_factory=dict)
    fails: str = r"\| \*\*no\*\* \|"
    not_possible: str = _NO_ARCHIVE
    prepare: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Outcome:
    """The last result of a part, as .local/prove keeps it."""

    result: str
    commit: str
    at: str
    seconds: int
    figures: list[str]


def run(part: Part, commit: str) -> Outcome:
    """Run one part to its end and keep its outcome."""
    STATE.mkdir(parents=True, exist_ok=True)
    log = STATE / f"{part.name}.log"
    began, at = time.monotonic(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    try:
        part.prepare()
        with log.open("w") as output:
            code = subprocess.run(
                part.command, cwd=ROOT, env=_environment(part), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, check=False,
            ).returncode  # fmt: skip
        result, figures = judge(part, code, log.read_text())
    except Trouble as trouble:
        result, figures = NOT_POSSIBLE, [trouble.what, trouble.remedy]
    outcome = Outcome(result, commit, at, round(time.monotonic() - began), figures)
    (STATE / f"{part.name}.json").write_text(json.dumps(asdict(outcome), indent=2) + "\n")
    return outcome


def judge(part: Part, code: int, output: str) -> tuple[str, list[str]]:
    """Return the result of a part that has ended, and its figures or the reason it could not run."""
    if code != 0 and (found := re.search(part.not_possible, output)):
        return NOT_POSSIBLE, [found["reason"]]
    passed = code == 0 and not re.search(part.fails, output)
    return PASSED if passed else FAILED, list(part.figures(output))


def load(part: Part) -> Outcome | None:
    """Return the last outcome of a part in this checkout."""
    file = STATE / f"{part.name}.json"
    return Outcome(**json.loads(file.read_text())) if file.exists() else None


def is_done(part: Part, commit: str) -> bool:
    """Return whether the part has ended at this commit, and need not run again."""
    last = load(part)
    return last is not None and last.commit == commit and last.result != FAILED


def page(before: str, parts: Sequence[Part]) -> str:
    """Return docs/proofs.md. A part with no outcome in this checkout keeps its section of the page before."""
    old = dict(re.findall(r"^## (\S+)\n\n(.*?)(?=^## |\Z)", before, re.MULTILINE | re.DOTALL))
    sections = {part.name: _section(part, load(part)) or old.get(part.name, _never(part)) for part in parts}
    return _INTRODUCTION + "".join(f"\n## {name}\n\n{text.rstrip()}\n" for name, text in sections.items())


def _section(part: Part, outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    head = f"**{outcome.result}** at {outcome.commit}, {outcome.at}, {outcome.seconds} s"
    figures = "".join(f"- {figure}\n" for figure in outcome.figures if figure)
    return f"{part.proves[0].upper()}{part.proves[1:]}.\n\n{head}\n\n{figures}"


def _never(part: Part) -> str:
    return f"{part.proves[0].upper()}{part.proves[1:]}.\n\nNot run yet.\n"


def _environment(part: Part) -> dict[str, str]:
    path = f"{VENV_BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **part.env}
