"""Errors, kept so that a person can look at them: equal ones in one row, with how many and when.

Noting one costs its caller nothing: a thread writes what has gathered once a second, and a store
that does not answer makes it wait, not fail.
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

_EVERY: Final = 1.0  # seconds
_DISTINCT: Final = 200  # that may gather while the store does not answer
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """One kind of error at one place, as often as it was met since the last writing."""

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
        self._gathered: dict[str, ErrorEntry] = {}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def note(self, error: Exception, place: str) -> None:
        seen = _sighting(error, place, self._clock())
        with self._lock:
            if len(self._gathered) < _DISTINCT or seen.fingerprint in self._gathered:
                self._gathered[seen.fingerprint] = _together(self._gathered.get(seen.fingerprint), seen)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="error-tracker", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Write what has gathered. What cannot be written now is kept for the next time."""
        with self._lock:
            batch, self._gathered = self._gathered, {}
        if not batch:
            return
        try:
            self._writer.run(lambda connection: _put_all(connection, batch.values()))
        except (StoreBusy, SQLAlchemyError) as error:
            _log.warning("errors_not_written", reason=str(error))
            with self._lock:
                self._gathered = {**batch, **self._gathered}

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _serve(self) -> None:
        while not self._closing.wait(_EVERY):
            self.flush()


def latest(connection: Connection, *, limit: int, severity: str | None = None) -> Sequence[Row[Any]]:
    """The kinds of errors met last, newest first."""
    statement = select(errors).order_by(errors.c.last_at.desc()).limit(limit)
    if severity is not None:
        statement = statement.where(errors.c.severity == severity)
    return connection.execute(statement).all()


def _sighting(error: Exception, place: str, at: datetime) -> ErrorEntry:
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
        message=message[:_LONGEST].replace("\x00", ""),
        correlation_id=correlation.current.get(),
        count=1,
        first_at=at,
        last_at=at,
    )


def _together(known: ErrorEntry | None, seen: ErrorEntry) -> ErrorEntry:
    if known is None:
        return seen
    return replace(seen, count=known.count + seen.count, first_at=known.first_at)


def _put_all(connection: Connection, batch: Iterable[ErrorEntry]) -> None:
    for seen in batch:
        _put(connection, seen)


def _put(connection: Connection, seen: ErrorEntry) -> None:
    values = {name: getattr(seen, name) for name in ErrorEntry.__slots__}
    known = connection.execute(select(errors).where(errors.c.fingerprint == seen.fingerprint)).first()
    if known is None:
        connection.execute(insert(errors), values)
        return
    values |= {"count": known._mapping["count"] + seen.count, "first_at": known.first_at}
    connection.execute(update(errors).where(errors.c.fingerprint == seen.fingerprint).values(**values))
