"""Which kind of bell a store has: sockets beside a file, notifications in a server that other hosts share."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from algosat.store import wakeup
from algosat.store.database import Database


class Bell(Protocol):
    def wait(self, seconds: float) -> list[str]:
        """The messages that arrived, after at most this long; empty when none did."""

    def close(self) -> None: ...


class Ringer(Protocol):
    """Rings the bells of others. Safe in threads; a ring that is lost is no error."""

    def ring(self, name: str, message: str = "") -> None: ...

    def ring_web(self, message: str) -> None:
        """Ring every web worker."""

    def close(self) -> None: ...


def bell(database: Database, directory: Path, name: str) -> Bell:
    """Hang a bell of this name; `wakeup.web()` for a web worker's."""
    if database.is_sqlite:
        return wakeup.Bell(directory, name)
    from algosat.store.notifications import NotifiedBell  # spares others the driver

    return NotifiedBell(database, name)


def ringer(database: Database, directory: Path) -> Ringer:
    if database.is_sqlite:
        return wakeup.Ringer(directory)
    from algosat.store.notifications import NotifyingRinger

    return NotifyingRinger(database)
