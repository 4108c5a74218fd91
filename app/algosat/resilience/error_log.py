"""The error log: errors in the store, equal ones in one row with their number and times.

Recording an error costs its caller little: a thread writes the collected errors once a second.
While the store is unavailable they are kept in memory.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from algosat.clock import Clock
from algosat.errors import AlgosatError, Category, Severity, StoreBusy
from algosat.monitoring import correlation
from algosat.store.tables import errors
from algosat.store.writer import Writer

_log = structlog.get_logger(__name__)

_FLUSH_EVERY: Final = 1.0  # seconds
_MAX_DISTINCT: Final = 200  # kept in memory while the store is unavailable
_MAX_MESSAGE: Final = 500  # characters


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """One kind of error at one place, with the number of occurrences since the last flush."""

    fingerprint: str
    code: str
    severity: str
    category: str
    place: str
    message: str
    correlation_id: str
    count: int
    first_at: datetime
    last_at: datetime


class ErrorLog:
    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._lock = threading.Lock()
        self._unwritten: dict[str, ErrorEntry] = {}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def record(self, error: Exception, place: str) -> None:
        """Count an error at a place, such as a route's path. Errors beyond the maximum are dropped."""
        entry = _entry_of(error, place, self._clock())
        with self._lock:
            if len(self._unwritten) < _MAX_DISTINCT or entry.fingerprint in self._unwritten:
                self._unwritten[entry.fingerprint] = _merged(self._unwritten.get(entry.fingerprint), entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="error-log", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Write the collected errors, or keep them for the next flush if the store is unavailable."""
        with self._lock:
            batch, self._unwritten = self._unwritten, {}
        if not batch:
            return
        try:
            self._writer.run(lambda connection: _write_all(connection, batch.values()))
        except (StoreBusy, SQLAlchemyError) as error:
            _log.warning("errors_not_written", reason=str(error))
            with self._lock:
                self._unwritten = {**batch, **self._unwritten}

    def close(self) -> None:
        """End the thread, and write what it left."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._closing.wait(_FLUSH_EVERY):
            self.flush()


def latest(connection: Connection, *, limit: int, severity: str | None = None) -> Sequence[Row[Any]]:
    """Return the errors that occurred last, newest first."""
    statement = select(errors).order_by(errors.c.last_at.desc()).limit(limit)
    if severity is not None:
        statement = statement.where(errors.c.severity == severity)
    return connection.execute(statement).all()


def _entry_of(error: Exception, place: str, at: datetime) -> ErrorEntry:
    if isinstance(error, AlgosatError):
        code, severity, category = error.reported_code, error.severity, error.category
        message = error.detail
    else:
        code, severity, category = type(error).__name__, Severity.CRITICAL, Category.INTERNAL
        message = str(error)
    fingerprint = hashlib.sha256(f"{code}\n{place}".encode()).hexdigest()
    return ErrorEntry(
        fingerprint=fingerprint,
        code=code[:64],
        severity=severity.value,
        category=category.value,
        place=place[:128],
        message=message[:_MAX_MESSAGE].replace("\x00", ""),
        correlation_id=correlation.current.get(),
        count=1,
        first_at=at,
        last_at=at,
    )


def _merged(known: ErrorEntry | None, entry: ErrorEntry) -> ErrorEntry:
    if known is None:
        return entry
    return replace(entry, count=known.count + entry.count, first_at=known.first_at)


def _write_all(connection: Connection, batch: Iterable[ErrorEntry]) -> None:
    for entry in batch:
        _write(connection, entry)


def _write(connection: Connection, entry: ErrorEntry) -> None:
    values = {name: getattr(entry, name) for name in ErrorEntry.__slots__}
    known = connection.execute(select(errors).where(errors.c.fingerprint == entry.fingerprint)).first()
    if known is None:
        connection.execute(insert(errors), values)
        return
    values |= {"count": known._mapping["count"] + entry.count, "first_at": known.first_at}
    connection.execute(update(errors).where(errors.c.fingerprint == entry.fingerprint).values(**values))
