"""The schema version that this release needs, and the check of a store's version.

The check runs at every start and health check, so it must not import Alembic, which takes a third of a
second and 11 MB. A test compares HEAD with the migrations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, cast

import structlog
from sqlalchemy import Connection, column, select, table
from sqlalchemy.exc import DBAPIError, ProgrammingError

from algosat.errors import ConfigurationError, StoreBusy
from algosat.store.database import Database
from algosat.store.prepared import Prepared

HEAD: Final = "0012"

_AGAIN_AFTER: Final = 1.0  # seconds
_PATIENCE: Final = 240.0  # seconds; systemd gives a start 300

_log = structlog.get_logger(__name__)
_VERSION = Prepared(select(column("version_num")).select_from(table("alembic_version")))


def require_current(database: Database) -> None:
    """Raise ConfigurationError if the store has another schema version.

    Raises StoreBusy if the store does not answer, so that its version is not known.
    """
    try:
        with database.read() as connection:
            found = read_version(connection)
    except DBAPIError as error:
        if not _is_missing(error):
            raise StoreBusy(f"the store does not answer: {str(error.orig).strip()}") from error
        found = None
    if found != HEAD:
        raise ConfigurationError(
            f"the store is at schema version {found or 'none'}, this release needs {HEAD}: "
            "run `algosat db upgrade`"
        )


def await_current(
    database: Database,
    patience: float = _PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Check the version as `require_current` does, but wait up to `patience` seconds for the store to answer.

    For processes started at boot: the database server may still be starting.
    """
    deadline = clock() + patience
    while True:
        try:
            require_current(database)
        except StoreBusy as error:
            if clock() >= deadline:
                raise
            _log.warning("store_awaited", detail=error.detail)
            sleep(_AGAIN_AFTER)
        else:
            return


def _is_missing(error: DBAPIError) -> bool:
    """Whether the error is that the version table does not exist."""
    return isinstance(error, ProgrammingError) or "no such table" in str(error.orig)


def read_version(connection: Connection) -> str | None:
    """Return the schema version of the store; None if the version table is empty."""
    return cast(str | None, _VERSION.scalar(connection))
