"""The wake-up backend of a store: Unix sockets for SQLite, LISTEN and NOTIFY for PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from algosat.store.database import Database
from algosat.store.wakeup.channels import Listener, Notifier
from algosat.store.wakeup.postgres import PostgresListener, PostgresNotifier
from algosat.store.wakeup.unix_socket import SocketListener, SocketNotifier


def listener(database: Database, directory: Path, channel: str) -> Listener:
    """Open a listener on a channel. `directory` is the runtime directory, where sockets are created."""
    if database.is_sqlite:
        return SocketListener(directory, channel)
    return PostgresListener(database, channel)


def notifier(database: Database, directory: Path) -> Notifier:
    """Open a notifier for all channels."""
    return SocketNotifier(directory) if database.is_sqlite else PostgresNotifier(database)
