from __future__ import annotations

import pytest

from algosat.config.settings import Settings
from algosat.trading.desk import Desk
from tests.app.engine.rig import EngineRig, open_floor
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock


@pytest.fixture
def exchange(clock: FakeClock) -> FakeExchange:
    return FakeExchange(clock)


@pytest.fixture
def rig(desk: Desk, exchange: FakeExchange, settings: Settings) -> EngineRig:
    return open_floor(desk, exchange, settings.algosat.engine)
