from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from flask import Flask

from algosat.api.context import NAME, Services
from algosat.config.settings import Settings
from algosat.domain.risk.limits import Limits
from algosat.strategies import catalog
from tests.app.cases import world as worlds
from tests.app.cases.strategies import BuyEveryBar, Once
from tests.app.cases.world import World
from tests.app.fakes import FakeClock


class WorldAt(Protocol):
    def __call__(self, at: datetime, **limits: Any) -> World: ...


@pytest.fixture
def world_at(tmp_path: Path, empty_url: str) -> Iterator[WorldAt]:
    """Return a function that opens a world at the given time, with other limits if they are named.

    A test may call it once.
    """
    with ExitStack() as stack:
        yield lambda at, **limits: stack.enter_context(worlds.open_world(tmp_path, empty_url, at, **limits))


@pytest.fixture
def served(app: Flask, services: Services, settings: Settings, clock: FakeClock) -> World:
    """Return a world behind the API, in a market that is always open, with the role's limits."""
    desk = replace(services.desk, defaults=_limits(settings))
    world = worlds.build(desk, settings.algosat, clock)
    app.extensions[NAME] = replace(services, desk=world.desk, clock=clock)
    return world


@pytest.fixture
def _strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the strategies of the cases to the catalogue."""
    monkeypatch.setitem(catalog.CLASSES, "once", Once)
    monkeypatch.setitem(catalog.CLASSES, "buy-every-bar", BuyEveryBar)


def _limits(settings: Settings) -> Limits:
    risk = settings.algosat.risk
    return Limits(**type(risk).model_validate(worlds.role_limits()).model_dump())
