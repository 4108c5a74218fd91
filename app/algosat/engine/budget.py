"""The budget of an account: which calls may be made to its broker now, over calls of all kinds.

The broker's adapter declares its quotas; the settings add narrower ones. All count by the seconds of the
clock. Calls with less precedence leave room for the others. When the next breach would have the broker ban
the app, only exits, cancels, modifications and readings of the order book are called for the rest of the day.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from algosat.brokers.base import CallKind, Period, Quota
from algosat.clock import has_come
from algosat.config.settings import EngineSettings

_PAUSE: Final = timedelta(seconds=1)  # after "too many requests", if the broker does not say how long
_LONGEST_PAUSE: Final = timedelta(minutes=1)
_SECONDS: Final = {Period.SECOND: 1, Period.MINUTE: 60}
_STRIKES: Final = "strikes"
_NEW: Final = frozenset({CallKind.EXIT, CallKind.ORDER})
_WRITES: Final = frozenset({CallKind.CANCEL, CallKind.MODIFY}) | _NEW
# The share of a quota that calls of a kind may fill; the rest is left to calls with precedence.
_SHARES: Final = {CallKind.BOOK: 0.8, CallKind.QUOTES: 0.6, CallKind.HISTORY: 0.4}
# These cannot wait until tomorrow: only the broker's own limit of the day can stop them.
_NOT_FOR_TOMORROW: Final = frozenset({CallKind.CANCEL, CallKind.EXIT})
_AT_THE_LAST_STRIKE: Final = frozenset({CallKind.CANCEL, CallKind.EXIT, CallKind.MODIFY, CallKind.BOOK})


def quotas_of(settings: EngineSettings) -> tuple[Quota, ...]:
    """Return the quotas of the settings, which apply besides those that the broker's adapter declares."""
    return (
        Quota(settings.orders_per_second, Period.SECOND, _WRITES),
        Quota(settings.orders_per_minute, Period.MINUTE, _WRITES),
        Quota(settings.orders_per_day, Period.DAY, _NEW),
    )


class Budget:
    """Issues permits for calls. Its methods may be called from any thread."""

    def __init__(
        self,
        quotas: Sequence[Quota],
        *,
        sent: Iterable[datetime] = (),
        counted: tuple[date, Mapping[str, int]] | None = None,
    ) -> None:
        """Build a budget that a restart does not reset.

        Args:
            quotas: All of them apply.
            sent: The times of today's new orders so far.
            counted: The other calls and strikes of a day, as `counts` returned them.
        """
        self._lock = threading.Lock()
        self._windows = [_Window(quota) for quota in quotas if quota.period is not Period.DAY]
        self._of_the_day = [_room(quota) for quota in quotas if quota.period is Period.DAY]
        self._forgiven = min((quota.strikes for quota in quotas if quota.strikes is not None), default=None)
        self._day, numbers = counted or (date.min, {})
        self._strikes = numbers.get(_STRIKES, 0)
        self._today = Counter({kind: numbers.get(kind.name, 0) for kind in CallKind if kind not in _NEW})
        self._paused_until: datetime | None = None
        for at in sorted(sent):
            self._count(CallKind.ORDER, at)

    def try_acquire(self, kind: CallKind, at: datetime) -> bool:
        """Take a permit for one call, if there is one."""
        with self._lock:
            if not (self._has_room(kind, at) and self._has_room_today(kind)):
                return False
            self._count(kind, at)
            return True

    def has_room(self, at: datetime) -> bool:
        """Return whether the quotas of the second and the minute permit a new order now."""
        with self._lock:
            return self._has_room(CallKind.ORDER, at)

    def strike(self, at: datetime, retry_after: timedelta | None = None) -> None:
        """Make no calls for a while, since the broker has refused one as one too many."""
        with self._lock:
            self._turn_day(at)
            self._strikes += 1
            until = at + min(retry_after or _PAUSE, _LONGEST_PAUSE)
            self._paused_until = max(until, self._paused_until or until)

    def counts(self, at: datetime) -> tuple[date, dict[str, int]]:
        """Return the day, and the numbers of its calls by kind and of its strikes."""
        with self._lock:
            self._turn_day(at)
            calls = {kind.name: number for kind, number in self._today.items() if number}
            return _day(at), calls | ({_STRIKES: self._strikes} if self._strikes else {})

    def _has_room(self, kind: CallKind, at: datetime) -> bool:
        paused_until = self._paused_until
        if paused_until is not None and not has_come(paused_until, at, within=_LONGEST_PAUSE):
            return False
        self._turn_day(at)
        if self._forgiven is not None and self._strikes >= self._forgiven and kind not in _AT_THE_LAST_STRIKE:
            return False
        second = int(at.timestamp())
        for window in self._windows:  # a loop: this runs for every order
            if kind in window.room and window.used(second) >= window.room[kind]:
                return False
        return True

    def _has_room_today(self, kind: CallKind) -> bool:
        if kind in _NOT_FOR_TOMORROW:
            return True
        for room in self._of_the_day:
            if kind in room and sum(self._today[each] for each in room) >= room[kind]:
                return False
        return True

    def _count(self, kind: CallKind, at: datetime) -> None:
        self._turn_day(at)
        self._today[kind] += 1
        second = int(at.timestamp())
        for window in self._windows:
            if kind in window.room:
                window.add(second)

    def _turn_day(self, at: datetime) -> None:
        day = _day(at)
        if day > self._day:
            self._today, self._strikes = Counter(), 0
        self._day = day


class _Window:
    """The calls of a quota in its last second or minute."""

    def __init__(self, quota: Quota) -> None:
        self.room = _room(quota)
        self._seconds = _SECONDS[quota.period]
        self._calls: deque[list[int]] = deque()  # second of the clock and number of calls, oldest first
        self._used = 0

    def used(self, second: int) -> int:
        """Return the number of calls in the window that ends with this second."""
        calls = self._calls
        if calls and calls[-1][0] > second:  # the clock was set back: count those calls as of now
            self._calls = calls = deque([[second, self._used]])
        while calls and calls[0][0] <= second - self._seconds:
            self._used -= calls.popleft()[1]
        return self._used

    def add(self, second: int) -> None:
        self.used(second)
        if self._calls and self._calls[-1][0] == second:
            self._calls[-1][1] += 1
        else:
            self._calls.append([second, 1])
        self._used += 1


def _room(quota: Quota) -> dict[CallKind, int]:
    """Return up to how many calls of a quota each kind may make; the kind with precedence may make all."""
    largest = max(_SHARES.get(kind, 1.0) for kind in quota.kinds)
    return {kind: max(int(quota.limit * _SHARES.get(kind, 1.0) / largest), 1) for kind in quota.kinds}


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
