"""The leader lock: one engine leads on a store, and others stand by until the lock is free.

On SQLite it is a lock on a file beside the store, which the kernel releases when its holder dies.
On PostgreSQL it is an advisory lock on a connection of its own: `fence` checks the lock in the
transaction that commits orders as `submitting`.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, text

from algosat.errors import AlgosatError, Component, ErrorSeverity
from algosat.store.database import Database

_KEYS: Final = {"engine": 0x616C6700, "strategies": 0x616C6701}


class NotLeading(AlgosatError):
    """Another engine leads or may lead: this one must send nothing more."""

    code, title = "not_leading", "This engine no longer leads"
    severity, component = ErrorSeverity.CRITICAL, Component.ENGINE


class LeaderLock(Protocol):
    def acquire(self) -> bool:
        """Take the lock if it is free. Return whether it was taken."""

    def fence(self, connection: Connection) -> None:
        """Raise NotLeading unless the lock is held, as seen by the connection's transaction."""

    def release(self) -> None: ...


def leader_lock_of(database: Database, process: str = "engine") -> LeaderLock:
    """Return the leader lock of the engine, or of the supervisor of strategies (`strategies`).

    The lock belongs to the store: configurations that name the same store share it.
    """
    if database.path is not None:
        store = database.path.resolve()
        return FileLeaderLock(store.with_name(f"{store.name}.{process}.lock"))
    return PostgresLeaderLock(database, _KEYS[process])


class FileLeaderLock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        handle = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def fence(self, connection: Connection) -> None:  # noqa: ARG002
        held = None if self._handle is None else os.fstat(self._handle).st_ino
        # If the file was deleted, the next engine locks a new file of the same name.
        if held is None or not self._path.exists() or self._path.stat().st_ino != held:
            raise NotLeading(f"the lock on {self._path} is lost")

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class PostgresLeaderLock:
    def __init__(self, database: Database, key: int) -> None:
        self._database = database
        self._key = key
        self._connection: Connection | None = None
        self._holder: int | None = None

    def acquire(self) -> bool:
        connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}).scalar_one():
            connection.close()
            return False
        self._connection = connection
        self._holder = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        return True

    def fence(self, connection: Connection) -> None:
        statement = text(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = :holder "
            "AND classid = 0 AND objid = :key"
        )
        if connection.execute(statement, {"holder": self._holder, "key": self._key}).first() is None:
            raise NotLeading("the connection that held the leader lock is gone")

    def release(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # do not return it to the pool: the lock ends with the connection
            self._connection.close()
            self._connection = None
