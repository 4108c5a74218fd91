"""`make bench`: every figure of docs/benchmarks.md, measured in one run on this machine."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from tools.bench import backtest, footprint, gate, orders, rig, store
from tools.bench.report import Figure, published, table
from tools.paths import ROOT
from tools.say import finish, note, step

_PAGE: Final = ROOT / "docs" / "benchmarks.md"


def main() -> None:
    """Measure, print, and with `--save` write the table to docs/benchmarks.md."""
    began = time.monotonic()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="algosat-bench-") as name:
        figures = _measure(Path(name))
    run = f"{_machine()}; load {load:.1f} before the run; {time.monotonic() - began:.0f} s in all"
    note(f"\n{run}\n\n{table(figures)}")
    if "--save" in sys.argv[1:]:
        _PAGE.write_text(published(_PAGE.read_text(), f"{run}\n\n{table(figures)}"))
        note(f"\nwritten to {_PAGE.relative_to(ROOT)}")


def _measure(directory: Path) -> list[Figure]:
    found: list[Figure] = []
    with step("preparing settings and a store"):
        site = rig.prepare(directory / "rig")
    _part(found, "a request in one process", lambda: [gate.figure(site)])
    _part(found, "memory and start", lambda: footprint.figures(site))
    _part(found, "orders through HTTP", lambda: orders.figures(site))
    _part(found, "the store: commits, waiting writers, a million orders", store.figures)
    _part(found, "back-test", lambda: [backtest.figure()])
    return found


def _part(found: list[Figure], name: str, measure: Callable[[], Sequence[Figure]]) -> None:
    with step(name):
        for figure in measure():
            found.append(figure)
            note(f"    {figure.work}: {figure.measured}")


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{when}; {os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    finish(main)
