from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from algosat.errors import Conflict, Overloaded, StoreBusy, StoreFull, StoreReadOnly
from algosat.resilience.bulkhead import Bulkhead, Precedence, current
from algosat.store.database import Database
from algosat.store.write_lock import exclusive
from algosat.store.writer import Writer, after_commit, part
from tests.app.events import PATIENCE, wait_for


@pytest.fixture
def counter(database: Database) -> Database:
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))
    return database


def increment(connection: Connection) -> int:
    n = int(connection.execute(text("SELECT n FROM counter")).scalar_one())
    connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})
    return n + 1


def test_units_of_many_threads_run_one_after_another(counter: Database) -> None:
    writer = Writer(counter)
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda _: writer.run(increment), range(200)))
    writer.close()
    assert sorted(results) == list(range(1, 201))


@pytest.mark.sqlite
def test_single_caller_writes_directly_and_waiting_ones_share_a_commit(counter: Database) -> None:
    writer, begun, release = Writer(counter), threading.Event(), threading.Event()

    def thread(connection: Connection) -> int:
        begun.set()
        release.wait(PATIENCE)
        return threading.get_ident()

    with ThreadPoolExecutor(3) as pool:
        direct = pool.submit(lambda: (writer.run(thread), threading.get_ident()))
        assert begun.wait(PATIENCE)
        others = [pool.submit(writer.run, thread) for _ in range(2)]
        _await_waiting(writer, 2)
        release.set()
        ran_in, called_from = direct.result()
        assert ran_in == called_from
        assert {other.result() for other in others} == {writer._thread.ident}  # noqa: SLF001
    writer.close()


