"""Where broker calls run, so that one that hangs keeps nobody else waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import structlog

_log = structlog.get_logger(__name__)

_PLACES: Final = 8
_EXITS: Final = 4


class Workers(Protocol):
    def run(self, task: Callable[[], None]) -> None:
        """Have the task done soon. It must not raise."""

    def free(self) -> int:
        """How many tasks could begin at once."""

    def close(self) -> None:
        """Take nothing more, and wait for what was taken."""


class ThreadPoolWorkers:
    """A few threads of their own."""

    def __init__(self, name: str, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._free = threads

    def run(self, task: Callable[[], None]) -> None:
        with self._lock:
            self._free -= 1
        self._executor.submit(self._work, task)

    def free(self) -> int:
        with self._lock:
            return max(self._free, 0)

    def _work(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception:  # noqa: BLE001 - the last resort of a thread: the reconciler finds what was left
            _log.exception("broker_task_failed")
        finally:
            with self._lock:
                self._free += 1

    def close(self) -> None:
        # Not for long: an order past its deadline is refused, and every call has a time-out.
        self._executor.shutdown()


def places() -> ThreadPoolWorkers:
    return ThreadPoolWorkers("place", _PLACES)


def exits() -> ThreadPoolWorkers:
    """Cancels and changes have threads of their own: a broker that hangs on placing must not stop them."""
    return ThreadPoolWorkers("exit", _EXITS)
