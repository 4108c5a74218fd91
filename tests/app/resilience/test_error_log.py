from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from sqlite3 import OperationalError as DriverError
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from algosat.config.settings import Settings
from algosat.errors import Component, ErrorCategory, ErrorSeverity, NotFound, StoreBusy
from algosat.resilience import error_store
from algosat.resilience.error_log import ErrorLog, Recovery
from algosat.resilience.error_store import ErrorEntry
from algosat.store.database import Database
from algosat.store.tables import error_counts, errors, recoveries, request_counts
from algosat.store.writer import Writer
from tests.app.events import wait_for
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


def entries(database: Database, **wanted: Any) -> list[ErrorEntry]:
    with database.read() as connection:
        return error_store.latest(connection, limit=1000, **wanted)


def rows(database: Database, table: Any) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(table).order_by(table.c.at)))


def test_equal_errors_share_a_row_that_counts_them(
    error_log: ErrorLog, clock: FakeClock, database: Database
) -> None:
    for _ in range(3):
        error_log.record(ZeroDivisionError("division by zero"), "/orders")
        error_log.flush()
        clock.forward(minutes=1)
    (entry,) = entries(database)
    assert (entry.code, entry.severity, entry.count) == ("ZeroDivisionError", ErrorSeverity.CRITICAL, 3)
    assert entry.last_at - entry.first_at == timedelta(minutes=2)


def test_errors_of_different_places_have_different_rows(error_log: ErrorLog, database: Database) -> None:
    for place in ("/orders", "/trades"):
        error_log.record(StoreBusy("no answer"), place)
    error_log.record(NotFound("nothing"), "/orders")
    error_log.flush()
    assert len(entries(database)) == 3
    assert len(entries(database, severity=ErrorSeverity.HIGH)) == 2
    assert len(entries(database, category=ErrorCategory.DATABASE)) == 2
    assert len(entries(database, component=Component.API)) == 1


def test_processes_add_up(error_log: ErrorLog, writer: Writer, clock: FakeClock, database: Database) -> None:
    other = ErrorLog(writer, clock)
    for log in (error_log, other, error_log):
        log.record(StoreBusy("no answer"), "engine paper route")
        log.flush()
    other.close()
    (entry,), (number,) = entries(database), rows(database, error_counts)
    assert (entry.count, number._mapping["count"]) == (3, 3)


