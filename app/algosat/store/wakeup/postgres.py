"""Wake-up signals between hosts that share a PostgreSQL server, by LISTEN and NOTIFY.

Listener and notifier each have a connection of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from algosat.store.database import Database
from algosat.store.wakeup.channels import LONGEST_MESSAGE, WEB_PREFIX

if TYPE_CHECKING:
    from psycopg import Connection

T = TypeVar("T")

_WEB: Final = "algosat_web"  # shared by all web workers: a notifier on another host cannot list them
_RETRY_SECONDS: Final = 1.0  # between attempts to reach a server that did not answer


class PostgresListener:
    """LISTEN on one channel."""

    def __init__(self, database: Database, channel: str) -> None:
        self._link = _Link(database)
        quote = database.engine.dialect.identifier_preparer.quote_identifier
        self._listen = f"LISTEN {quote(_channel(channel))}"
        self._listening: Any = None

    def wait(self, seconds: float) -> list[str]:
        """Return the messages received, waiting at most `seconds` for the first; empty if there are none."""
        messages = self._link.attempt(lambda connection: self._received(connection, seconds))
        if messages is None:
            time.sleep(min(seconds, _RETRY_SECONDS))  # or the caller would poll in a tight loop
        return messages or []

    def close(self) -> None:
        self._link.close()

    def _received(self, connection: Connection[Any], seconds: float) -> list[str]:
        if connection is not self._listening:
            connection.execute(self._listen.encode())
            self._listening = connection
        first = [each.payload for each in connection.notifies(timeout=seconds, stop_after=1)]
        return first + [each.payload for each in connection.notifies(timeout=0)] if first else first


class PostgresNotifier:
    """NOTIFY to any channel."""

    def __init__(self, database: Database) -> None:
        self._link = _Link(database)

    def notify(self, channel: str, message: str = "") -> None:
        self._notify(_channel(channel), message)

    def notify_web(self, message: str) -> None:
        self._notify(_WEB, message)

    def close(self) -> None:
        self._link.close()

    def _notify(self, channel: str, message: str) -> None:
        values = (channel, message[:LONGEST_MESSAGE])
        self._link.attempt(lambda connection: connection.execute("SELECT pg_notify(%s, %s)", values))


class _Link:
    """A connection opened on first use, and again after it was lost."""

    def __init__(self, database: Database) -> None:
        dialect = database.engine.dialect
        # The dialect has loaded psycopg. Importing it here would load it into processes on SQLite, too.
        self._driver: Any = dialect.loaded_dbapi
        _, arguments = dialect.create_connect_args(database.url)
        self._arguments = {**arguments, "autocommit": True, "connect_timeout": 2}
        self._lock = threading.Lock()
        self._connection: Connection[Any] | None = None
        self._not_before = 0.0

    def attempt(self, work: Callable[[Connection[Any]], T]) -> T | None:
        """Return the result of `work`, or None if the server cannot be reached."""
        with self._lock:
            if time.monotonic() < self._not_before:
                return None
            try:
                if self._connection is None:
                    self._connection = self._driver.connect(**self._arguments)
                return work(self._connection)
            except self._driver.Error:
                self._drop()
                self._not_before = time.monotonic() + _RETRY_SECONDS
                return None

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _channel(name: str) -> str:
    """Return the PostgreSQL channel for a wake-up channel."""
    return _WEB if name.startswith(WEB_PREFIX) else f"algosat_{name}"
