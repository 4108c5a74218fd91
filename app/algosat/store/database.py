"""Connections to the store: one engine to read, one to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from algosat.errors import ConfigurationError
from algosat.store.prepared import Prepared

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged order survives a power cut
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16000",
    "PRAGMA wal_autocheckpoint = 4000",  # 16 MB: a page that changes often is copied less often
)

_BEGIN = Prepared(text("BEGIN"))
# A transaction that would write later could fail half-way. That this one can't begin is to be told.
_BEGIN_TO_WRITE = Prepared(text("BEGIN IMMEDIATE"))


class Database:
    """The store behind a URL."""

    def __init__(self, url: str, *, pool_size: int = 5, max_overflow: int = 5) -> None:
        self.url: URL = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # The database file, when there is one.
        self.path = Path(self.url.database) if self.is_sqlite and self.url.database else None
        if self.is_sqlite:
            self._require_directory()
            # Each thread that reads has a connection, which costs next to nothing.
            options: dict[str, Any] = {"poolclass": NullPool, "connect_args": {"check_same_thread": False}}
        else:
            options = {
                "pool_size": pool_size,
                "max_overflow": max_overflow,
                "pool_timeout": 5,
                "pool_pre_ping": True,
                "connect_args": {"connect_timeout": 5},
            }
        # What an error says is logged and shown; values may be hashes of passwords.
        self.engine: Engine = create_engine(self.url, hide_parameters=True, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare)
            event.listen(self.engine, "begin", _begin)
        # To a file they are kept: taking one from the pool costs as much as a small commit.
        self._writing: Connection | None = None
        self._reading: list[Connection] = []  # those that nobody reads with now

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view: everything read within sees the same moment."""
        if not self.is_sqlite:
            with self.engine.begin() as connection:
                yield connection
            return
        connection = self._to_read()
        try:
            with connection.begin():
                yield connection
        finally:
            self._reading.append(connection)

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """A transaction of the one who may write; unless it is durable, the disk is not waited for."""
        if not self.is_sqlite:
            with self.engine.begin() as connection:
                if not durable:
                    connection.execute(text("SET LOCAL synchronous_commit TO off"))
                yield connection
            return
        if self._writing is None:
            self._writing = self.engine.connect().execution_options(writes=True)
        _synchronise(self._writing, "FULL" if durable else "NORMAL")
        try:
            with self._writing.begin():
                yield self._writing
        except BaseException:
            # A commit that SQLite refuses leaves the transaction open, and everybody else out.
            if _driver(self._writing).in_transaction:
                self._writing.close()
                self._writing = None
            raise

    def close(self) -> None:
        """Give every connection back; whoever reads or writes again gets a new one."""
        for connection in (*self._reading, self._writing):
            if connection is not None:
                connection.close()
        self._reading, self._writing = [], None
        self.engine.dispose()

    def _to_read(self) -> Connection:
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


def _prepare(connection: SqliteConnection, _record: object) -> None:
    # We, not the driver, begin transactions: the driver's own habit breaks savepoints.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    writes = "writes" in connection.get_execution_options()
    (_BEGIN_TO_WRITE if writes else _BEGIN).run(connection, {})


def _synchronise(connection: Connection, mode: str) -> None:
    """Before a transaction: within one it would be ignored."""
    if connection.info.get("synchronous", "FULL") != mode:
        _driver(connection).execute(f"PRAGMA synchronous = {mode}")
        connection.info["synchronous"] = mode


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
