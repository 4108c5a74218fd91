from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import Connection

from algosat.config.settings import Settings
from algosat.engine.heartbeat import EngineHeartbeat
from algosat.store import heartbeats
from algosat.store.leader_lock import NotLeading
from algosat.trading.desk import Desk
from tests.app.engine.rig import build_rig
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock


def last_heartbeat(desk: Desk) -> datetime | None:
    with desk.database.read() as connection:
        last = heartbeats.read(connection, heartbeats.ENGINE)
    return None if last is None else last.at


def test_heartbeat_of_an_engine_that_lost_the_lead_fails(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    lost: list[str] = []

    def fence(_connection: Connection) -> None:
        if lost:
            raise NotLeading("another one leads")

    heartbeat = EngineHeartbeat(desk, build_rig(desk, exchange, settings.algosat.engine, fence).components)
    heartbeat.step()
    before = last_heartbeat(desk)
    clock.forward(seconds=2)
    lost.append("lead")
    with pytest.raises(NotLeading):
        heartbeat.step()
    assert last_heartbeat(desk) == before
