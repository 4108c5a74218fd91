"""`make bench BEFORE=REVISION`: this checkout beside another revision, measured in turns in one run.

Machines are noisy, but a ratio of two measurements a few seconds apart holds. Both servers run at the same
time; each pair measures one after the other, and the one that goes first changes with each pair.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools import shell
from tools.bench.report import Figure, table
from tools.paths import LOCAL, ROOT
from tools.say import finish, note, step

_WORKS: Final = {
    "acknowledged": "order acknowledged by the paper market, 1 connection",
    "durable": "durable order through HTTP, 8 connections",
    "positions": "GET /positions, 1 connection",
    "backtest": "back-test",
}
_ALLOWED: Final = 1.05  # times as long as before


class _Side:
    """A checkout that measures itself."""

    def __init__(self, root: Path) -> None:
        path = f"{root}/.venv/bin:{os.environ['PATH']}"
        lap = ROOT / "tools" / "bench" / "lap.py"
        self._process = subprocess.Popen(
            [str(root / ".venv" / "bin" / "python"), "-P", str(lap)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root), "PATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: PT018
        self._to, self._from = self._process.stdin, self._process.stdout
        while (line := self._from.readline().strip()) != "ready":
            if not line and self._process.poll() is not None:
                raise SystemExit(f"the benches of {root} did not start")

    def rate(self, work: str) -> float:
        """Return how often the work is done per second."""
        self._to.write(f"{work}\n")
        self._to.flush()
        return float(self._from.readline())

    def close(self) -> None:
        """End the measuring process and its servers."""
        self._to.close()
        self._process.wait(timeout=60)


def main() -> int:
    """Measure the pairs and print the ratios; 1 if a median ratio is above the allowed one."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.pairs", description=__doc__)
    parser.add_argument("before", help="revision to compare with")
    parser.add_argument("--pairs", type=int, default=10)
    asked = parser.parse_args()
    with checkout(asked.before) as before:
        with step(f"starting both servers: {asked.before} and this checkout"):
            sides = {"before": _Side(before), "now": _Side(ROOT)}
        try:
            figures = [_compare(work, sides, asked.pairs) for work in _WORKS]
        finally:
            for side in sides.values():
                side.close()
    note(f"\n{asked.pairs} pairs with {asked.before}\n\n{table(figures)}")
    return 0 if all(figure.met for figure in figures) else 1


def _compare(work: str, sides: dict[str, _Side], pairs: int) -> Figure:
    rates: dict[str, list[float]] = {"before": [], "now": []}
    with step(f"{_WORKS[work]}: {pairs} pairs"):
        for number in range(pairs):
            for name in ("before", "now") if number % 2 else ("now", "before"):
                rates[name].append(sides[name].rate(work))
    ratios = [before / now for before, now in zip(rates["before"], rates["now"], strict=True)]
    ratio, was, is_now = (statistics.median(each) for each in (ratios, rates["before"], rates["now"]))
    measured = (
        f"{is_now:.0f}/s, {was:.0f}/s before: {ratio:.2f}× the time ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    return Figure(_WORKS[work], measured, f"≤ {_ALLOWED}×", ratio <= _ALLOWED)


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Check the revision out beside this checkout, with its own tools installed."""
    commit = shell.output(["git", "rev-parse", f"{revision}^{{commit}}"]).strip()
    root = LOCAL / "before" / commit[:12]
    if not root.exists():
        with step(f"checking out {revision}"):
            shell.output(["git", "worktree", "add", "--detach", "--force", str(root), commit])
    try:
        shell.output(["make", "--directory", str(root), "deps"])
        yield root
    finally:
        shell.output(["git", "worktree", "remove", "--force", str(root)])


if __name__ == "__main__":
    finish(main)
