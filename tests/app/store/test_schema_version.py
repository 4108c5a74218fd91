from __future__ import annotations

from pathlib import Path

import pytest

from algosat.errors import ConfigurationError, StoreBusy
from algosat.store import migrate, schema_version
from algosat.store.database import Database


def test_the_version_in_the_code_is_the_newest_migration() -> None:
    assert migrate.head() == schema_version.HEAD


def test_an_upgraded_store_is_accepted(database: Database) -> None:
    schema_version.require_current(database)
    with database.read() as connection:
        assert schema_version.read_version(connection) == schema_version.HEAD


def test_a_store_without_schema_is_refused_with_the_remedy(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(ConfigurationError, match="algosat db upgrade"):
        schema_version.require_current(empty)
    empty.close()


def nowhere() -> Database:
    return Database("postgresql+psycopg://trader:sesame@127.0.0.1:1/book")


def test_a_store_that_does_not_answer_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(StoreBusy, match="does not answer") as busy:
        schema_version.require_current(nowhere())
    assert "sesame" not in busy.value.detail


def test_a_store_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "algosat.db").write_text("not a database " * 100)
    damaged = Database(f"sqlite:///{tmp_path}/algosat.db")
    with pytest.raises(StoreBusy, match="not a database"):
        schema_version.require_current(damaged)
    damaged.close()


@pytest.mark.usefixtures("slow_store")
def test_a_process_that_goes_on_waits_for_its_store(database: Database) -> None:
    slept: list[float] = []
    schema_version.await_current(database, sleep=slept.append)
    assert slept == [1.0, 1.0]


def test_it_does_not_wait_for_ever() -> None:
    now = iter(range(100))
    with pytest.raises(StoreBusy):
        schema_version.await_current(nowhere(), 3.0, sleep=lambda _: None, clock=lambda: float(next(now)))
    assert next(now) == 4


def test_a_store_of_another_version_is_not_waited_for(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(ConfigurationError):
        schema_version.await_current(empty, sleep=lambda _: pytest.fail("waited"))
    empty.close()
