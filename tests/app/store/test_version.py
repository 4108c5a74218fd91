from __future__ import annotations

from pathlib import Path

import pytest

from algosat.errors import ConfigurationError
from algosat.store import migrate, version
from algosat.store.database import Database


def test_the_version_in_the_code_is_the_newest_migration() -> None:
    assert migrate.head() == version.HEAD


def test_an_upgraded_store_is_accepted(database: Database) -> None:
    version.require_current(database)
    with database.read() as connection:
        assert version.of(connection) == version.HEAD


def test_a_store_without_schema_is_refused_with_the_remedy(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(ConfigurationError, match="algosat db upgrade"):
        version.require_current(empty)
    empty.close()