@pytest.mark.sqlite
def test_callers_that_shared_a_commit_share_the_next(
    counter: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uncommitted(connection: Connection) -> int:
        with counter.read() as others:
            committed = int(others.execute(text("SELECT n FROM counter")).scalar_one())
        return increment(connection) - committed

    writer = Writer(counter)
    with ThreadPoolExecutor(2) as pool:
        with exclusive(counter):
            together = [pool.submit(writer.run, uncommitted) for _ in range(2)]
            _await_waiting(writer, 2)
        assert {each.result() for each in together} == {1, 2}
        with monkeypatch.context() as patience:
            patience.setattr("algosat.store.writer._LINGER", 10.0)
            first = pool.submit(writer.run, uncommitted)
            wait_for(lambda: len(writer._running) == 1)  # noqa: SLF001
            time.sleep(0.05)  # long enough to finish, if it did not wait
            assert (writer.run(uncommitted), first.result()) == (2, 1)
    assert writer.run(uncommitted) == 1  # written although no other caller comes
    writer.close()


def test_single_unit_that_fails_is_rolled_back(counter: Database) -> None:
    writer = Writer(counter)

    def fail(connection: Connection) -> None:
        increment(connection)
        raise Conflict("no")

    with pytest.raises(Conflict):
        writer.run(fail)
    assert writer.run(increment) == 1
    writer.close()


def test_failing_unit_is_rolled_back_without_its_group(counter: Database) -> None:
    writer = Writer(counter)
    release = threading.Event()

    def wait(connection: Connection) -> None:
        release.wait(PATIENCE)

    def fail(connection: Connection) -> None:
        increment(connection)
        raise Conflict("no")

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(
            writer.run, wait
        )  # while it runs, the next two units are queued and share a group
        failing, fine = pool.submit(writer.run, fail), pool.submit(writer.run, increment)
        release.set()
        first.result()
        with pytest.raises(Conflict):
            failing.result()
        assert fine.result() == 1
    writer.close()


def test_effect_happens_once_after_the_commit_although_the_unit_ran_twice(counter: Database) -> None:
    writer, begun, release = Writer(counter), threading.Event(), threading.Event()
    effects, runs = list[int](), list[int]()

    def wait(_connection: Connection) -> None:
        begun.set()
        release.wait(PATIENCE)

    def note() -> None:
        with counter.read() as connection:
            effects.append(int(connection.execute(text("SELECT n FROM counter")).scalar_one()))

    def notes(connection: Connection) -> None:
        runs.append(increment(connection))
        after_commit(connection, note)

    def fail(connection: Connection) -> None:
        after_commit(connection, lambda: effects.append(-1))
        raise Conflict("no")

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(writer.run, wait)
        assert begun.wait(PATIENCE)  # units queued from here on form the next group
        with_effect, failing = pool.submit(writer.run, notes), pool.submit(writer.run, fail)
        _await_waiting(writer, 2)
        release.set()
        first.result()
        with_effect.result()
        with pytest.raises(Conflict):
            failing.result()
    assert (effects, set(runs)) == ([1], {1})
    writer.close()


def test_effects_of_a_part_that_is_undone_do_not_happen(counter: Database) -> None:
    writer, effects = Writer(counter), list[str]()

    def unit(connection: Connection) -> None:
        after_commit(connection, lambda: effects.append("before"))
        try:
            with part(connection):
                after_commit(connection, lambda: effects.append("undone"))
                raise Conflict("no")
        except Conflict:
            after_commit(connection, lambda: effects.append("after"))

    writer.run(unit)
    writer.run(increment)
    assert effects == ["before", "after"]
    writer.close()


def test_group_is_not_repeated_after_a_failed_commit(counter: Database) -> None:
    with counter.engine.begin() as connection:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        columns = "id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED"
        connection.execute(text(f"CREATE TABLE orphan ({columns})"))
    writer, begun, release, runs = Writer(counter), threading.Event(), threading.Event(), []

    def wait(connection: Connection) -> None:
        begun.set()
        release.wait(PATIENCE)

    def violate(connection: Connection) -> None:
        runs.append("violate")
        connection.execute(text("INSERT INTO orphan VALUES (1)"))  # fails at the commit

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(writer.run, wait)
        assert begun.wait(PATIENCE)  # units queued from here on form the next group
        failing, other = pool.submit(writer.run, violate), pool.submit(writer.run, increment)
        _await_waiting(writer, 2)
        release.set()
        first.result()
        for failed in (failing, other):
            with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
                failed.result()
    assert runs == ["violate"]
    assert writer.run(increment) == 1
    writer.close()


@pytest.mark.sqlite
def test_unit_that_did_not_begin_in_time_never_runs(counter: Database) -> None:
    writer = Writer(counter)
    with exclusive(counter):
        blocked = threading.Thread(target=lambda: writer.run(lambda connection: None))
        blocked.start()  # occupies the writer thread, which waits for the lock
        _await_waiting(writer, 1)
        with pytest.raises(StoreBusy, match="did not take the write"):
            writer.run(increment, timeout=0.05)
    blocked.join()
    assert writer.run(increment) == 1
    writer.close()


@pytest.mark.sqlite
def test_unit_waiting_for_another_process_times_out(counter: Database) -> None:
    writer = Writer(counter)
    with exclusive(counter), pytest.raises(StoreBusy, match="did not take the write"):
        writer.run(increment, timeout=0.05)
    assert writer.run(increment) == 1
    writer.close()


@pytest.mark.sqlite
def test_foreign_write_transaction_makes_the_store_busy(counter: Database) -> None:
    assert counter.path is not None
    writer = Writer(counter)
    foreign = sqlite3.connect(counter.path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with exclusive(counter), pytest.raises(StoreBusy, match="did not take the write"):
        writer.run(increment, timeout=0.05)  # the caller has given up when the writer gets the lock
    with pytest.raises(StoreBusy, match="did not take the write") as refused:
        writer.run(increment, timeout=0.3)
    assert (refused.value.code, refused.value.headers) == ("store_busy", {"Retry-After": "1"})
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(writer.run, increment)
        _await_waiting(writer, 1)
        time.sleep(0.3)  # SQLite has refused it at least once
        foreign.execute("ROLLBACK")
        assert patient.result() == 1
    foreign.close()
    writer.close()


@pytest.mark.sqlite
def test_close_writes_queued_units(counter: Database) -> None:
    writer = Writer(counter)
    with ThreadPoolExecutor(4) as pool:
        with exclusive(counter):
            written = [pool.submit(writer.run, increment) for _ in range(4)]
            _await_waiting(writer, 4)
        writer.close()
        assert sorted(future.result() for future in written) == [1, 2, 3, 4]


def test_durable_unit_waits_for_the_disk(counter: Database) -> None:
    writer = Writer(counter)
    assert writer.run(_waits_for_the_disk)
    assert not writer.run(_waits_for_the_disk, durable=False)
    assert writer.run(_waits_for_the_disk)
    writer.close()


@pytest.mark.sqlite
def test_durable_unit_makes_its_group_durable(counter: Database) -> None:
    writer = Writer(counter)
    with ThreadPoolExecutor(2) as pool:
        with exclusive(counter):
            not_durable = pool.submit(writer.run, _waits_for_the_disk, durable=False)
            _await_waiting(writer, 1)
            durable = pool.submit(writer.run, _waits_for_the_disk)
            _await_waiting(writer, 2)
        assert not_durable.result()
        assert durable.result()
    writer.close()


def _await_waiting(writer: Writer, number: int) -> None:
    """Wait until `number` units are waiting. On SQLite the writer's thread holds one of them."""

    def waiting() -> int:
        in_hand = _group_in_hand(writer) if writer._database.is_sqlite else 0  # noqa: SLF001
        return in_hand + writer._queue.qsize()  # noqa: SLF001

    wait_for(lambda: waiting() == number)


def _group_in_hand(writer: Writer) -> int:
    """Return the number of units that the writer's thread is about to commit."""
    assert writer._thread.ident is not None  # noqa: SLF001
    frame = sys._current_frames().get(writer._thread.ident)  # noqa: SLF001
    while frame is not None:
        if frame.f_code is Writer._commit.__code__:  # noqa: SLF001
            return len(frame.f_locals["group"])
        frame = frame.f_back
    return 0


def _waits_for_the_disk(connection: Connection) -> bool:
    sqlite, postgresql = ("PRAGMA synchronous", 2), ("SHOW synchronous_commit", "on")
    question, answer = sqlite if connection.dialect.name == "sqlite" else postgresql
    return bool(connection.execute(text(question)).scalar_one() == answer)


def _increment_often(url: str, times: int) -> None:
    database = Database(url)
    writer = Writer(database)
    for _ in range(times):
        writer.run(increment)
    writer.close()


@pytest.mark.slow
def test_units_of_several_processes_lose_no_update(counter: Database) -> None:
    url = counter.url.render_as_string(hide_password=False)
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_increment_often, args=(url, 40)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    with counter.read() as connection:
        assert connection.execute(text("SELECT n FROM counter")).scalar_one() == 120


def test_error_does_not_contain_the_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as refused, database.read() as connection:
        connection.execute(text("SELECT :value FROM nothing"), {"value": "hash of a password"})
    assert "nothing" in str(refused.value)
    assert "hash of a password" not in str(refused.value)


@pytest.mark.sqlite
def test_writer_recovers_after_a_full_disk(counter: Database) -> None:
    def at_most(pages: int) -> None:
        writer.run(lambda connection: connection.execute(text(f"PRAGMA max_page_count = {pages}")).all())

    counter.reserve = None
    writer = Writer(counter)
    at_most(1)  # fewer than there are
    with pytest.raises(StoreFull, match="disk of the store is full"):
        writer.run(lambda connection: connection.execute(text("CREATE TABLE more AS SELECT 1 AS n")))
    assert writer.run(increment) == 1  # by a new connection
    writer.close()


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("number", "refusal"),
    [
        (errno.EROFS, StoreReadOnly),
        (errno.EACCES, StoreReadOnly),
        (errno.ENOSPC, StoreFull),
        (errno.EMFILE, StoreBusy),
    ],
)
def test_lock_file_that_cannot_be_opened_refuses_the_write(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, number: int, refusal: type[StoreBusy]
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/a/path/that/is/nobodys/business")

    with monkeypatch.context() as disk:
        disk.setattr(os, "open", refused)
        with pytest.raises(StoreBusy) as found:
            writer.run(lambda _connection: None)
    assert type(found.value) is refusal
    assert "/a/path" not in found.value.detail
    assert "Retry-After" in found.value.headers
    assert writer.run(lambda _connection: 1) == 1


@pytest.mark.sqlite
def test_connection_that_may_only_read_is_replaced(counter: Database) -> None:
    writer = Writer(counter)
    writer.run(lambda connection: connection.execute(text("PRAGMA query_only = ON")))
    with pytest.raises(StoreReadOnly):
        writer.run(increment)
    assert writer.run(increment) == 1  # by a new connection
    writer.close()


@pytest.mark.sqlite
def test_caller_may_give_up_while_another_program_holds_the_transaction(counter: Database) -> None:
    assert counter.path is not None
    writer, ran = Writer(counter), set[int]()
    foreign = sqlite3.connect(counter.path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with exclusive(counter):
        first = threading.Thread(target=_run_and_ignore, args=(writer,))
        first.start()
        _await_waiting(writer, 1)
    # The writer thread has the write lock now, and waits for SQLite's.
    with pytest.raises(StoreBusy, match="did not take the write"):
        writer.run(lambda _connection: ran.add(1), timeout=0.05)
    foreign.execute("ROLLBACK")
    foreign.close()
    first.join()
    assert writer.run(increment) == 1
    assert not ran
    writer.close()


@pytest.mark.sqlite
def test_caller_without_a_place_is_refused_while_the_store_takes_no_writes(
    counter: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("algosat.store.writer._MOMENT", 0.05)
    bulkhead, ran = Bulkhead(4), set[int]()  # one thread may wait for an entry, three for an exit
    writer = Writer(counter, bulkhead.enter)

    def enter(number: int, precedence: Precedence = Precedence.ENTRY) -> int:
        def unit(connection: Connection) -> int:
            ran.add(number)
            return increment(connection)

        current.set(precedence)
        return writer.run(unit, timeout=PATIENCE)

    with ThreadPoolExecutor(4) as pool:
        with exclusive(counter):
            first = pool.submit(enter, 1)
            wait_for(lambda: bulkhead.waiting == 1)
            with pytest.raises(Overloaded) as refused:
                pool.submit(enter, 2).result()
            exit_order = pool.submit(enter, 3, Precedence.EXIT)
            wait_for(lambda: bulkhead.waiting == 2)
            with pytest.raises(Overloaded):
                pool.submit(enter, 4, Precedence.READ).result()
        assert {first.result(), exit_order.result()} == {1, 2}
    assert refused.value.headers == {"Retry-After": "1"}
    assert ran == {1, 3}
    assert bulkhead.waiting == 0
    assert writer.run(increment) == 3  # as soon as the store takes writes, nobody needs a place
    writer.close()


def _run_and_ignore(writer: Writer) -> None:
    with contextlib.suppress(StoreBusy):
        writer.run(lambda _connection: None)
