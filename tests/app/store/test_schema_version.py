from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from algosat.errors import ConfigurationError, StoreBusy
from algosat.store import schema_version
from algosat.store.database import Database
from algosat.store.schema_version import HEAD, OLDEST, SchemaVersions


def set_versions(database: Database, head: str, oldest: str) -> None:
    """Give the store the schema versions of a later release."""
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version_num = :head"), {"head": head})
        connection.execute(text("UPDATE alembic_version SET version_num = :oldest"), {"oldest": oldest})


def test_upgraded_store_is_accepted(database: Database) -> None:
    schema_version.require_current(database)
    assert schema_version.find_versions(database) == SchemaVersions(HEAD, OLDEST)


def test_release_before_the_second_version_table_may_run_on_the_store(database: Database) -> None:
    """It compares `alembic_version` with its own version, 0012, and runs only if they are equal."""
    with database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0012"


def test_store_that_a_newer_release_has_extended_is_accepted(database: Database) -> None:
    set_versions(database, "9999", HEAD)
    schema_version.require_current(database)


def test_store_from_which_a_newer_release_has_removed_something_is_refused(database: Database) -> None:
    set_versions(database, "9999", "9998")
    with pytest.raises(ConfigurationError, match=r"schema version 9999, which needs a release of .* 9998"):
        schema_version.require_current(database)


def test_store_behind_this_release_is_refused_with_the_remedy(database: Database) -> None:
    set_versions(database, "0003", "0003")
    with pytest.raises(ConfigurationError, match=r"at schema version 0003, .* `algosat db upgrade`"):
        schema_version.require_current(database)


def test_store_without_schema_is_refused_with_the_remedy(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(ConfigurationError, match="algosat db upgrade"):
        schema_version.require_current(empty)
    empty.close()


def nowhere() -> Database:
    return Database("postgresql+psycopg://trader:sesame@127.0.0.1:1/book")


def test_unreachable_store_is_busy_not_empty() -> None:
    with pytest.raises(StoreBusy, match="does not answer") as busy:
        schema_version.require_current(nowhere())
    assert "sesame" not in busy.value.detail


def test_unreadable_store_is_busy_not_empty(tmp_path: Path) -> None:
    (tmp_path / "algosat.db").write_text("not a database " * 100)
    damaged = Database(f"sqlite:///{tmp_path}/algosat.db")
    with pytest.raises(StoreBusy, match="not a database"):
        schema_version.require_current(damaged)
    damaged.close()


@pytest.mark.usefixtures("slow_store")
def test_await_current_waits_for_the_store(database: Database) -> None:
    slept: list[float] = []
    schema_version.await_current(database, sleep=slept.append)
    assert slept == [1.0, 1.0]


def test_await_current_gives_up_after_its_patience() -> None:
    now = iter(range(100))
    with pytest.raises(StoreBusy):
        schema_version.await_current(nowhere(), 3.0, sleep=lambda _: None, clock=lambda: float(next(now)))
    assert next(now) == 4


def test_await_current_does_not_wait_for_another_version(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(ConfigurationError):
        schema_version.await_current(empty, sleep=lambda _: pytest.fail("waited"))
    empty.close()
