"""Waiting for the broker's word on an order, without asking the store all the time.

The engine rings this process's bell with the id of every order it changed; one thread listens
and wakes whoever waits for it. Should a ring be lost, the waiter looks by itself.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from algosat.domain.orders import Order
from algosat.store import ledger
from algosat.store.database import Database
from algosat.store.wakeup import backend, channels

_log = structlog.get_logger(__name__)

_FIRST_LOOK: Final = 0.01  # seconds until a waiter looks without having been rung: it may have come too late
_LOOK: Final = 0.1  # ... and until he looks again
_LISTEN: Final = 1.0
_LONGEST: Final = 30.0
_WAIT: Final = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?(\d{1,4}(?:\.\d{1,3})?)\"?\s*(?:$|[,;])")

Settled = Callable[[Order], bool]


def is_acknowledged(order: Order) -> bool:
    return order.is_acknowledged


def has_no_request_pending(order: Order) -> bool:
    return order.pending is None or not order.is_working


def seconds_preferred(prefer: str | None, default: float) -> float:
    """How long the client wants to wait (RFC 7240); what cannot be understood is ignored, as it asks."""
    found = _WAIT.search(prefer) if prefer else None
    return min(float(found[1]), _LONGEST) if found else default


class Waiting:
    def __init__(self, database: Database, runtime_directory: Path, *, threads: int) -> None:
        """`threads` is how many answer requests in this process: one of them never waits, as a halt must not
        stand behind those who do."""
        self._places = threading.BoundedSemaphore(max(threads - 1, 1))
        self._database = database
        self._directory = runtime_directory
        self._lock = threading.Lock()
        self._waiters: dict[str, list[threading.Event]] = {}
        self._process = 0
        self._closing = threading.Event()

    def close(self) -> None:
        """Let the listener go; it looks up once a second."""
        self._closing.set()

    def until(self, order: Order, settled: Settled, seconds: float) -> Order:
        """The order once it is settled, or as it is when the time is up, or too many wait already."""
        if seconds <= 0 or settled(order) or not self._places.acquire(blocking=False):
            return order
        try:
            return self._wait(order, settled, time.monotonic() + seconds)
        finally:
            self._places.release()

    def _wait(self, order: Order, settled: Settled, deadline: float) -> Order:
        self._listen()
        pause = _FIRST_LOOK
        with self._rung_for(order.id) as rung:
            while True:
                rung.wait(max(min(deadline - time.monotonic(), pause), 0))
                rung.clear()
                order, pause = self._read(order.id), _LOOK
                if settled(order) or time.monotonic() >= deadline:
                    return order

    def _read(self, order_id: str) -> Order:
        with self._database.read() as connection:
            return ledger.get(connection, order_id)

    @contextmanager
    def _rung_for(self, order_id: str) -> Iterator[threading.Event]:
        rung = threading.Event()
        with self._lock:
            self._waiters.setdefault(order_id, []).append(rung)
        try:
            yield rung
        finally:
            with self._lock:
                self._waiters[order_id].remove(rung)
                if not self._waiters[order_id]:
                    del self._waiters[order_id]

    def _listen(self) -> None:
        """Start listening at the first wait: a thread would not survive the fork before it."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                threading.Thread(target=self._serve, name="web-bell", daemon=True).start()

    def _serve(self) -> None:
        try:
            listener = backend.listener(self._database, self._directory, channels.web())
        except OSError as error:
            _log.warning("bell_not_hung", reason=str(error), consequence="waiters look by themselves")
            return
        while not self._closing.is_set():
            for order_id in listener.wait(_LISTEN):
                with self._lock:
                    waiters = list(self._waiters.get(order_id, ()))
                for waiter in waiters:
                    waiter.set()
        listener.close()
