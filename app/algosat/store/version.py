"""Whether the store is at the version this release works with.

Asked at every start and health check, so it must not load Alembic, which takes a third of a second
and eleven megabytes. A test holds HEAD to the migrations.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from algosat.errors import ConfigurationError
from algosat.store.database import Database

HEAD: Final = "0001"

_VERSION = text("SELECT version_num FROM alembic_version")


def require_current(database: Database) -> None:
    """Refuse to work on a store of another version."""
    try:
        with database.read() as connection:
            found = of(connection)
    except (OperationalError, ProgrammingError):
        found = None
    if found != HEAD:
        raise ConfigurationError(
            f"the store is at schema version {found or 'none'}, this release needs {HEAD}: "
            "run `algosat db upgrade`"
        )


def of(connection: Connection) -> str | None:
    return connection.execute(_VERSION).scalar()
