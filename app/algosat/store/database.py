"""Connections to the store: many to read, one to write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from algosat.errors import ConfigurationError
from algosat.store.disk_reserve import DiskReserve
from algosat.store.prepared import Prepared

_BUSY_WAIT: Final = 5000  # milliseconds
_DEFAULTS: Final[dict[str, str | int]] = {"synchronous": "FULL", "busy_timeout": _BUSY_WAIT}
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged order survives a power cut
    f"PRAGMA busy_timeout = {_BUSY_WAIT}",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16000",
    "PRAGMA wal_autocheckpoint = 4000",  # 16 MB: pages that change often are copied less often
    "PRAGMA journal_size_limit = 33554432",  # 32 MB: a WAL that a long reading let grow is cut afterwards
)

STATEMENT_SECONDS: Final = (
    15  # of a service on PostgreSQL; migration, backup and verification may take longer
)

_POSTGRES: Final = {
    "connect_timeout": 5,  # seconds
    "tcp_user_timeout": 15_000,  # milliseconds: the network was lost without a word
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

_BEGIN = Prepared(text("BEGIN"))
# A read transaction that begins to write could fail midway. This one takes SQLite's lock at its beginning.
_BEGIN_TO_WRITE = Prepared(text("BEGIN IMMEDIATE"))


class Database:
    """The store behind a URL."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        max_overflow: int = 5,
        statement_seconds: int | None = None,
    ) -> None:
        """Prepare the connections; none is opened yet.

        Args:
            statement_seconds: After how long PostgreSQL ends a statement. It also ends waits for a lock, and
                transactions in which nothing happens. SQLite has its own limit for locks.
        """
        self.url: URL = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # The database file; None on PostgreSQL.
        self.path = Path(self.url.database) if self.is_sqlite and self.url.database else None
        self.reserve = None if self.path is None else DiskReserve(self.path)
        if self.is_sqlite:
            self._require_directory()
            # Connections to a file are cheap: every reading thread has its own.
            options: dict[str, Any] = {"poolclass": NullPool, "connect_args": {"check_same_thread": False}}
        else:
            options = {
                "pool_size": pool_size,
                "max_overflow": max_overflow,
                "pool_timeout": 5,
                "pool_pre_ping": True,
                "connect_args": {**_POSTGRES, **_limits(statement_seconds)},
            }
        # Error texts are logged and shown. Parameter values may be password hashes.
        self.engine: Engine = create_engine(self.url, hide_parameters=True, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _configure)
            event.listen(self.engine, "begin", _begin)
        # SQLite connections are kept here: taking one from a pool costs as much as a small commit.
        self._writing: Connection | None = None
        self._reading: list[Connection] = []  # idle
        self._others: list[Callable[[], None]] = []
        self.closings = 0  # how often the connections were closed, because one had failed
        self._writes = (
            threading.Lock()
        )  # the driver crashes if a connection is closed that another thread uses

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction: all reads within it see the same state."""
        if not self.is_sqlite:
            with self.engine.begin() as connection:
                yield connection
            return
        connection, closings = self._read_connection(), self.closings
        try:
            with connection.begin():
                yield connection
        finally:
            if closings == self.closings:
                self._reading.append(connection)
            else:
                connection.close()

    @contextmanager
    def write(self, *, durable: bool = True, wait: int = _BUSY_WAIT) -> Iterator[Connection]:
        """Open a write transaction. The caller must hold the write lock.

        Args:
            durable: Whether the commit waits for the disk.
            wait: Milliseconds to wait for SQLite's lock, which another program may have.
        """
        if not self.is_sqlite:
            with self.engine.begin() as connection:
                if not durable:
                    connection.execute(text("SET LOCAL synchronous_commit TO off"))
                yield connection
            return
        with self._writes:
            if self._writing is None:
                self._writing = self.engine.connect().execution_options(writes=True)
            _set(self._writing, "synchronous", "FULL" if durable else "NORMAL")
            _set(self._writing, "busy_timeout", wait)
            try:
                with self._writing.begin():
                    yield self._writing
            except BaseException as error:
                # A commit that SQLite refuses leaves the transaction open, and the store locked. A connection
                # that was opened while the file was read-only stays so, and so does the index of the log that
                # all connections of the process share: it is opened anew once the last of them is closed.
                if isinstance(error, OperationalError) or _driver(self._writing).in_transaction:
                    self._close_connections()
                raise

    def close(self) -> None:
        """Close all connections after the write that is in progress. Later reads and writes open new ones."""
        with self._writes:
            self._close_connections()
            self.engine.dispose()

    def _close_connections(self) -> None:
        """Close what is idle, and the writing connection. Those that read are closed when they end."""
        self.closings += 1
        reading, self._reading = self._reading, []
        for connection in (*reading, self._writing):
            if connection is not None:
                connection.close()
        self._writing = None
        for close in self._others:
            close()

    def when_closing(self, close: Callable[[], None]) -> None:
        """Let the owner of other connections to the same file close those that are idle, too."""
        self._others.append(close)

    def _read_connection(self) -> Connection:
        try:
            return self._reading.pop()
        except IndexError:
            return self.engine.connect()

    def _require_directory(self) -> None:
        path = self.path
        if path is None:
            raise ConfigurationError("database.url: name a file, for example sqlite:////var/lib/x/x.db")
        if not path.parent.is_dir():
            raise ConfigurationError(f"database.url: the directory {path.parent} does not exist")


def _limits(statement_seconds: int | None) -> dict[str, str]:
    """Return the options of PostgreSQL connections on which a statement must not hang."""
    if statement_seconds is None:
        return {}
    limits = {
        "statement_timeout": statement_seconds,
        "lock_timeout": statement_seconds,
        "idle_in_transaction_session_timeout": 4 * statement_seconds,
    }
    return {"options": " ".join(f"-c {name}={seconds}s" for name, seconds in limits.items())}


def _configure(connection: SqliteConnection, _record: object) -> None:
    # `_begin` starts transactions: those that the driver starts by itself break savepoints.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    writes = "writes" in connection.get_execution_options()
    (_BEGIN_TO_WRITE if writes else _BEGIN).run(connection, {})


def _set(connection: Connection, pragma: str, value: str | int) -> None:
    """Set a pragma for the next transaction. SQLite ignores some of them inside a transaction."""
    if connection.info.get(pragma, _DEFAULTS[pragma]) != value:
        _driver(connection).execute(f"PRAGMA {pragma} = {value}")
        connection.info[pragma] = value


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
