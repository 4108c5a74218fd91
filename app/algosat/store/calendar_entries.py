"""Calendar entries: days, and the calendar's end, that an admin has set at run time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from algosat.errors import StoreBusy
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.prepared import Prepared
from algosat.store.tables import calendar_entries

_ALL = Prepared(select(calendar_entries.c.entry, calendar_entries.c.value))


def read(database: Database) -> dict[str, Any]:
    """Return the value of each entry. Raises StoreBusy if the store does not answer."""
    try:
        with database.read() as connection:
            return all_entries(connection)
    except SQLAlchemyError as error:
        raise StoreBusy(f"the calendar entries cannot be read: {error}") from error


def all_entries(connection: Connection) -> dict[str, Any]:
    return dict(_ALL.all(connection))


def put(connection: Connection, entry: str, value: Any, at: datetime, cause: Cause) -> None:
    """Store the value of an entry. None removes the entry."""
    before = all_entries(connection).get(entry)
    connection.execute(delete(calendar_entries).where(calendar_entries.c.entry == entry))
    if value is not None:
        row = {"entry": entry, "value": value, "changed_at": at, "changed_by": cause.actor}
        connection.execute(insert(calendar_entries), row)
    audit.append(connection, at, "calendar.changed", entry, cause, {"from": before, "to": value})
