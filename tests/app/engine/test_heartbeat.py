from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import Connection, select

from algosat.config.settings import Settings
from algosat.engine.heartbeat import EngineHeartbeat
from algosat.store.leader_lock import NotLeading
from algosat.store.tables import heartbeats
from algosat.trading.desk import Desk
from tests.app.engine.rig import build_rig
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock


def last_beat(desk: Desk) -> datetime:
    with desk.database.read() as connection:
        at: datetime = connection.execute(select(heartbeats.c.at)).scalar_one()
    return at


def test_an_engine_that_lost_the_lead_learns_of_it_without_an_order_to_send(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    lost: list[str] = []

    def fence(_connection: Connection) -> None:
        if lost:
            raise NotLeading("another one leads")

    heartbeat = EngineHeartbeat(desk, build_rig(desk, exchange, settings.algosat.engine, fence).components)
    heartbeat.step()
    before = last_beat(desk)
    clock.forward(seconds=2)
    lost.append("lead")
    with pytest.raises(NotLeading):
        heartbeat.step()
    assert last_beat(desk) == before
