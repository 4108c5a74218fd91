"""The schema versions of a store, and the check whether this release may run on them.

A store keeps two versions. `schema_version` holds the newest migration that was applied. `alembic_version`
holds the schema version of the oldest release that may run: additive migrations leave it as it is, so that a
rollback needs no migration back. Releases up to schema version 0012 know the second table only.

The check runs at every start and health check, so it must not import Alembic, which takes a third of a
second and 11 MB. A test compares HEAD with the migrations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import column, select, table, true
from sqlalchemy.exc import DBAPIError, ProgrammingError

from algosat.errors import ConfigurationError, StoreBusy
from algosat.store.database import Database
from algosat.store.prepared import Prepared

HEAD: Final = "0028"  # the newest migration
OLDEST: Final = "0012"  # the oldest schema version whose release may run on this release's store

HEAD_TABLE: Final = "schema_version"
OLDEST_TABLE: Final = "alembic_version"

_AGAIN_AFTER: Final = 1.0  # seconds
_PATIENCE: Final = 240.0  # seconds; systemd gives a start 300

_log = structlog.get_logger(__name__)
_HEAD = table(HEAD_TABLE, column("version_num"))
_OLDEST = table(OLDEST_TABLE, column("version_num"))
_VERSIONS = Prepared(
    select(_HEAD.c.version_num.label("head"), _OLDEST.c.version_num.label("oldest")).select_from(
        _HEAD.join(_OLDEST, true())
    )
)
# Of a store that no release with two version tables has upgraded yet.
_ONLY_VERSION = Prepared(select(_OLDEST.c.version_num.label("head"), _OLDEST.c.version_num.label("oldest")))


@dataclass(frozen=True, slots=True)
class SchemaVersions:
    """The newest migration of a store, and the schema version of the oldest release that may run on it."""

    head: str
    oldest: str

    @property
    def is_behind(self) -> bool:
        """Whether the store lacks migrations of this release."""
        return self.head < HEAD

    @property
    def is_too_new(self) -> bool:
        """Whether a later release has removed what this release uses."""
        return self.oldest > HEAD

    @property
    def is_usable(self) -> bool:
        return not self.is_behind and not self.is_too_new

    def require_not_too_new(self) -> None:
        """Raise ConfigurationError if a later release has removed what this release uses."""
        if self.is_too_new:
            raise ConfigurationError(
                f"the store has schema version {self.head}, which needs a release of schema version "
                f"{self.oldest} or newer, and this release has {HEAD}: deploy a newer release"
            )


def find_versions(database: Database) -> SchemaVersions | None:
    """Return the schema versions of the store; None if the store is empty."""
    for statement in (_VERSIONS, _ONLY_VERSION):
        try:
            with database.read() as connection:
                row = statement.first(connection)
        except DBAPIError as error:
            if not _is_missing(error):
                raise
        else:
            return SchemaVersions(row.head, row.oldest) if row else None
    return None


def require_current(database: Database) -> None:
    """Raise ConfigurationError if this release may not run on the store.

    Raises StoreBusy if the store does not answer, so that its version is not known.
    """
    try:
        found = find_versions(database)
    except DBAPIError as error:
        raise StoreBusy(f"the store does not answer: {str(error.orig).strip()}") from error
    if found is None or found.is_behind:
        raise ConfigurationError(
            f"the store is at schema version {found.head if found else 'none'}, this release needs {HEAD}: "
            "run `algosat db upgrade`"
        )
    found.require_not_too_new()


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
