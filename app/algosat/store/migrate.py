"""Schema migrations with Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from algosat.errors import ConfigurationError
from algosat.store.database import Database
from algosat.store.write_lock import exclusive


def head() -> str:
    """Return the schema version of this release."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise ConfigurationError("this release contains no migrations: it was built incorrectly")
    return revision


def known_versions() -> frozenset[str]:
    """Return all schema versions this release can upgrade from, including its own."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def current(database: Database) -> str | None:
    """Return the schema version of the store; None if the store is empty."""
    with database.read() as connection:
        return version_of(connection)


def version_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database) -> None:
    """Upgrade the store to this release's schema version, in one transaction, under the write lock."""
    if database.path is not None:
        database.path.touch(mode=0o640)  # SQLite would create it readable for all users
    with exclusive(database), database.write() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
