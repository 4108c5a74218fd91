"""The error log: errors and recoveries of every process, counted in the store.

Recording costs its caller little and never fails: a thread writes what was collected once a second. While the
store is unavailable, it is kept in memory and added to what comes later.
"""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import Final

import structlog
from tenacity import Retrying, retry_if_not_result, sleep_using_event, stop_when_event_set
from tenacity.wait import wait_exponential_jitter

from algosat.clock import Clock
from algosat.errors import AlgosatError, InternalError
from algosat.monitoring import correlation, metrics
from algosat.resilience import error_store
from algosat.resilience.error_store import Collected, ErrorEntry
from algosat.store.audit import Cause
from algosat.store.failures import store_error
from algosat.store.writer import Writer

_log = structlog.get_logger(__name__)

_FLUSH_EVERY: Final = 1.0  # seconds
_LONGEST_PAUSE: Final = 30.0  # seconds between attempts while the store is unavailable
_MAX_MESSAGE: Final = 500  # characters


class Recovery(StrEnum):
    """What the application does by itself about an error."""

    ROUND = "round"  # repeat a part of a process that has failed
    ORDER_RESEND = "order_resend"  # send an order again that the broker has certainly not received
    ORDER_SEARCH = "order_search"  # find out at the broker what became of an `unknown` order
    STRATEGY_RESTART = "strategy_restart"  # start a strategy again that has crashed
    STORE_WRITE = "store_write"  # write what was collected while the store was unavailable


class ErrorLog:
    """Collects errors and recoveries of a process. Create it after a fork: its thread is not copied."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer, self._clock = writer, clock
        self._lock = threading.Lock()
        self._collected = Collected()
        self._failing: dict[str, float] = {}  # since when each part fails that its process repeats
        self._unwritten_since: float | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def record(
        self, error: Exception, place: str, *, seconds: float | None = None, cause: Cause | None = None
    ) -> None:
        """Count an error, here and in the metrics.

        Args:
            place: Where it was met: a route's path, or a part of a process.
            seconds: How long the request took that failed; None if none did.
            cause: What the error belongs to; None: the present request.
        """
        with suppress(Exception):  # the log must not fail what it watches
            known = classified(error)
            metrics.ERRORS.labels(known.reported_code, known.severity.value).inc()
            with self._lock:
                self._collected.add_error(_entry_of(error, known, place, self._clock(), cause), seconds)
            self._start()

    def recovered(self, action: Recovery, place: str, *, succeeded: bool, seconds: float = 0) -> None:
        """Count a recovery that has ended, here and in the metrics.

        Args:
            place: The part that recovers; a broker's account, or a strategy.
            seconds: How long the recovery took.
        """
        with suppress(Exception):
            metrics.RECOVERIES.labels(action.value, "succeeded" if succeeded else "failed").inc()
            with self._lock:
                self._collected.add_recovery(
                    action.value, place, self._clock(), succeeded=succeeded, seconds=seconds
                )
            self._start()

    def round_failed(self, error: Exception, place: str) -> None:
        """Count the error of a part that its process repeats until it passes."""
        self.record(error, place)
        if place in self._failing:
            self.recovered(Recovery.ROUND, place, succeeded=False)
        self._failing.setdefault(place, time.monotonic())

    def round_passed(self, place: str) -> None:
        """Count the recovery of such a part if it has failed before."""
        since = self._failing.pop(place, None) if self._failing else None
        if since is not None:
            self.recovered(Recovery.ROUND, place, succeeded=True, seconds=time.monotonic() - since)

    def count_request(self, status: int, seconds: float) -> None:
        """Count a request that was answered, to compare the times with errors and without."""
        with self._lock:
            self._collected.add_request(self._clock(), failed=status >= 500, seconds=seconds)
        if self._thread is None:
            self._start()

    def flush(self) -> bool:
        """Write what was collected. Return False if the store is unavailable: then it is kept."""
        now = self._clock()
        with self._lock:
            if not self._collected.is_due(now):
                return True
            batch, self._collected = self._collected, Collected()
        try:
            self._writer.run(lambda connection: error_store.write(connection, batch), durable=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread must go on
            _log.warning("errors_not_written", reason=(store_error(error) or error).__class__.__name__)
            with self._lock:
                self._collected.add(batch)
            self._unwritten_since = self._unwritten_since or time.monotonic()
            return False
        self._end_failure()
        return True

    def close(self) -> None:
        """End the thread, and write what it left."""
        self._closing.set()
        thread = self._thread
        if thread is not None:
            thread.join()
        with self._lock:
            self._collected.hurry()
        self.flush()

    def _end_failure(self) -> None:
        since, self._unwritten_since = self._unwritten_since, None
        if since is not None:
            seconds = time.monotonic() - since
            self.recovered(Recovery.STORE_WRITE, "error log", succeeded=True, seconds=seconds)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="error-log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        write = Retrying(
            retry=retry_if_not_result(bool),
            wait=wait_exponential_jitter(initial=_FLUSH_EVERY, max=_LONGEST_PAUSE),
            stop=stop_when_event_set(self._closing),
            sleep=sleep_using_event(self._closing),
            retry_error_callback=lambda _state: None,
        )
        while not self._closing.wait(_FLUSH_EVERY):
            write(self.flush)
            with self._lock:
                if self._collected.is_empty:
                    self._thread = None  # the next record starts another one
                    return


def classified(error: Exception) -> AlgosatError:
    """Return the application's error for any exception: its own, that of the store, or an internal one."""
    if isinstance(error, AlgosatError):
        return error
    return store_error(error) or InternalError()


def _entry_of(
    error: Exception, known: AlgosatError, place: str, at: datetime, cause: Cause | None
) -> ErrorEntry:
    is_internal = isinstance(known, InternalError)
    code = type(error).__name__ if is_internal else known.reported_code
    message = str(error) if is_internal else known.detail
    return ErrorEntry(
        fingerprint=hashlib.sha256(f"{code}\n{place}".encode()).hexdigest(),
        code=code[:64],
        severity=known.severity,
        category=known.category,
        component=known.component,
        place=place[:128],
        message=message[:_MAX_MESSAGE].replace("\x00", ""),
        correlation_id=correlation.current.get() if cause is None else cause.correlation_id,
        release=error_store.release(),
        count=1,
        first_at=at,
        last_at=at,
    )
