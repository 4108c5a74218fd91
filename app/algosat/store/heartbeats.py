"""Heartbeats: one row for each long-running process, renewed while the process works."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from algosat.clock import now
from algosat.store.prepared import Prepared
from algosat.store.tables import heartbeats

ENGINE: Final = "engine"
STRATEGIES: Final = "strategies"  # the supervisor of strategies
WRITE_PROBE: Final = "write_probe"  # no process: the row that health checks write to
OTHER_MACHINE: Final = "other_machine"  # in the engine's data: it waits for the store to be adopted
SILENT_AFTER: Final = timedelta(seconds=5)  # the engine renews its heartbeat about every second

_OF_PROCESS = heartbeats.c.process == bindparam("process")
_NEWEST = Prepared(select(func.max(heartbeats.c.at)))
_LAST = Prepared(select(heartbeats.c.at, heartbeats.c.data).where(_OF_PROCESS))


class Heartbeat(NamedTuple):
    """When a process last renewed its row, and the state it reported then."""

    at: datetime
    data: dict[str, Any]

    @property
    def led_until(self) -> datetime:
        """Return when the process last led; a process that waits states when another one did."""
        led_until = self.data.get("led_until")
        return datetime.fromisoformat(led_until) if led_until else self.at

    def leads(self, now: datetime) -> bool:
        """Return whether the process leads now."""
        return bool(self.data.get("leading")) and self.silence(now) <= SILENT_AFTER

    def silence(self, now: datetime) -> timedelta:
        """Return the time since the last renewal. A heartbeat from the future, written before the clock was
        put back, counts as old.
        """
        return abs(now - self.at)

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Return the state of each account; an engine of an earlier release reports one, without its name."""
        return self.data.get("accounts") or {"": self.data}


def write(connection: Connection, process: str, at: datetime, data: Mapping[str, Any]) -> None:
    """Replace the row of a process."""
    connection.execute(delete(heartbeats).where(heartbeats.c.process == process))
    connection.execute(insert(heartbeats), {"process": process, "at": at, "data": data})


def probe(connection: Connection) -> None:
    """Write the row of the write probe."""
    write(connection, WRITE_PROBE, now(), {})


def read(connection: Connection, process: str) -> Heartbeat | None:
    """Return the last heartbeat of a process, or None if it never ran on this store."""
    row = _LAST.first(connection, process=process)
    return None if row is None else Heartbeat(row.at, row.data)


def last_of_all(connection: Connection) -> datetime | None:
    """Return when any process last renewed its heartbeat."""
    last: datetime | None = _NEWEST.scalar(connection)
    return last
