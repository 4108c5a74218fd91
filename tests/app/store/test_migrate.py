from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import algosat.brokers.paper.persistence  # noqa: F401 - declares its tables
from algosat.errors import ConfigurationError
from algosat.store import migrate
from algosat.store.database import Database
from algosat.store.tables import metadata


def test_migrations_lead_to_the_tables_of_the_code(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_second_upgrade_changes_nothing(database: Database) -> None:
    before = migrate.current(database)
    migrate.upgrade(database)
    assert migrate.current(database) == before == migrate.head()


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        Database(f"sqlite:///{tmp_path}/nowhere/algosat.db")


def test_new_store_is_not_readable_by_others(tmp_path: Path) -> None:
    fresh = Database(f"sqlite:///{tmp_path}/algosat.db")
    migrate.upgrade(fresh)
    assert [file.name for file in tmp_path.iterdir() if file.stat().st_mode & 0o007] == []
    fresh.close()
