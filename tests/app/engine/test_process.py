"""The engine as the process that systemd starts, with the paper broker, a standby, signals and sd_notify."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from algosat.config.settings import Settings
from algosat.domain.orders import Status
from algosat.store import queries
from algosat.store.database import Database
from algosat.store.tables import heartbeats
from algosat.store.verify.verify import verify
from algosat.store.wakeup.unix_socket import SocketNotifier
from algosat.store.writer import Writer
from algosat.trading import close
from algosat.trading import desk as desks
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SHARE, buy, order_now
from tests.app.events import PATIENCE, wait_for
from tests.app.servers import engine

pytestmark = pytest.mark.slow


@pytest.fixture
def live_desk(settings: Settings) -> Iterator[Desk]:
    """A desk without a market of its own: the engine brings it."""
    database = Database(settings.algosat.database.url.get_secret_value())
    writer, notifier = Writer(database), SocketNotifier(settings.algosat.runtime_directory)
    yield desks.build(settings, database, writer, notifier)
    writer.close()
    notifier.close()
    database.close()


def heartbeat(desk: Desk) -> dict[str, Any]:
    """What the engine last said of itself."""
    with desk.database.read() as connection:
        statement = select(heartbeats.c.data).where(heartbeats.c.process == "engine")
        return connection.execute(statement).scalar() or {}


def leader(desk: Desk) -> int | None:
    """The process that leads, as the store knows it."""
    said = heartbeat(desk)
    return said["pid"] if said.get("leading") else None


def test_an_order_is_filled_and_the_next_engine_goes_on_where_the_killed_one_ended(
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
        assert leader(desk) == standby.pid
        closing = close.close_position(desk, SHARE, CAUSE).order
        wait_for(lambda: order_now(desk, closing).status is Status.FILLED)
    with desk.database.read() as connection:
        assert queries.open_positions(connection, desk.account) == []
        assert verify(connection).clean


def test_it_tells_systemd_that_it_lives_and_ends_when_told(directory: Path, live_desk: Desk) -> None:
    path = directory / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(PATIENCE)
        with engine(directory, NOTIFY_SOCKET=str(path)) as process:
            assert b"READY=1" in systemd.recv(200)
            wait_for(lambda: b"WATCHDOG=1" in systemd.recv(200))
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
            wait_for(lambda: b"STOPPING=1" in systemd.recv(200))
    assert leader(live_desk) is None


@pytest.mark.sqlite
def test_a_store_without_schema_is_refused_with_the_remedy(directory: Path) -> None:
    (directory / "data" / "algosat.db").unlink()
    with engine(directory) as process:
        assert process.wait(PATIENCE) == 78
    assert "algosat db upgrade" in (directory / "engine.log").read_text()
