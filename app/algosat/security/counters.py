"""Counting in this process's memory, as a storage of the `limits` library.

Its own memory storage starts a thread every hundredth of a second to forget old counts; this one
forgets while it counts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from limits.storage import Storage

_MANY: Final = 10_000  # counts, before the old ones are looked for


class WindowCounters(Storage):
    STORAGE_SCHEME: list[str] | None = ["algosat-memory"]  # noqa: RUF012 - the base class reads it so

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        *,
        clock: Callable[[], float] = time.time,
        **_options: float | str | bool,
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[int, float]] = {}  # how many, and when the window ends

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = self._clock()
        with self._lock:
            count, ends = self._windows.get(key, (0, 0.0))
            if now >= ends:
                count, ends = 0, now + expiry
                self._make_room(now)
            self._windows[key] = (count + amount, ends)
        return count + amount

    def get(self, key: str) -> int:
        count, ends = self._windows.get(key, (0, 0.0))
        return count if self._clock() < ends else 0

    def get_expiry(self, key: str) -> float:
        return self._windows.get(key, (0, self._clock()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        count = len(self._windows)
        self._windows = {}
        return count

    def clear(self, key: str) -> None:
        self._windows.pop(key, None)

    def _make_room(self, now: float) -> None:
        if len(self._windows) >= _MANY:
            self._windows = {key: window for key, window in self._windows.items() if now < window[1]}
