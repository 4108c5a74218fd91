"""Trends in the figures of a process: does it leak? Pure: equal histories give equal answers.

Memory that a collector frees goes up and down like the teeth of a saw, and a new process grows until its
caches are full. Neither is a leak. What leaks keeps growing: smoothly, or from low point to low point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import NormalDist, median
from typing import Final

from algosat.host.history import History
from algosat.host.probe import ProcessReading

WINDOW: Final = 25  # minutes
_TEETH_WINDOW: Final = 60  # minutes, for what falls now and then
_CONFIRMATIONS: Final = 3  # minutes in a row with the same finding
_SHARE: Final = 0.4  # of the slope, which each half of the window must have
_LEAST_CONFIDENCE: Final = 0.999
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Quantity:
    """What may leak, and from when on its growth counts."""

    name: str  # field of ProcessReading
    least_slope: float  # a minute
    least_rise: float  # within the window


QUANTITIES: Final = (
    Quantity("resident_bytes", 0.3 * _MIB, 8 * _MIB),
    Quantity("open_fds", 0.5, 15),
    Quantity("threads", 0.25, 8),
)


@dataclass(frozen=True, slots=True)
class Leak:
    """A figure of a process that keeps growing."""

    process: ProcessReading  # as last read
    quantity: str
    per_minute: float
    confidence: float  # that the trend is no chance
    since: float  # seconds since 1970: from when on the growth was observed
    values: tuple[float, ...]  # by minute


def leaks(history: History) -> Iterator[Leak]:
    """Yield what leaks now."""
    for times, readings in _by_process(history).values():
        for quantity in QUANTITIES:
            values = [float(getattr(each, quantity.name)) for each in readings]
            found = trend(values, quantity)
            if found is not None:
                slope, confidence = found
                yield Leak(
                    readings[-1],
                    quantity.name,
                    slope,
                    confidence,
                    times[-min(WINDOW, len(times))],
                    tuple(values[-WINDOW:]),
                )


class LeakWatch:
    """Finds leaks, anew after each minute: that takes some milliseconds for each process."""

    def __init__(self) -> None:
        self._known: tuple[float, list[Leak]] = (0.0, [])

    def find(self, history: History) -> list[Leak]:
        """Return what leaks now."""
        minute = history.minutes[-1].at if history.minutes else 0.0
        if minute != self._known[0]:
            self._known = (minute, list(leaks(history)))
        return self._known[1]


def trend(values: Sequence[float], quantity: Quantity) -> tuple[float, float] | None:
    """Return the growth a minute and its confidence, or None if the values, one a minute, show no leak."""
    found = [_growth(values[: len(values) - back], quantity) for back in range(_CONFIRMATIONS)]
    return None if None in found else found[0]


def _by_process(history: History) -> Mapping[tuple[int, float], tuple[list[float], list[ProcessReading]]]:
    """Return the minutes of each process that still runs."""
    lines: dict[tuple[int, float], tuple[list[float], list[ProcessReading]]] = {}
    running = history.minutes[-1].processes if history.minutes else ()
    for process in running:
        lines[process.pid, process.started_at] = ([], [])
    for minute in history.minutes:
        for process in minute.processes:
            line = lines.get((process.pid, process.started_at))
            if line is not None:
                line[0].append(minute.at)
                line[1].append(process)
    return lines


def _growth(values: Sequence[float], quantity: Quantity) -> tuple[float, float] | None:
    if len(values) < WINDOW:
        return None
    window, before = values[-WINDOW:], values[:-WINDOW]
    smooth = [median(window[at : at + 3]) for at in range(WINDOW - 2)]
    slope = _slope(window)
    rise = slope * (WINDOW - 1)
    if _largest_fall(smooth) > max(rise / 8, quantity.least_rise):
        return _growth_of_low_points(values[-_TEETH_WINDOW:], quantity)
    if slope < quantity.least_slope or rise < quantity.least_rise:
        return None
    grows = _grows_throughout(window, slope) and _largest_jump(smooth) <= rise / 2
    confidence = _confidence(window)
    if not grows or confidence < _LEAST_CONFIDENCE or not _is_new_high(window, before, rise):
        return None
    return slope, confidence


def _growth_of_low_points(values: Sequence[float], quantity: Quantity) -> tuple[float, float] | None:
    """Return the growth from each low point of the teeth to the next; None if one is no higher."""
    lows = _low_points(values)
    if len(lows) < 2 or any(later <= earlier for (_, earlier), (_, later) in pairwise(lows)):
        return None
    (first_at, first), (last_at, last) = lows[0], lows[-1]
    slope = (last - first) / (last_at - first_at)
    confidence = 1 - 1 / math.factorial(len(lows))  # of all sequences of these values, one only grows
    if slope < quantity.least_slope or last - first < quantity.least_rise or confidence < _LEAST_CONFIDENCE:
        return None
    return slope, confidence


def _grows_throughout(window: Sequence[float], slope: float) -> bool:
    """Return whether both halves grow, the second about as fast: not if a cache fills up."""
    half = len(window) // 2
    first, second = _slope(window[:half]), _slope(window[-half:])
    return first >= _SHARE * slope and second >= _SHARE * max(first, slope)


def _is_new_high(window: Sequence[float], before: Sequence[float], rise: float) -> bool:
    """Return whether the level was not reached before. A long tooth has been as high, and fallen."""
    return not before or min(window[-3:]) - max(before) >= rise / 2


def _low_points(values: Sequence[float]) -> list[tuple[int, float]]:
    """Return minute and value of the low point after each large fall."""
    large = _largest_fall(values) / 2
    lows: list[tuple[int, float]] = []
    high, low, is_falling = values[0], (0, values[0]), False
    for at, value in enumerate(values):
        if is_falling and value > low[1]:
            lows.append(low)
            is_falling, high = False, value
        elif high - value >= large:
            is_falling, low = True, (at, value)
        else:
            high = max(high, value)
    return lows


def _largest_fall(window: Sequence[float]) -> float:
    """Return the largest fall from a value to a later one."""
    largest, high = 0.0, window[0]
    for value in window:
        high = max(high, value)
        largest = max(largest, high - value)
    return largest


def _largest_jump(window: Sequence[float]) -> float:
    """Return the largest rise within three minutes."""
    return max(later - earlier for earlier, later in zip(window, window[3:], strict=False))


def _slope(window: Sequence[float]) -> float:
    """Return the median slope between all pairs (Theil and Sen), which single outliers do not move."""
    return median(
        (later - earlier) / (at_later - at_earlier)
        for (at_earlier, earlier), (at_later, later) in combinations(enumerate(window), 2)
    )


def _confidence(window: Sequence[float]) -> float:
    """Return the confidence that the values grow (Mann and Kendall's test, one-sided)."""
    pairs = combinations(window, 2)
    score = sum((later > earlier) - (later < earlier) for earlier, later in pairs)
    count = len(window)
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return NormalDist().cdf((score - 1) / deviation) if score > 0 else 0.0
