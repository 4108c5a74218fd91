"""Connections to the store: one engine to read, one to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url

from algosat.errors import ConfigurationError

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged order survives a power cut
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16000",
)


class Database:
    """The store behind a URL."""

    def __init__(self, url: str, *, pool_size: int = 5, max_overflow: int = 5) -> None:
        self.url: URL = make_url(url)
        if self.is_sqlite:
            self._require_directory()
            connect_args: dict[str, Any] = {"check_same_thread": False}
        else:
            connect_args = {"connect_timeout": 5}
        self.engine: Engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=max_overflow,
            pool_timeout=5,
            pool_pre_ping=not self.is_sqlite,
            connect_args=connect_args,
            hide_parameters=True,  # what an error says is logged and shown; values may be hashes of passwords
        )
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare)
            event.listen(self.engine, "begin", _begin)
        self._kept: Connection | None = None

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def path(self) -> Path | None:
        """The database file, when there is one."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view: everything read within sees the same moment."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """A transaction of the one who may write; unless it is durable, the disk is not waited for."""
        with self._connection_to_write() as connection:
            if self.is_sqlite:
                _synchronise(connection, "FULL" if durable else "NORMAL")
            with connection.begin():
                if not durable and not self.is_sqlite:
                    connection.execute(text("SET LOCAL synchronous_commit TO off"))
                yield connection

    @contextmanager
    def _connection_to_write(self) -> Iterator[Connection]:
        """To a file it is kept, for taking one from the pool costs as much as a small commit."""
        if not self.is_sqlite:
            with self.engine.connect() as connection:
                yield connection
            return
        if self._kept is None or self._kept.invalidated:
            self._kept = self.engine.connect().execution_options(writes=True)
        yield self._kept

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        self.engine.dispose()

    def _require_directory(self) -> None:
        path = self.path
        if path is None:
            raise ConfigurationError("database.url: name a file, for example sqlite:////var/lib/x/x.db")
        if not path.parent.is_dir():
            raise ConfigurationError(f"database.url: the directory {path.parent} does not exist")


def _prepare(connection: SqliteConnection, _record: object) -> None:
    # SQLAlchemy, not the driver, begins transactions: the driver's own habit breaks savepoints.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    if "writes" in connection.get_execution_options():
        # A transaction that would write later could fail half-way. That this one can't begin is to be told.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        _driver(connection).execute("BEGIN")  # it only says so to the driver, and cannot fail


def _synchronise(connection: Connection, mode: str) -> None:
    """Before a transaction: within one it would be ignored."""
    if connection.info.get("synchronous", "FULL") != mode:
        _driver(connection).execute(f"PRAGMA synchronous = {mode}")
        connection.info["synchronous"] = mode


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
