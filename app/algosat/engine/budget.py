"""The budget of an account: which calls may be made to its broker now, over calls of all kinds.

The broker's adapter declares its quotas; the settings add narrower ones. All count by the seconds of the
clock. Calls with less precedence leave room for the others, and a refusal by the broker ("too many requests")
pauses no call with more precedence than the refused one. When the next breach would have the broker ban
the app, only exits, cancels, modifications and readings of the order book are called for the rest of the day.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_SHARES: Final = {
    CallKind.MODIFY: 0.95,
    CallKind.ORDER: 0.9,
    CallKind.BOOK: 0.8,
    CallKind.QUOTES: 0.6,
    CallKind.HISTORY: 0.4,
}
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
        self._windows: list[_Window] = []
        self._of_the_day: list[Mapping[CallKind, int]] = []
        self._forgiven: int | None = None
        self._day, numbers = counted or (date.min, {})
        self._strikes = numbers.get(_STRIKES, 0)
        self._today = Counter({kind: numbers.get(kind.name, 0) for kind in CallKind if kind not in _NEW})
        self._sent = sorted(sent)
        for at in self._sent:
            self._turn_day(at)
            self._today[CallKind.ORDER] += 1
        self._paused_until: dict[CallKind, datetime] = {}
        self.declare(quotas)

    def declare(self, quotas: Sequence[Quota]) -> None:
        """Add quotas, in which the orders sent before the budget was built count."""
        with self._lock:
            for quota in quotas:
                if quota.period is Period.DAY:
                    self._of_the_day.append(_room(quota))
                else:
                    self._windows.append(_Window(quota, self._sent))
                if quota.strikes is not None:
                    known = quota.strikes if self._forgiven is None else self._forgiven
                    self._forgiven = min(quota.strikes, known)

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

    def strike(self, kind: CallKind, at: datetime, retry_after: timedelta | None = None) -> None:
        """Pause the calls of this kind and those with less precedence, since the broker has refused one."""
        with self._lock:
            self._turn_day(at)
            self._strikes += 1
            until = at + min(retry_after or _PAUSE, _LONGEST_PAUSE)
            for each in CallKind:
                if each >= kind:
                    self._paused_until[each] = max(until, self._paused_until.get(each, until))

    def left(self, at: datetime) -> dict[str, int]:
        """Return how many new orders the quotas permit now, by the period of the quota."""
        with self._lock:
            self._turn_day(at)
            left: dict[str, int] = {}
            for period, room, used in self._rooms(int(at.timestamp())):
                if CallKind.ORDER in room:
                    rest = max(room[CallKind.ORDER] - used, 0)
                    left[period.value] = min(rest, left.get(period.value, rest))
            return left

    def paused_until(self, at: datetime) -> datetime | None:
        """Return until when the broker's refusals pause new orders, or None if they do not."""
        with self._lock:
            until = self._paused_until.get(CallKind.ORDER)
        return None if until is None or has_come(until, at, within=_LONGEST_PAUSE) else until

    def _rooms(self, second: int) -> Iterator[tuple[Period, Mapping[CallKind, int], int]]:
        """Yield the period of each quota, its room for each kind, and the number of its calls."""
        for window in self._windows:
            yield window.period, window.room, window.used(second)
        for room in self._of_the_day:
            yield Period.DAY, room, sum(self._today[each] for each in room)

    def counts(self, at: datetime) -> tuple[date, dict[str, int]]:
        """Return the day, and the numbers of its calls by kind and of its strikes."""
        with self._lock:
            self._turn_day(at)
            calls = {kind.name: number for kind, number in self._today.items() if number}
            return _day(at), calls | ({_STRIKES: self._strikes} if self._strikes else {})

    def _has_room(self, kind: CallKind, at: datetime) -> bool:
        paused_until = self._paused_until.get(kind)
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

    def __init__(self, quota: Quota, sent: Iterable[datetime]) -> None:
        self.period, self.room = quota.period, _room(quota)
        self._seconds = _SECONDS[quota.period]
        self._calls: deque[list[int]] = deque()  # second of the clock and number of calls, oldest first
        self._used = 0
        if CallKind.ORDER in self.room:
            for at in sent:
                self.add(int(at.timestamp()))

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
    """Return up to how many calls of a quota each kind may make; the kind with precedence may make all.

    Entries may use a quota of the day whole: exits and cancels need no room in it.
    """
    shares = dict.fromkeys(_WRITES, 1.0) if quota.period is Period.DAY else {}
    shares = {kind: shares.get(kind, _SHARES.get(kind, 1.0)) for kind in quota.kinds}
    return {kind: max(int(quota.limit * share / max(shares.values())), 1) for kind, share in shares.items()}


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
