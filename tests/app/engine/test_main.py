"""The engine as a process with the paper broker: standby, signals and notifications to systemd."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from algosat.cli import cli
from algosat.config.loader import ALGOSAT_FILE, load
from algosat.config.settings import Settings
from algosat.domain.machine import APPLICATION, Machine
from algosat.domain.orders import Status
from algosat.engine import main
from algosat.errors import WrongCredentials
from algosat.store import heartbeats, machines, queries
from algosat.store.database import Database
from algosat.store.heartbeats import OTHER_MACHINE
from algosat.store.leader_lock import leader_lock_of
from algosat.store.verify.verify import verify
from algosat.store.wakeup.unix_socket import SocketNotifier
from algosat.store.write_lock import exclusive
from algosat.store.writer import Writer
from algosat.systemd import machine_id
from algosat.trading import close
from algosat.trading import desk as desks
from algosat.trading.desk import Desk
from tests.app.builders import account_data, algosat_data, write_configuration
from tests.app.client import PASSWORD
from tests.app.desks import CAUSE, SHARE, buy, open_alerts, order_now
from tests.app.events import PATIENCE, wait_for
from tests.app.servers import engine

pytestmark = pytest.mark.slow


@pytest.fixture
def live_desk(settings: Settings) -> Iterator[Desk]:
    """Yield a desk whose instruments and quotes come from the engine."""
    database = Database(settings.algosat.database.url.get_secret_value())
    writer, notifier = Writer(database), SocketNotifier(settings.algosat.runtime_directory)
    yield desks.build_all(settings, database, writer, notifier).first
    writer.close()
    notifier.close()
    database.close()


def heartbeat(desk: Desk) -> dict[str, Any]:
    """Return the data of the engine's last heartbeat."""
    with desk.database.read() as connection:
        last = heartbeats.read(connection, heartbeats.ENGINE)
    return {} if last is None else last.data


def heartbeat_at(desk: Desk) -> datetime:
    """Return when the engine wrote its last heartbeat."""
    with desk.database.read() as connection:
        last = heartbeats.read(connection, heartbeats.ENGINE)
    assert last is not None
    return last.at


def leader(desk: Desk) -> int | None:
    """Return the process ID of the leading engine, or None."""
    data = heartbeat(desk)
    return data["pid"] if data.get("leading") else None


def test_standby_takes_over_and_fills_orders_when_the_leader_is_killed(
    directory: Path, live_desk: Desk
) -> None:
    desk = live_desk
    with engine(directory) as first, engine(directory) as second:
        wait_for(lambda: leader(desk) is not None)
        leading, standby = (first, second) if leader(desk) == first.pid else (second, first)
        before = buy(desk, limit=None)
        wait_for(lambda: order_now(desk, before).status is Status.FILLED)
        leading.send_signal(signal.SIGKILL)
        meanwhile = buy(desk, limit=None)
        wait_for(lambda: order_now(desk, meanwhile).status is Status.FILLED)
        wait_for(lambda: leader(desk) == standby.pid)
        closing = close.close_position(desk, SHARE, CAUSE).order
        wait_for(lambda: order_now(desk, closing).status is Status.FILLED)
    with desk.database.read() as connection:
        assert queries.open_positions(connection, desk.account) == []
        assert verify(connection).clean


def test_engine_notifies_systemd_reloads_on_sighup_and_ends_on_sigterm(
    directory: Path, live_desk: Desk
) -> None:
    path = directory / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(PATIENCE)
        with engine(directory, NOTIFY_SOCKET=str(path)) as process:
            assert b"READY=1" in systemd.recv(200)
            wait_for(lambda: b"WATCHDOG=1" in systemd.recv(200))
            edited = (directory / ALGOSAT_FILE).read_text().replace("level: INFO", "level: ERROR")
            (directory / ALGOSAT_FILE).write_text(edited.replace("port: 8080", "port: 9090"))
            process.send_signal(signal.SIGHUP)
            reloaded = b"STATUS=reloaded: logging.level; restart to use api.port"
            wait_for(lambda: systemd.recv(200) == reloaded)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
            wait_for(lambda: b"STOPPING=1" in systemd.recv(200))
    assert leader(live_desk) is None


@pytest.mark.sqlite
def test_store_without_schema_ends_the_process_with_the_remedy(directory: Path) -> None:
    (directory / "data" / "algosat.db").unlink()
    with engine(directory) as process:
        assert process.wait(PATIENCE) == 78
    assert "algosat db upgrade" in (directory / "engine.log").read_text()


