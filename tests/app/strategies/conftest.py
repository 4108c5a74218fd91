from __future__ import annotations

from collections.abc import Iterator

import pytest

from algosat.config.settings import Settings
from algosat.strategies import catalog
from algosat.trading.desk import Desk
from tests.app.desks import open_desk
from tests.app.fakes import FakeClock
from tests.app.strategies.doubles import Scripted


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock) as desk:
        yield desk


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    """The scripted strategy, in the catalogue, with nothing told and nothing to do."""
    monkeypatch.setitem(catalog.CLASSES, "scripted", Scripted)
    Scripted.script.clear()
    Scripted.told.clear()
    return Scripted
