"""The clock: the only module that reads the machine's time. Others are given a Clock."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_REMEMBERED: Final = 600.0  # seconds

Clock = Callable[[], datetime]


def now() -> datetime:
    return datetime.now(UTC)


def has_come(moment: datetime, at: datetime, *, within: timedelta) -> bool:
    """Return whether a moment has come that was set at most `within` ahead.

    A moment that is further ahead was set before the clock was put back, and counts as come: waiting for the
    old time again could take hours.
    """
    return not at < moment <= at + within


def _elapsed() -> float:
    """Return the seconds since boot, with those of a suspended machine. Setting the clock changes nothing."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockWatch:
    """Notices that the clock was set, which programs see as a time that did not pass, or passed twice."""

    def __init__(
        self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = _elapsed
    ) -> None:
        self._wall, self._elapsed = wall, elapsed
        self._differences = deque([(elapsed(), wall() - elapsed())])

    def offset(self) -> float:
        """Return by how many seconds the clock was set forward (or back: negative) in the last ten minutes.

        It must be called every few seconds.
        """
        at, wall = self._elapsed(), self._wall()
        self._differences.append((at, wall - at))
        while len(self._differences) > 1 and self._differences[1][0] <= at - _REMEMBERED:
            self._differences.popleft()
        return self._differences[-1][1] - self._differences[0][1]