def test_one_engine_trades_on_two_paper_accounts(directory: Path) -> None:
    settings = load(directory)
    url = settings.algosat.database.url.get_secret_value()
    accounts = [
        account_data(),
        account_data(name="dollars", currency="USD", charges__brokerage="none", paper__seed=8),
    ]
    write_configuration(directory, algosat_data(directory, accounts=accounts, database__url=url))
    settings = load(directory)
    database = Database(url)
    with closing(Writer(database)) as writer, closing(SocketNotifier(directory / "run")) as notifier:
        both = list(desks.build_all(settings, database, writer, notifier))
        with engine(directory):
            wait_for(lambda: leader(both[0]) is not None)
            orders = [buy(desk, limit=None) for desk in both]
            for desk, order in zip(both, orders, strict=True):
                wait_for(lambda: order_now(desk, order).status is Status.FILLED)  # noqa: B023 - in the round
            assert set(heartbeat(both[0])["accounts"]) == {"paper", "dollars"}
        with database.read() as connection:
            (first,), (second,) = (queries.open_positions(connection, desk.account) for desk in both)
            assert (first.account, second.account) == ("paper", "dollars")
            assert first.fees > 0 == second.fees
            assert verify(connection).clean
    database.close()


@pytest.mark.skipif(machine_id(APPLICATION) is None, reason="this machine has no id")
def test_store_of_another_machine_is_not_traded_until_it_is_adopted(directory: Path, live_desk: Desk) -> None:
    desk, run = live_desk, partial(CliRunner().invoke, cli)
    command = ["--config-dir", str(directory), "engine"]
    with engine(directory) as process:
        wait_for(lambda: leader(desk) is not None)
        held = buy(desk, limit=None)
        wait_for(lambda: order_now(desk, held).status is Status.FILLED)
        assert run([*command, "status"]).exit_code == 0
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    other = Machine("ab" * 16, "elsewhere")
    desk.writer.run(lambda connection: machines.write_owner(connection, other, desk.clock(), "test"))
    with engine(directory) as process:
        wait_for(lambda: OTHER_MACHINE in heartbeat(desk))
        assert ("engine.other_machine", "engine") in open_alerts(desk)
        assert buy(desk, limit=None).status is Status.DENIED
        closing = close.close_position(desk, SHARE, CAUSE).order
        last = heartbeat_at(desk)
        wait_for(lambda: heartbeat_at(desk) > last)  # the engine had the time to send the exit
        assert order_now(desk, closing).status is Status.CREATED
        owners = leader_lock_of(desk.database)
        assert owners.acquire()  # the waiting engine is in nobody's way
        owners.release()
        status = run([*command, "status"])
        assert (status.exit_code, "elsewhere (abababab)" in status.output) == (7, True)
        adopt = [*command, "adopt", "--reason", "moved here", "--password-stdin", "--user"]
        refused = run([*adopt, "trader"], input=f"{PASSWORD}\n")  # the right password, but no admin
        assert isinstance(refused.exception, WrongCredentials)
        assert leader(desk) is None
        adopted = run([*adopt, "admin"], input=f"{PASSWORD}\n")
        assert (adopted.exit_code, "algosat risk resume" in adopted.output) == (0, True), adopted.output
        wait_for(lambda: leader(desk) == process.pid)
        wait_for(lambda: order_now(desk, closing).status is Status.FILLED)
        assert ("engine.other_machine", "engine") not in open_alerts(desk)
        assert buy(desk, limit=None).status is Status.DENIED  # still halted
    with desk.database.read() as connection:
        assert verify(connection).clean


@pytest.mark.sqlite
def test_engine_waits_for_a_store_that_takes_no_writes(
    database: Database, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "_WRITE_SECONDS", 0.05)
    monkeypatch.setattr(main, "_STANDBY_SECONDS", 0.01)
    refused, stopping = threading.Semaphore(0), threading.Event()
    monkeypatch.setattr(main, "notify", lambda *_: refused.release())
    with ThreadPoolExecutor(2) as pool:
        with exclusive(database):
            waiting = pool.submit(main._await_writes, writer, stopping)  # noqa: SLF001
            assert all(refused.acquire(timeout=PATIENCE) for _ in range(2))
            assert not waiting.done()
        assert waiting.result(PATIENCE)
        with exclusive(database):
            stopped = pool.submit(main._await_writes, writer, stopping)  # noqa: SLF001
            assert refused.acquire(timeout=PATIENCE)
            stopping.set()
            assert not stopped.result(PATIENCE)
