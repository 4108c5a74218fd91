"""Waiting for an order's acknowledgement without polling the store all the time.

The engine sends the id of everything it changes or answers to this process's wake-up channel. One thread
listens and wakes the request that waits for it. If a signal is lost, the request polls.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection

from algosat.domain.closing import CloseState
from algosat.domain.orders import Order
from algosat.errors import EngineBusy
from algosat.resilience.bulkhead import Bulkhead, Precedence
from algosat.store import engine_requests, ledger
from algosat.store.database import Database
from algosat.store.engine_requests import EngineRequest
from algosat.store.wakeup import backend, channels
from algosat.trading import close_records, conversion_records
from algosat.trading.close_records import Close
from algosat.trading.conversion_records import ConversionRecord

_log = structlog.get_logger(__name__)

_FIRST_POLL: Final = 0.01  # seconds until the first poll: the signal may have come before the wait began
_POLL: Final = 0.1  # seconds between later polls
_LISTEN: Final = 1.0
_LONGEST: Final = 30.0
_WAIT: Final = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?(\d{1,4}(?:\.\d{1,3})?)\"?\s*(?:$|[,;])")

_FULL: Final = "this server waits for the broker's answers to other requests; try again shortly"

T = TypeVar("T", Order, Close, ConversionRecord, EngineRequest)
Settled = Callable[[Order], bool]
Read = Callable[[Connection, str], T]


def is_acknowledged(order: Order) -> bool:
    """Return True once the broker has answered about the order, or never will."""
    return order.is_acknowledged


def has_no_request_pending(order: Order) -> bool:
    """Return True once no cancel or modify request of the order awaits an answer."""
    return order.pending is None or not order.is_working


def _rests(close: Close) -> bool:
    """Return True once a close is finished, or can continue only with a person or at the next open."""
    return close.state is not CloseState.CLOSING


def _has_outcome(conversion: ConversionRecord) -> bool:
    """Return True once it is known whether the position was converted."""
    return conversion.finished_at is not None


def _is_answered(request: EngineRequest) -> bool:
    return request.answer is not None


def _request(connection: Connection, request_id: str) -> EngineRequest:
    found = engine_requests.get(connection, request_id)
    if found is None:  # the clock was set ahead
        raise EngineBusy("the request has expired; try again shortly")
    return found


def seconds_preferred(prefer: str | None, default: float) -> float:
    """Return the seconds to wait from a `Prefer` header. RFC 7240: an invalid preference is ignored."""
    found = _WAIT.search(prefer) if prefer else None
    return min(float(found[1]), _LONGEST) if found else default


class Waiting:
    """The requests of this process that wait for an order, close, conversion or answer of the engine."""

    def __init__(
        self, database: Database, runtime_directory: Path, bulkhead: Bulkhead, *, threads: int
    ) -> None:
        """Let requests wait where the bulkhead has a place: a halt must not queue behind waiting requests."""
        self._bulkhead = bulkhead
        # Fewer, because a broker that hangs must not take the threads that orders need.
        self._answer_places = threading.BoundedSemaphore(max(threads // 4, 1))
        self._database = database
        self._directory = runtime_directory
        self._lock = threading.Lock()
        self._waiters: dict[str, list[threading.Event]] = {}
        self._process = 0
        self._closing = threading.Event()

    def close(self) -> None:
        """Stop the listening thread, which checks once a second."""
        self._closing.set()

    def until(self, order: Order, settled: Settled, seconds: float) -> Order:
        """Return the order once it is settled, or in its present state after `seconds`.

        Returns at once if the other request threads are needed for halts, probes and reads.
        """
        return self._until(order, settled, seconds, ledger.get)

    def until_closed(self, close: Close, seconds: float) -> Close:
        """Return the close once there is nothing left to wait for, or as it is after `seconds`."""
        return self._until(close, _rests, seconds, close_records.get)

    def until_converted(self, conversion: ConversionRecord, seconds: float) -> ConversionRecord:
        """Return the conversion once its outcome is known, or as it is after `seconds`."""
        return self._until(conversion, _has_outcome, seconds, conversion_records.get)

    def until_answered(self, request: EngineRequest, seconds: float) -> EngineRequest:
        """Return the request once the engine has answered it, or as it is after `seconds`.

        Raises EngineBusy at once if as many requests wait for a broker as may.
        """
        if not self._answer_places.acquire(blocking=False):
            raise EngineBusy(_FULL)
        try:
            return self._wait(request, _is_answered, time.monotonic() + seconds, _request)
        finally:
            self._answer_places.release()

    def _until(self, waited: T, settled: Callable[[T], bool], seconds: float, read: Read[T]) -> T:
        if seconds <= 0 or settled(waited):
            return waited
        leave = self._bulkhead.enter(Precedence.ACKNOWLEDGEMENT)
        if leave is None:
            return waited
        try:
            return self._wait(waited, settled, time.monotonic() + seconds, read)
        finally:
            leave()

    def _wait(self, waited: T, settled: Callable[[T], bool], deadline: float, read: Read[T]) -> T:
        self._listen()
        pause = _FIRST_POLL
        with self._signal_for(waited.id) as signal:
            while True:
                signal.wait(max(min(deadline - time.monotonic(), pause), 0))
                signal.clear()
                with self._database.read() as connection:
                    waited, pause = read(connection, waited.id), _POLL
                if settled(waited) or time.monotonic() >= deadline:
                    return waited

    @contextmanager
    def _signal_for(self, order_id: str) -> Iterator[threading.Event]:
        signal = threading.Event()
        with self._lock:
            self._waiters.setdefault(order_id, []).append(signal)
        try:
            yield signal
        finally:
            with self._lock:
                self._waiters[order_id].remove(signal)
                if not self._waiters[order_id]:
                    del self._waiters[order_id]

    def _listen(self) -> None:
        """Start the listening thread at the first wait, because it would not survive the fork."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                threading.Thread(target=self._serve, name="order-signals", daemon=True).start()

    def _serve(self) -> None:
        try:
            listener = backend.listener(self._database, self._directory, channels.web())
        except OSError as error:
            _log.warning("wakeup_channel_failed", reason=str(error), consequence="waiting requests poll")
            return
        while not self._closing.is_set():
            for order_id in listener.wait(_LISTEN):
                with self._lock:
                    waiters = list(self._waiters.get(order_id, ()))
                for waiter in waiters:
                    waiter.set()
        listener.close()
