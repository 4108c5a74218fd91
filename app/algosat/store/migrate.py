"""Schema migrations with Alembic."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from algosat.store.database import Database
from algosat.store.schema_version import HEAD, HEAD_TABLE, OLDEST, OLDEST_TABLE, SchemaVersions
from algosat.store.write_lock import exclusive


def scripts() -> ScriptDirectory:
    """Return the migrations of this release."""
    return ScriptDirectory.from_config(_config())


def upgrade(database: Database) -> None:
    """Upgrade the store to this release's schema version, in one transaction, under the write lock.

    A store that a newer release has upgraded stays as it is.

    Raises:
        ConfigurationError: This release may not run on the store, because a newer one has upgraded it.
    """
    if database.path is not None:
        _make_private(database.path)
    with exclusive(database), database.write() as connection:
        found = _versions(connection)
        if found is not None:
            found.require_not_too_new()
            if found.head > HEAD:
                return
            _keep_head(connection, found.head)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
        if found is None or found.oldest < OLDEST:
            _set_oldest(connection)


def _make_private(path: Path) -> None:
    """Create the store without access for other users, and take it from them if an earlier release gave it.

    SQLite would create the file with the umask of the process, and gives its mode to the files beside it.
    """
    path.touch(mode=0o640)
    for each in path.parent.glob(f"{path.name}*"):
        mode = each.stat().st_mode
        if mode & stat.S_IRWXO:
            with suppress(PermissionError):  # of another user, who cannot be the service's
                each.chmod(stat.S_IMODE(mode) & ~stat.S_IRWXO)


def _versions(connection: Connection) -> SchemaVersions | None:
    oldest = _version_in(connection, OLDEST_TABLE)
    if oldest is None:
        return None
    return SchemaVersions(_version_in(connection, HEAD_TABLE) or oldest, oldest)


def _version_in(connection: Connection, table: str) -> str | None:
    return _context(connection, table).get_current_revision()


def _keep_head(connection: Connection, head: str) -> None:
    """Write the schema version of an existing store to the table that Alembic uses from now on."""
    context = _context(connection, HEAD_TABLE)
    if context.get_current_revision() is None:
        context.stamp(scripts(), head)


def _set_oldest(connection: Connection) -> None:
    connection.execute(
        text(
            f"CREATE TABLE IF NOT EXISTS {OLDEST_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {OLDEST_TABLE}_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text(f"DELETE FROM {OLDEST_TABLE}"))  # noqa: S608  # nosec B608
    connection.execute(text(f"INSERT INTO {OLDEST_TABLE} VALUES (:oldest)"), {"oldest": OLDEST})  # noqa: S608  # nosec B608


def _context(connection: Connection, table: str) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table": table})


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
