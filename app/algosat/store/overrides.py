"""Overrides: settings changed at run time, kept in the store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from algosat.config.overrides import Override
from algosat.errors import StoreBusy
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.prepared import Prepared
from algosat.store.tables import overrides

_ALL = Prepared(
    select(overrides.c.section, overrides.c.key, overrides.c.value).order_by(
        overrides.c.section, overrides.c.key
    )
)


def read(database: Database) -> list[Override]:
    """Return all overrides. Raises StoreBusy if the store does not answer."""
    try:
        with database.read() as connection:
            return [Override(*row) for row in _ALL.each(connection)]
    except SQLAlchemyError as error:
        raise StoreBusy(f"the overrides cannot be read: {error}") from error


def put(
    connection: Connection,
    section: str,
    updates: Mapping[str, Any],
    before: Mapping[str, Any],
    at: datetime,
    cause: Cause,
) -> None:
    """Store new values of a section. None removes the override of a key. `before` is for the audit trail."""
    for key, value in updates.items():
        connection.execute(delete(overrides).where(overrides.c.section == section, overrides.c.key == key))
        if value is not None:
            row = {"section": section, "key": key, "value": value, "changed_at": at}
            connection.execute(insert(overrides), {**row, "changed_by": cause.actor})
    data = {key: {"from": before[key], "to": value} for key, value in updates.items()}
    audit.append(connection, at, "config.changed", section, cause, data)
