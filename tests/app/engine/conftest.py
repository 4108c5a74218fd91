from __future__ import annotations

from collections.abc import Iterator

import pytest

from algosat.config.settings import Settings
from algosat.trading.desk import Desk
from tests.app.desks import open_desk
from tests.app.engine.floor import Floor, open_floor
from tests.app.exchange import FakeExchange
from tests.app.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock) as desk:
        yield desk


@pytest.fixture
def exchange(clock: FakeClock) -> FakeExchange:
    return FakeExchange(clock)


@pytest.fixture
def floor(desk: Desk, exchange: FakeExchange, settings: Settings) -> Floor:
    return open_floor(desk, exchange, settings.algosat.engine)
