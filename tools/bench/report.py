"""Figures, and the table they are printed in."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report."""

    work: str
    measured: str
    wanted: str  # what the project set itself; empty for a figure that only informs
    met: bool | None = None


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| work | measured | wanted | met |", "|---|---|---|---|"]
    verdict = {True: "yes", False: "**no**", None: ""}
    lines += [f"| {f.work} | {f.measured} | {f.wanted} | {verdict[f.met]} |" for f in figures]
    return "\n".join(lines)


_BEGIN: Final = "<!-- the latest run: written by `make {} SAVE=yes` -->"
_END: Final = "<!-- end of the latest run -->"


def published(page: str, run: str, verb: str = "bench") -> str:
    """The page with this run of `make VERB` in the place of the one before."""
    begin = _BEGIN.format(verb)
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(_END)
    if not found:
        raise ValueError(f"the page has no lines {begin} and {_END}")
    return f"{before}{begin}\n\n{run}\n\n{_END}{after}"


def median_seconds(work: Callable[[], object], times: int) -> float:
    """The median time of several runs, after one that is not counted."""
    work()
    return statistics.median(_seconds(work) for _ in range(times))


def in_turns(works: Sequence[Callable[[], object]], times: int) -> list[float]:
    """Median seconds of several pieces of work, run in turn: a noisy machine is noisy to all of them."""
    for work in works:
        work()
    rounds = [[_seconds(work) for work in works] for _ in range(times)]
    return [statistics.median(each) for each in zip(*rounds, strict=True)]


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
