from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any, Final, Protocol

import pytest
from flask import Flask
from sqlalchemy import update

from algosat.api.context import NAME, Services
from algosat.backtest.limits import UNLIMITED
from algosat.config.settings import Settings
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.market_phases import packaged
from algosat.domain.risk.limits import Limits
from algosat.store.tables import balances
from algosat.strategies import catalog
from algosat.trading.desk import Desks
from tests.app.cases import world as worlds
from tests.app.cases.strategies import BuyEveryBar, Once
from tests.app.cases.world import World
from tests.app.fakes import FakeClock

_ENDS: Final = ((15, 14, 58), (15, 29, 58), (15, 39, 58))  # of continuous trading: the last moments
_OPTION_STEPS: Final = 8  # an option is quoted at least once in as many steps of the paper market


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
    app.extensions[NAME] = replace(services, desks=Desks(world.desk), clock=clock)
    return world


@pytest.fixture
def served_at(app: Flask, services: Services, settings: Settings, clock: FakeClock) -> WorldAt:
    """Return a function that opens a world behind the API, at a time of the exchange's calendar.

    The feed was alive until the end of continuous trading. Limits are wide unless they are named, and
    `special` adds special sessions to the calendar.
    """

    def open_at(at: datetime, **limits: Any) -> World:
        sessions = packaged().extended(special=limits.pop("special", {}))
        algosat = settings.algosat
        changed = algosat.model_copy(
            update={
                "accounts": (algosat.accounts[0].model_copy(update={"calendar": "exchange"}),),
                "engine": algosat.engine.model_copy(update={"orders_per_second": 10_000}),
            }
        )
        clock.at = worlds.ist(2026, 11, 20, 15, 10)
        allowed = replace(UNLIMITED, **{"stale_quote_seconds": 30.0, **limits})
        desk = replace(services.desk, calendar=ExchangeCalendar(sessions), defaults=allowed)
        world = worlds.build(desk, changed, clock)
        rich = update(balances).values(deposited=Decimal(10**9))
        desk.writer.run(lambda connection: connection.execute(rich))
        app.extensions[NAME] = replace(services, desks=Desks(world.desk), clock=clock)
        for day, end in product((20, 23), _ENDS):
            moment = worlds.ist(2026, 11, day, *end)
            if moment < at:
                world.jump(moment)
        world.jump(at)
        for _ in range(_OPTION_STEPS):
            world.receive(*world.broker.step())
        return world

    return open_at


@pytest.fixture
def _strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the strategies of the cases to the catalogue."""
    monkeypatch.setitem(catalog.CLASSES, "once", Once)
    monkeypatch.setitem(catalog.CLASSES, "buy-every-bar", BuyEveryBar)


def _limits(settings: Settings) -> Limits:
    risk = settings.algosat.risk
    return Limits(**type(risk).model_validate(worlds.role_limits()).model_dump())
