"""The schema's version, and the way from one to the next."""

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
    """The version this release works with."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise ConfigurationError("this release carries no migrations: it was built wrongly")
    return revision


def known_versions() -> frozenset[str]:
    """Every version this release can upgrade from, its own included."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def current(database: Database) -> str | None:
    """The version the store is at; None when it is empty."""
    with database.read() as connection:
        return version_of(connection)


def version_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database) -> None:
    """Bring the store to this release's version, in one transaction, with every writer kept out."""
    if database.path is not None:
        database.path.touch(mode=0o640)  # SQLite would make it readable for everybody
    with exclusive(database), database.write() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
