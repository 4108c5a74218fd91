"""Errors, recoveries and requests as they are collected in memory, and their rows in the store.

Each error has a row, and every interval in which it occurred has a row with its number. The names of severity
and category in the store are those of earlier releases, which read them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from algosat.errors import Component, ErrorCategory, ErrorSeverity
from algosat.store.row_writes import add_to_rows
from algosat.store.tables import error_counts, errors, recoveries, request_counts

INTERVAL: Final = timedelta(minutes=5)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_DISTINCT: Final = 200  # errors kept in memory while the store is unavailable
_MAX_NUMBERS: Final = 2000  # rows of numbers kept in memory
_MAX_STORED: Final = 500  # errors in the store; beyond, those go that have not occurred for the longest time

_SEVERITIES: Final = {
    ErrorSeverity.LOW: "info",
    ErrorSeverity.MEDIUM: "warning",
    ErrorSeverity.HIGH: "error",
    ErrorSeverity.CRITICAL: "critical",
}
_CATEGORIES: Final = {
    ErrorCategory.NETWORK: "broker",
    ErrorCategory.DATABASE: "store",
    ErrorCategory.AUTHENTICATION: "access",
    ErrorCategory.TRADING: "trading",
    ErrorCategory.SYSTEM: "internal",
}
_FROM_SEVERITY: Final = {name: severity for severity, name in _SEVERITIES.items()}
_FROM_CATEGORY: Final = {name: category for category, name in _CATEGORIES.items()}
_COMPONENTS: Final = {component.value: component for component in Component}


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """One kind of error at one place."""

    fingerprint: str
    code: str
    severity: ErrorSeverity
    category: ErrorCategory
    component: Component
    place: str
    message: str  # of the last one
    correlation_id: str  # of the last one
    release: str | None  # in which it occurred first; None: of an error that an earlier release has recorded
    count: int
    first_at: datetime
    last_at: datetime


_Row = tuple[Table, tuple[Any, ...]]  # a table of numbers, and the key of a row


@dataclass(slots=True)
class Collected:
    """What a process has recorded and not written yet. Beyond its bounds, what is new is dropped."""

    entries: dict[str, ErrorEntry] = field(default_factory=dict)
    numbers: dict[_Row, dict[str, int]] = field(default_factory=dict)
    due_at: datetime | None = None  # None: nothing was recorded

    def add_error(self, entry: ErrorEntry, seconds: float | None) -> None:
        """Add an error; `seconds` is how long the request took that failed, if one did."""
        if not self._keep(entry):
            return
        numbers = {"count": entry.count, "requests": 0, "milliseconds": 0}
        if seconds is not None:
            numbers |= {"requests": 1, "milliseconds": round(seconds * 1000)}
        self._count(error_counts, (entry.fingerprint, interval_of(entry.last_at)), numbers)
        self.due_at = entry.last_at

    def add_recovery(self, action: str, place: str, at: datetime, *, succeeded: bool, seconds: float) -> None:
        numbers = {
            "succeeded": int(succeeded),
            "failed": int(not succeeded),
            "milliseconds": round(seconds * 1000),
        }
        self._count(recoveries, (action, place[:128], interval_of(at)), numbers)
        self.due_at = at

    def add_request(self, at: datetime, *, failed: bool, seconds: float) -> None:
        """Add a request. Requests alone are written once in an interval."""
        numbers = {"requests": 1, "failed": int(failed), "milliseconds": round(seconds * 1000)}
        self._count(request_counts, (interval_of(at),), numbers)
        if self.due_at is None:
            self.due_at = interval_of(at) + INTERVAL

    def add(self, earlier: Collected) -> None:
        """Add what was collected earlier and could not be written."""
        for entry in earlier.entries.values():
            self._keep(entry)
        for (table, key), numbers in earlier.numbers.items():
            self._count(table, key, numbers)
        self.due_at = earlier.due_at

    def is_due(self, now: datetime) -> bool:
        """Return whether anything is to be written now."""
        return self.due_at is not None and (self.due_at <= now or self.due_at > now + INTERVAL)

    @property
    def is_empty(self) -> bool:
        return self.due_at is None

    def hurry(self) -> None:
        """Make what was collected due."""
        self.due_at = None if self.due_at is None else _EPOCH

    def _keep(self, entry: ErrorEntry) -> bool:
        known = self.entries.get(entry.fingerprint)
        if known is None and len(self.entries) >= _MAX_DISTINCT:
            return False
        self.entries[entry.fingerprint] = entry if known is None else _together(known, entry)
        return True

    def _count(self, table: Table, key: tuple[Any, ...], numbers: Mapping[str, int]) -> None:
        known = self.numbers.get((table, key))
        if known is None and len(self.numbers) >= _MAX_NUMBERS:
            return
        self.numbers[table, key] = {
            name: number + (known[name] if known else 0) for name, number in numbers.items()
        }


def interval_of(at: datetime) -> datetime:
    """Return the beginning of the interval that contains a moment."""
    return at - (at - _EPOCH) % INTERVAL


@cache
def release() -> str:
    """Return the id of the release that runs; of sources, the version of the package."""
    prefix = Path(sys.prefix)
    return prefix.name[:64] if prefix.parent.name == "releases" else version("algosat")


def write(connection: Connection, collected: Collected) -> None:
    """Add what was collected to the rows of the store."""
    for entry in collected.entries.values():
        _write_error(connection, entry)
    if collected.entries:
        _drop_oldest(connection)
    for (table, key), numbers in collected.numbers.items():
        row = dict(zip(table.primary_key.columns.keys(), key, strict=True))
        add_to_rows(table, tuple(numbers)).run(connection, {**row, **numbers})


def latest(
    connection: Connection,
    *,
    limit: int,
    severity: ErrorSeverity | None = None,
    category: ErrorCategory | None = None,
    component: Component | None = None,
) -> list[ErrorEntry]:
    """Return the errors that occurred last, newest first."""
    statement = select(errors).order_by(errors.c.last_at.desc(), errors.c.fingerprint)
    if severity is not None:
        statement = statement.where(errors.c.severity == _SEVERITIES[severity])
    if category is not None:
        statement = statement.where(errors.c.category.in_(_names_of(category)))
    if component is not None:
        statement = statement.where(errors.c.component == component.value)
    return [_entry(row) for row in connection.execute(statement.limit(limit))]


def by_fingerprint(connection: Connection) -> dict[str, ErrorEntry]:
    """Return all errors of the store."""
    return {row.fingerprint: _entry(row) for row in connection.execute(select(errors))}


def _write_error(connection: Connection, entry: ErrorEntry) -> None:
    row = connection.execute(select(errors).where(errors.c.fingerprint == entry.fingerprint)).first()
    if row is None:
        connection.execute(insert(errors), _values(entry))
        return
    values = _values(_together(_entry(row), entry))
    connection.execute(update(errors).where(errors.c.fingerprint == entry.fingerprint).values(**values))


def _together(known: ErrorEntry, entry: ErrorEntry) -> ErrorEntry:
    """Return both as one: the first occurrence of the one, the last of the other, and the sum."""
    first, last = sorted((known, entry), key=lambda each: each.last_at)
    return replace(
        last,
        release=known.release,
        count=first.count + last.count,
        first_at=min(known.first_at, entry.first_at),
    )


def _drop_oldest(connection: Connection) -> None:
    surplus = connection.execute(select(func.count()).select_from(errors)).scalar_one() - _MAX_STORED
    if surplus > 0:
        oldest = select(errors.c.fingerprint).order_by(errors.c.last_at).limit(surplus)
        connection.execute(delete(errors).where(errors.c.fingerprint.in_(oldest)))


def _values(entry: ErrorEntry) -> dict[str, Any]:
    return {
        **{name: getattr(entry, name) for name in ErrorEntry.__slots__},
        "severity": _SEVERITIES[entry.severity],
        "category": _CATEGORIES[entry.category],
        "component": entry.component.value,
    }


def _entry(row: Any) -> ErrorEntry:
    values = {name: row._mapping[name] for name in ErrorEntry.__slots__}
    return ErrorEntry(
        **{
            **values,
            "severity": _FROM_SEVERITY[row.severity],
            "category": _FROM_CATEGORY.get(row.category, ErrorCategory.SYSTEM),
            "component": _COMPONENTS.get(row.component, Component.API),
        }
    )


def _names_of(category: ErrorCategory) -> Iterable[str]:
    """Return the stored names; earlier releases have two more, both of which mean SYSTEM now."""
    more = ("input", "configuration") if category is ErrorCategory.SYSTEM else ()
    return (_CATEGORIES[category], *more)
