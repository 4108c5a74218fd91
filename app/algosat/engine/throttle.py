"""How fast orders may leave: per calendar second, per minute and per day, for the whole account."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import Final

from algosat.clock import has_come

FEWER_REQUESTS: Final = timedelta(seconds=1)  # the pause that a broker gets who asks for it
_MINUTE: Final = timedelta(minutes=1)


class Throttle:
    """Hands out permits. A broker counts by his own clock's seconds, so a second is a calendar second."""

    def __init__(
        self, per_second: int, per_minute: int, per_day: int, *, sent: Iterable[datetime] = ()
    ) -> None:
        """`sent`: what left earlier today, as a restart must not begin to count anew."""
        self._per_second, self._per_minute, self._per_day = per_second, per_minute, per_day
        self._lock = threading.Lock()
        self._recent: deque[datetime] = deque()  # of the last minute, oldest first
        self._day: date | None = None
        self._today = 0
        self._closed_until: datetime | None = None
        for at in sorted(sent):
            self._note(at)

    def take(self, at: datetime, *, is_new: bool = True) -> bool:
        """A permit to send one request now, if there is one.

        The day's number is one of new orders: who cancels or changes what stands need not come back tomorrow.
        """
        with self._lock:
            if not self._may(at) or (is_new and self._today >= self._per_day):
                return False
            self._note(at, is_new=is_new)
            return True

    def pause(self, until: datetime) -> None:
        """The broker asked for fewer requests: none leaves before then."""
        with self._lock:
            self._closed_until = max(until, self._closed_until or until)

    def _may(self, at: datetime) -> bool:
        closed_until = self._closed_until
        if closed_until is not None and not has_come(closed_until, at, within=_MINUTE):
            return False
        self._forget(at)
        second = at.replace(microsecond=0)
        in_second = sum(1 for _ in takewhile(lambda sent: sent >= second, reversed(self._recent)))
        return in_second < self._per_second and len(self._recent) < self._per_minute

    def _note(self, at: datetime, *, is_new: bool = True) -> None:
        self._forget(at)
        self._recent.append(at)
        self._today += is_new

    def _forget(self, at: datetime) -> None:
        if self._recent and self._recent[-1] > at:  # the clock was put back: what left counts as of now
            self._recent = deque(min(sent, at) for sent in self._recent)
        while self._recent and self._recent[0] <= at - _MINUTE:
            self._recent.popleft()
        day = at.astimezone(UTC).date()
        if self._day is None or day > self._day:
            self._today = 0
        self._day = day
