"""Wake-up channels, leader lock and writer on PostgreSQL, also across lost connections."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from algosat.errors import StoreBusy
from algosat.store.database import Database
from algosat.store.leader_lock import NotLeading, leader_lock_of
from algosat.store.wakeup import backend, channels
from algosat.store.writer import Writer
from tests.app.events import PATIENCE, wait_for
from tests.app.postgresql import Cluster

pytestmark = pytest.mark.slow


@pytest.fixture
def database(on_postgresql: Database) -> Database:
    return on_postgresql


def disconnect(postgresql: Cluster, database: Database) -> None:
    postgresql.disconnect(database.url.render_as_string())


def test_listener_receives_the_messages_of_its_channel_only(database: Database, tmp_path: Path) -> None:
    listener, notifier = (
        backend.listener(database, tmp_path, channels.ENGINE),
        backend.notifier(database, tmp_path),
    )
    assert listener.wait(0) == []
    notifier.notify(channels.ENGINE, "one")
    notifier.notify("strategies", "other channel")
    notifier.notify(channels.ENGINE, "two")
    received = listener.wait(PATIENCE)
    assert received + (listener.wait(PATIENCE) if len(received) == 1 else []) == ["one", "two"]
    assert listener.wait(0.01) == []
    listener.close()
    notifier.close()
    assert list(tmp_path.iterdir()) == []


def test_notify_web_reaches_every_web_worker(database: Database, tmp_path: Path) -> None:
    workers = [backend.listener(database, tmp_path, channels.web(number)) for number in (1, 2)]
    assert [worker.wait(0) for worker in workers] == [[], []]
    notifier = backend.notifier(database, tmp_path)
    notifier.notify_web("a1")
    assert [worker.wait(PATIENCE) for worker in workers] == [["a1"], ["a1"]]
    notifier.close()
    for worker in workers:
        worker.close()


def test_channels_reconnect_after_a_lost_connection(
    postgresql: Cluster, database: Database, tmp_path: Path
) -> None:
    listener, notifier = (
        backend.listener(database, tmp_path, channels.ENGINE),
        backend.notifier(database, tmp_path),
    )
    listener.wait(0)
    notifier.notify(channels.ENGINE)
    assert listener.wait(PATIENCE) == [""]
    disconnect(postgresql, database)

    def received() -> bool:
        notifier.notify(channels.ENGINE, "again")
        return bool(listener.wait(0.2))

    wait_for(received)
    listener.close()
    notifier.close()


def test_second_engine_leads_after_the_first_lost_its_connection(
    postgresql: Cluster, database: Database
) -> None:
    first, second = leader_lock_of(database), leader_lock_of(database)
    strategies = leader_lock_of(database, "strategies")
    assert (first.acquire(), second.acquire(), strategies.acquire()) == (True, False, True)
    with database.read() as connection:
        first.fence(connection)
    disconnect(postgresql, database)
    with database.read() as connection, pytest.raises(NotLeading):
        first.fence(connection)
    assert second.acquire()
    with database.read() as connection:
        second.fence(connection)
        with pytest.raises(NotLeading):
            first.fence(connection)
    for each in (first, second, strategies):
        each.release()


def test_writer_reconnects_after_a_lost_connection(postgresql: Cluster, database: Database) -> None:
    writer = Writer(database)
    assert writer.run(lambda connection: connection.execute(text("SELECT 1")).scalar()) == 1
    disconnect(postgresql, database)
    assert writer.run(lambda connection: connection.execute(text("SELECT 2")).scalar()) == 2
    writer.close()


def test_units_of_two_writers_run_one_after_another(database: Database) -> None:
    writers = [Writer(database), Writer(database)]
    writers[0].run(lambda connection: connection.execute(text("CREATE TABLE counted (n int)")))
    writers[0].run(lambda connection: connection.execute(text("INSERT INTO counted VALUES (0)")))

    def count_up(connection: Connection) -> None:
        n = connection.execute(text("SELECT n FROM counted")).scalar_one()
        connection.execute(text("UPDATE counted SET n = :n"), {"n": n + 1})

    def count_to_100(writer: Writer) -> None:
        for _ in range(100):
            writer.run(count_up)

    threads = [threading.Thread(target=count_to_100, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(text("SELECT n FROM counted")).scalar_one() == 200
    for writer in writers:
        writer.close()


@pytest.mark.parametrize("statement", ["SELECT pg_sleep(60)", "SELECT pg_advisory_lock(7)"])
def test_statement_that_hangs_is_ended_and_the_store_is_busy(on_postgresql: Database, statement: str) -> None:
    limited = Database(on_postgresql.url.render_as_string(hide_password=False), statement_seconds=1)
    writer = Writer(limited)
    with on_postgresql.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(7)"))
        with pytest.raises(StoreBusy) as ended:
            writer.run(lambda connection: connection.execute(text(statement)))
    assert (ended.value.code, ended.value.headers) == ("store_busy", {"Retry-After": "1"})
    assert writer.run(lambda connection: connection.execute(text("SELECT 1")).scalar_one()) == 1
    writer.close()
    limited.close()
