from __future__ import annotations

import pytest

from algosat.config.settings import Settings
from algosat.trading.desk import Desk
from tests.app.engine.rig import EngineRig, build_rig
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock


@pytest.fixture
def exchange(clock: FakeClock) -> FakeExchange:
    return FakeExchange(clock)


@pytest.fixture
def rig(desk: Desk, exchange: FakeExchange, settings: Settings) -> EngineRig:
    return build_rig(desk, exchange, settings.algosat.engine)
