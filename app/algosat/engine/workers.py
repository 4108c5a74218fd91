"""Thread pools for broker calls, so that a call that hangs delays no other work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import structlog

from algosat.resilience.error_log import ErrorLog

_log = structlog.get_logger(__name__)

THREADS_FOR_EXITS: Final = 2  # of those for orders: entries that hang must not delay an exit
_ORDER_THREADS: Final = 8 + THREADS_FOR_EXITS
_CANCEL_THREADS: Final = 4
_REQUEST_THREADS: Final = 4


class Workers(Protocol):
    def run(self, task: Callable[[], None]) -> None:
        """Run the task as soon as a worker is free. The task must not raise."""

    def free(self) -> int:
        """Return how many tasks could start now."""

    def close(self) -> None:
        """Accept no more tasks, and wait for those accepted."""


class ThreadPoolWorkers:
    """A thread pool that knows how many of its threads are free."""

    def __init__(self, name: str, threads: int, errors: ErrorLog) -> None:
        self._name, self._errors = name, errors
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._free = threads
        self._is_closed = False

    def run(self, task: Callable[[], None]) -> None:
        with self._lock:
            self._free -= 1
        try:
            self._executor.submit(self._run, task)
        except RuntimeError as error:
            if self._is_closed:
                with self._lock:
                    self._free += 1
                raise
            # The task is queued, and the process may have no more threads. One that is busy runs it.
            _log.warning("no_thread_for_task", workers=self._name, reason=str(error))

    def free(self) -> int:
        with self._lock:
            return max(self._free, 0)

    def _run(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001 - nothing above catches it; the reconciler recovers the order
            _log.exception("broker_task_failed")
            self._errors.record(error, f"engine {self._name}")
        finally:
            with self._lock:
                self._free += 1

    def close(self) -> None:
        # The wait is short: orders past their deadline are rejected, and every broker call has a time-out.
        self._is_closed = True
        self._executor.shutdown()


class DaemonWorkers:
    """Threads that end with the process: a call that hangs does not delay the engine's end."""

    def __init__(self, name: str, threads: int, errors: ErrorLog) -> None:
        self._name, self._errors = name, errors
        self._lock = threading.Lock()
        self._free = threads

    def run(self, task: Callable[[], None]) -> None:
        with self._lock:
            self._free -= 1
        try:
            threading.Thread(target=self._run, args=(task,), name=self._name, daemon=True).start()
        except RuntimeError:  # the process may have no more threads: the task does not run
            with self._lock:
                self._free += 1
            raise

    def free(self) -> int:
        with self._lock:
            return max(self._free, 0)

    def close(self) -> None:
        """Leave the tasks that run to the end of the process."""

    def _run(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001 - nothing above catches it
            _log.exception("broker_task_failed")
            self._errors.record(error, f"engine {self._name}")
        finally:
            with self._lock:
                self._free += 1


def order_workers(errors: ErrorLog) -> ThreadPoolWorkers:
    return ThreadPoolWorkers("order-sender", _ORDER_THREADS, errors)


def cancel_workers(errors: ErrorLog) -> ThreadPoolWorkers:
    """Cancels and modifications have their own threads: placing may hang without delaying them."""
    return ThreadPoolWorkers("cancel-sender", _CANCEL_THREADS, errors)


def request_workers(errors: ErrorLog) -> DaemonWorkers:
    """What API and command line ask of the broker may hang without delaying orders or cancels."""
    return DaemonWorkers("broker-requests", _REQUEST_THREADS, errors)
