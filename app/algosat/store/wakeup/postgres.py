"""Wake-ups between hosts that share a PostgreSQL: LISTEN and NOTIFY, each over a connection of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import psycopg
from psycopg import sql

from algosat.store.database import Database

T = TypeVar("T")

_WEB: Final = "algosat_web"  # all workers listen to one: whoever rings cannot know them
_PAUSE: Final = 1.0  # seconds without a try once the server did not answer
_LARGEST: Final = 256


class PostgresListener:
    def __init__(self, database: Database, name: str) -> None:
        self._link = _Link(database)
        self._listen = sql.SQL("LISTEN {}").format(sql.Identifier(_channel(name)))
        self._listening: Any = None

    def wait(self, seconds: float) -> list[str]:
        """The messages that arrived, after at most this long; empty when none did."""
        messages = self._link.attempt(lambda connection: self._heard(connection, seconds))
        if messages is None:
            time.sleep(min(seconds, _PAUSE))  # as long as it would have been silent
        return messages or []

    def close(self) -> None:
        self._link.close()

    def _heard(self, connection: psycopg.Connection[Any], seconds: float) -> list[str]:
        if connection is not self._listening:
            connection.execute(self._listen)
            self._listening = connection
        first = [each.payload for each in connection.notifies(timeout=seconds, stop_after=1)]
        return first + [each.payload for each in connection.notifies(timeout=0)] if first else first


class PostgresNotifier:
    def __init__(self, database: Database) -> None:
        self._link = _Link(database)

    def notify(self, name: str, message: str = "") -> None:
        values = (_channel(name), message[:_LARGEST])
        self._link.attempt(lambda connection: connection.execute("SELECT pg_notify(%s, %s)", values))

    def notify_web(self, message: str) -> None:
        self.notify(_WEB.removeprefix("algosat_"), message)

    def close(self) -> None:
        self._link.close()


class _Link:
    """A connection that is made when it is needed, and again after it was lost."""

    def __init__(self, database: Database) -> None:
        _, arguments = database.engine.dialect.create_connect_args(database.url)
        self._arguments = {**arguments, "autocommit": True, "connect_timeout": 2}
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._not_before = 0.0

    def attempt(self, work: Callable[[psycopg.Connection[Any]], T]) -> T | None:
        """What the work gives; None where the server cannot be asked."""
        with self._lock:
            if time.monotonic() < self._not_before:
                return None
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(**self._arguments)
                return work(self._connection)
            except psycopg.Error:
                self._drop()
                self._not_before = time.monotonic() + _PAUSE
                return None

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _channel(name: str) -> str:
    return _WEB if name.startswith("web") else f"algosat_{name}"