@pytest.mark.parametrize(
    "error",
    [StoreBusy("no answer"), OperationalError("", {}, DriverError("database or disk is full")), ValueError()],
)
def test_no_count_is_lost_while_the_store_is_unavailable(
    error_log: ErrorLog,
    database: Database,
    writer: Writer,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    with monkeypatch.context() as patched:
        for _ in range(10):
            error_log.record(ZeroDivisionError(), "/orders")

        def fail(*_: object, **__: object) -> None:
            error_log.record(ZeroDivisionError(), "/orders")  # one more, while the others are being written
            raise error

        patched.setattr(writer, "run", fail)
        assert not error_log.flush()
    error_log.flush()
    (entry,), (number,) = entries(database), rows(database, error_counts)
    assert (entry.count, number._mapping["count"]) == (11, 11)
    error_log.flush()
    (recovery,) = rows(database, recoveries)
    assert (recovery.action, recovery.succeeded) == (Recovery.STORE_WRITE, 1)


def test_number_of_different_errors_kept_is_bounded(error_log: ErrorLog, database: Database) -> None:
    for number in range(300):
        error_log.record(ZeroDivisionError(), f"/place-{number}")
    error_log.flush()
    assert len(entries(database)) == 200


def test_errors_in_the_store_are_bounded_and_the_oldest_go(
    error_log: ErrorLog, database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_store, "_MAX_STORED", 3)
    for number in range(5):
        error_log.record(ZeroDivisionError(), f"/place-{number}")
        error_log.flush()
        clock.forward(minutes=1)
    assert [each.place for each in entries(database)] == ["/place-4", "/place-3", "/place-2"]


def test_error_that_cannot_be_described_harms_nothing(error_log: ErrorLog, database: Database) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    error_log.record(Broken(), "/orders")
    error_log.record(ZeroDivisionError("\x00" + "x" * 9000), "y" * 900)
    error_log.flush()
    (entry,) = entries(database)
    assert (len(entry.message), len(entry.place)) == (499, 128)


def test_numbers_of_each_interval_are_kept(error_log: ErrorLog, database: Database, clock: FakeClock) -> None:
    for seconds in (0.5, None, 1.5):
        error_log.record(StoreBusy("no answer"), "/orders", seconds=seconds)
    clock.forward(minutes=5)
    error_log.record(StoreBusy("no answer"), "/orders", seconds=1)
    error_log.flush()
    found = [(row._mapping["count"], row.requests, row.milliseconds) for row in rows(database, error_counts)]
    assert found == [(3, 2, 2000), (1, 1, 1000)]


def test_requests_alone_are_written_once_in_an_interval(
    error_log: ErrorLog, database: Database, clock: FakeClock
) -> None:
    for status in (200, 404, 503):
        error_log.count_request(status, 0.1)
    error_log.flush()
    assert rows(database, request_counts) == []
    clock.forward(minutes=5)
    error_log.flush()
    (row,) = rows(database, request_counts)
    assert (row.requests, row.failed, row.milliseconds) == (3, 1, 300)


def test_what_was_recorded_last_is_written_at_the_end(
    writer: Writer, clock: FakeClock, database: Database
) -> None:
    error_log = ErrorLog(writer, clock)
    error_log.count_request(200, 0.1)
    error_log.close()
    assert len(rows(database, request_counts)) == 1


def test_thread_writes_by_itself_and_ends_when_nothing_is_left(
    error_log: ErrorLog, database: Database
) -> None:
    threads = set(threading.enumerate())
    for number in (1, 2):
        error_log.record(ZeroDivisionError(), "/orders")
        wait_for(lambda n=number: [each.count for each in entries(database)] == [n])  # type: ignore[misc]
        wait_for(lambda: set(threading.enumerate()) <= threads)


def test_rounds_that_fail_and_pass_are_recoveries(error_log: ErrorLog, database: Database) -> None:
    for _ in range(3):
        error_log.round_failed(ZeroDivisionError(), "engine paper route")
    error_log.round_passed("engine paper route")
    error_log.round_passed("engine paper route")
    error_log.flush()
    (row,) = rows(database, recoveries)
    assert (row.action, row.place) == (Recovery.ROUND, "engine paper route")
    assert (row.succeeded, row.failed) == (1, 2)


def test_rows_of_an_earlier_release_are_read_and_continued(
    error_log: ErrorLog, database: Database, writer: Writer, clock: FakeClock
) -> None:
    error_log.record(StoreBusy("no answer"), "/orders")
    error_log.flush()
    as_before = {"component": None, "release": None, "category": "configuration"}
    writer.run(lambda connection: connection.execute(errors.update().values(as_before)))
    (entry,) = entries(database)
    assert (entry.component, entry.release, entry.category) == (Component.API, None, ErrorCategory.SYSTEM)
    assert len(entries(database, category=ErrorCategory.SYSTEM)) == 1
    error_log.record(StoreBusy("no answer"), "/orders")
    error_log.flush()
    (entry,) = entries(database)
    assert (entry.component, entry.release, entry.count) == (Component.DATABASE, None, 2)


def test_earlier_release_can_read_severity_and_category(error_log: ErrorLog, database: Database) -> None:
    for error in (StoreBusy(""), NotFound(""), ZeroDivisionError()):
        error_log.record(error, "/orders")
    error_log.flush()
    with database.read() as connection:
        found = {(row.severity, row.category) for row in connection.execute(select(errors))}
    assert found == {("error", "store"), ("info", "internal"), ("critical", "internal")}
