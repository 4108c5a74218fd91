"""Which kind of bell a store has: sockets beside a file, notifications in a server that other hosts share."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from algosat.store.database import Database
from algosat.store.wakeup import unix_socket


class Listener(Protocol):
    def wait(self, seconds: float) -> list[str]:
        """The messages that arrived, after at most this long; empty when none did."""

    def close(self) -> None: ...


class Notifier(Protocol):
    """Rings the bells of others. Safe in threads; a ring that is lost is no error."""

    def notify(self, name: str, message: str = "") -> None: ...

    def notify_web(self, message: str) -> None:
        """Ring every web worker."""

    def close(self) -> None: ...


def listener(database: Database, directory: Path, name: str) -> Listener:
    """Hang a bell of this name; `wakeup.web()` for a web worker's."""
    if database.is_sqlite:
        return unix_socket.SocketListener(directory, name)
    from algosat.store.wakeup.postgres import PostgresListener  # spares others the driver

    return PostgresListener(database, name)


def notifier(database: Database, directory: Path) -> Notifier:
    if database.is_sqlite:
        return unix_socket.SocketNotifier(directory)
    from algosat.store.wakeup.postgres import PostgresNotifier

    return PostgresNotifier(database)
