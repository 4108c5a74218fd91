"""Figures and their table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the report."""

    work: str
    measured: str
    wanted: str  # the project's target; empty for a figure without one
    met: bool | None = None


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| work | measured | wanted | met |", "|---|---|---|---|"]
    met = {True: "yes", False: "**no**", None: ""}
    lines += [f"| {f.work} | {f.measured} | {f.wanted} | {met[f.met]} |" for f in figures]
    return "\n".join(lines)


_BEGIN: Final = "<!-- the latest run: written by `make {} SAVE=yes` -->"
_END: Final = "<!-- end of the latest run -->"


def published(page: str, run: str, verb: str = "bench") -> str:
    """Return the page with this run of `make VERB` in place of the previous one."""
    begin = _BEGIN.format(verb)
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(_END)
    if not found:
        raise ValueError(f"the page has no lines {begin} and {_END}")
    return f"{before}{begin}\n\n{run}\n\n{_END}{after}"


def median_seconds(work: Callable[[], object], times: int) -> float:
    """Return the median time of several runs, after one that is not counted."""
    work()
    return statistics.median(_seconds(work) for _ in range(times))


def in_turns(works: Sequence[Callable[[], object]], times: int) -> list[float]:
    """Return the median seconds of several pieces of work, run in turn so that noise affects all of them."""
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
