"""The bulkhead of a web worker: how many of its request threads may wait at once, and for what.

A thread that waits for the store or for a broker serves nothing else. Without a limit, one lock held by
another program takes all threads, and neither a probe nor a halt gets through. Only waiting is limited: as
long as the store takes writes, every thread may write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from enum import IntEnum
from typing import Final


class Precedence(IntEnum):
    """What a request is for. A higher precedence may use threads that a lower one leaves free."""

    READ = 0  # its only write, the time of the session's last request, can be left out
    ENTRY = 1  # every write that is not an exit
    ACKNOWLEDGEMENT = 2  # a committed order that waits for its broker
    EXIT = 3  # halts, cancels and closes


current: Final = ContextVar("precedence", default=Precedence.ENTRY)

_LEFT_FREE: Final = {Precedence.ENTRY: 3, Precedence.ACKNOWLEDGEMENT: 2, Precedence.EXIT: 1}

Leave = Callable[[], None]


class Bulkhead:
    """The places at which the request threads of one process may wait."""

    def __init__(self, threads: int) -> None:
        """Leave at least one of several threads free: probes and reads never wait."""
        self._places = {each: max(threads - free, 1) for each, free in _LEFT_FREE.items()}
        self._places[Precedence.READ] = 0
        self._lock = threading.Lock()
        self.waiting = 0

    def enter(self, precedence: Precedence | None = None) -> Leave | None:
        """Take a place for this thread; None if there is none for the precedence of the request.

        Returns: the function that gives the place back.
        """
        places = self._places[current.get() if precedence is None else precedence]
        with self._lock:
            if self.waiting >= places:
                return None
            self.waiting += 1
        return self._leave

    def _leave(self) -> None:
        with self._lock:
            self.waiting -= 1
