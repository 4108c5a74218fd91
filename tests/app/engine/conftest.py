from __future__ import annotations

import pytest

from algosat.config.settings import Settings
from algosat.trading.desk import Desk
from tests.app.engine.floor import Floor, open_floor
from tests.app.exchange import FakeExchange
from tests.app.fakes import FakeClock


@pytest.fixture
def exchange(clock: FakeClock) -> FakeExchange:
    return FakeExchange(clock)


@pytest.fixture
def floor(desk: Desk, exchange: FakeExchange, settings: Settings) -> Floor:
    return open_floor(desk, exchange, settings.algosat.engine)
