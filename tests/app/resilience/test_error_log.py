from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from algosat.config.settings import Settings
from algosat.errors import NotFound, StoreBusy
from algosat.resilience.error_log import ErrorLog, latest
from algosat.store.database import Database
from algosat.store.writer import Writer
from tests.app.fakes import FakeClock


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.algosat.database.url.get_secret_value())
    yield database
    database.close()


@pytest.fixture
def error_log(writer: Writer, clock: FakeClock) -> Iterator[ErrorLog]:
    error_log = ErrorLog(writer, clock)
    yield error_log
    error_log.close()


def rows(database: Database, **wanted: Any) -> list[Any]:
    with database.read() as connection:
        return list(latest(connection, limit=10, **wanted))


def test_equal_errors_share_a_row_that_counts_them(
    error_log: ErrorLog, clock: FakeClock, database: Database
) -> None:
    for _ in range(3):
        error_log.record(ZeroDivisionError("division by zero"), "/orders")
        error_log.flush()
        clock.forward(minutes=1)
    (row,) = rows(database)
    assert (row.code, row.severity, row._mapping["count"]) == ("ZeroDivisionError", "critical", 3)
    assert (row.last_at - row.first_at).total_seconds() == 120


def test_errors_of_different_places_have_different_rows(error_log: ErrorLog, database: Database) -> None:
    for place in ("/orders", "/trades"):
        error_log.record(StoreBusy("no answer"), place)
    error_log.record(NotFound("nothing"), "/orders")
    error_log.flush()
    assert len(rows(database)) == 3
    assert len(rows(database, severity="error")) == 2


@pytest.mark.parametrize(
    "error", [StoreBusy("no answer"), OperationalError("", {}, Exception("database or disk is full"))]
)
def test_errors_are_kept_while_the_store_is_unavailable(
    error_log: ErrorLog,
    database: Database,
    writer: Writer,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def busy(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(writer, "run", busy)
        error_log.record(ZeroDivisionError(), "/orders")
        error_log.flush()
    error_log.flush()
    assert len(rows(database)) == 1


def test_number_of_different_errors_kept_is_bounded(error_log: ErrorLog, database: Database) -> None:
    for number in range(300):
        error_log.record(ZeroDivisionError(), f"/place-{number}")
    error_log.flush()
    with database.read() as connection:
        assert len(latest(connection, limit=1000)) == 200
