"""Outbound rate limits of the account: requests per calendar second and per minute, orders per day."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import Final

from algosat.clock import has_come

RATE_LIMIT_PAUSE: Final = timedelta(seconds=1)  # after the broker has answered "too many requests"
_MINUTE: Final = timedelta(minutes=1)


class Throttle:
    """Issues permits to send. Brokers count by calendar second, and so does this class."""

    def __init__(
        self, per_second: int, per_minute: int, per_day: int, *, sent: Iterable[datetime] = ()
    ) -> None:
        """Count from `sent`, the times of today's orders so far: a restart does not reset the limits."""
        self._per_second, self._per_minute, self._per_day = per_second, per_minute, per_day
        self._lock = threading.Lock()
        self._recent: deque[datetime] = deque()  # of the last minute, oldest first
        self._day: date | None = None
        self._today = 0
        self._paused_until: datetime | None = None
        for at in sorted(sent):
            self._count(at)

    def try_acquire(self, at: datetime, *, is_new: bool = True, is_exit: bool = False) -> bool:
        """Take a permit for one request, if there is one.

        The day's limit applies to new orders only: a cancel or modification cannot wait until tomorrow. Nor
        can an exit; it is counted, but only the broker's own limit can stop it.
        """
        with self._lock:
            if not self._has_room(at) or (is_new and not is_exit and self._today >= self._per_day):
                return False
            self._count(at, is_new=is_new)
            return True

    def has_room(self, at: datetime) -> bool:
        """Return whether the limits of the second and the minute permit a request now."""
        with self._lock:
            return self._has_room(at)

    def pause(self, until: datetime) -> None:
        """Issue no permits before `until`, since the broker asked for fewer requests."""
        with self._lock:
            self._paused_until = max(until, self._paused_until or until)

    def _has_room(self, at: datetime) -> bool:
        paused_until = self._paused_until
        if paused_until is not None and not has_come(paused_until, at, within=_MINUTE):
            return False
        self._drop_old(at)
        second = at.replace(microsecond=0)
        in_second = sum(1 for _ in takewhile(lambda sent: sent >= second, reversed(self._recent)))
        return in_second < self._per_second and len(self._recent) < self._per_minute

    def _count(self, at: datetime, *, is_new: bool = True) -> None:
        self._drop_old(at)
        self._recent.append(at)
        self._today += is_new

    def _drop_old(self, at: datetime) -> None:
        if self._recent and self._recent[-1] > at:  # the clock was set back: count those requests as of now
            self._recent = deque(min(sent, at) for sent in self._recent)
        while self._recent and self._recent[0] <= at - _MINUTE:
            self._recent.popleft()
        day = at.astimezone(UTC).date()
        if self._day is None or day > self._day:
            self._today = 0
        self._day = day
