from __future__ import annotations

from pathlib import Path

import pytest

from algosat.errors import ConfigurationError, StoreBusy
from algosat.store import migrate, schema_version
from algosat.store.database import Database


def test_version_in_the_code_is_the_newest_migration() -> None:
    assert migrate.head() == schema_version.HEAD


def test_upgraded_store_is_accepted(database: Database) -> None:
    schema_version.require_current(database)
    with database.read() as connection:
        assert schema_version.read_version(connection) == schema_version.HEAD


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
