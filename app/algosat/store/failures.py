"""What an exception of the database or its driver means: the store is busy, full, read-only or damaged.

The text of such an exception names files and shows SQL. It belongs in the log, and in no answer.
"""

from __future__ import annotations

import errno
from typing import Any, Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from algosat.errors import AlgosatError, StoreBusy, StoreDamaged, StoreFull, StoreReadOnly

_FULL: Final = "The disk of the store is full; free space on it"
_READ_ONLY: Final = "The store is read-only; check its file system and permissions"
_DAMAGED: Final = "The file of the store is damaged; stop the services and restore a backup"
_NO_ANSWER: Final = "The store is locked or does not answer; try again shortly"
_FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY_ERRNOS: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
# SQLSTATEs of PostgreSQL.
_FULL_STATES: Final = frozenset({"53100"})
_READ_ONLY_STATES: Final = frozenset({"25006", "42501"})
# A time-out, a lock or a deadlock; a shutdown; no connection or memory left.
_BUSY_STATES: Final = frozenset(
    {"57014", "55P03", "40001", "40P01", "57P01", "57P02", "57P03", "53200", "53300"}
)


def store_error(error: BaseException) -> AlgosatError | None:
    """Return the error of the store that an exception of SQLAlchemy means; None if it means none."""
    if isinstance(error, PoolTimeout):
        return StoreBusy(_NO_ANSWER)
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", None)
    return _of_state(error, state) if state is not None else _of_sqlite(error)


def file_error(error: OSError) -> StoreBusy:
    """Return the error of the store if one of its files could not be opened or locked."""
    if error.errno in _FULL_ERRNOS:
        return StoreFull(_FULL)
    return StoreReadOnly(_READ_ONLY) if error.errno in _READ_ONLY_ERRNOS else StoreBusy(_NO_ANSWER)


def _of_state(error: DBAPIError, state: str) -> AlgosatError | None:
    if state in _FULL_STATES:
        return StoreFull(_FULL)
    if state in _READ_ONLY_STATES:
        return StoreReadOnly(_READ_ONLY)
    is_away = state in _BUSY_STATES or state.startswith("08") or error.connection_invalidated
    return StoreBusy(_NO_ANSWER) if is_away else None


def _of_sqlite(error: DBAPIError) -> AlgosatError | None:
    """Judge by SQLite's error code; a lost connection to PostgreSQL has neither code nor state."""
    code: Any = getattr(error.orig, "sqlite_errorname", "") or ""
    if code.startswith("SQLITE_FULL"):
        return StoreFull(_FULL)
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        return StoreReadOnly(_READ_ONLY)
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreDamaged(_DAMAGED)
    return StoreBusy(_NO_ANSWER) if isinstance(error, (OperationalError, InterfaceError)) else None
