"""The main loop of a strategy's process, run in the test's own process on a real store."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from algosat.config.live import LiveSettings
from algosat.config.overrides import Override
from algosat.config.settings import Settings
from algosat.domain.orders import Order
from algosat.errors import Conflict, NotFound
from algosat.live import checkpoint, manage, process
from algosat.live.watchdog_pipe import WatchdogPipe
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.store.tables import strategy_versions
from algosat.trading.desk import Desk
from tests.app.desks import SHARE, accepted, set_prices
from tests.app.events import PATIENCE
from tests.app.fakes import FakeClock
from tests.app.strategies.fakes import Scripted

CAUSE = Cause("anna", "correlation-1")
Run = Callable[[], None]


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def stored() -> list[Override]:
    """Return the overrides in the store, which a test adds to."""
    return []


@pytest.fixture
def live(settings: Settings, stored: list[Override]) -> LiveSettings:
    return LiveSettings(settings, lambda: list(stored))


@pytest.fixture
def run(
    desk: Desk,
    live: LiveSettings,
    scripted: type[Scripted],
    stopping: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Run]:
    """Return a function that runs the strategy `trend` until the script stops it, or for PATIENCE seconds."""
    # The limit would hold for the test's own process.
    monkeypatch.setattr(process, "limit_memory", lambda _megabytes: None)
    define(desk)

    def run() -> None:
        process.run(desk, "trend", live, stopping, WatchdogPipe(None))

    timer = threading.Timer(PATIENCE, stopping.set)
    timer.start()
    yield run
    timer.cancel()


def define(desk: Desk, **parameters: Any) -> None:
    manage.define(desk, "trend", "scripted", {"symbols": [SHARE], "bar_seconds": 1, **parameters}, CAUSE)


def working(desk: Desk) -> list[Order]:
    with desk.database.read() as connection:
        return queries.working(connection, desk.account)


def stored_state(desk: Desk) -> dict[str, Any]:
    with desk.database.read() as connection:
        saved = checkpoint.load(connection, "trend")
    assert saved is not None
    return saved.state


def stop_on(stopping: threading.Event, scripted: type[Scripted], callback: str) -> None:
    scripted.script[callback] = lambda *_: stopping.set()


def test_start_quote_and_stop_are_delivered(
    run: Run, scripted: type[Scripted], stopping: threading.Event
) -> None:
    stop_on(stopping, scripted, "quote")
    run()
    assert [call[0] for call in scripted.calls] == ["start", "quote", "stop"]
    assert scripted.calls[1][1].last == 100


def test_bar_is_delivered_after_its_end_and_the_grace_period(
    run: Run, scripted: type[Scripted], stopping: threading.Event, clock: FakeClock
) -> None:
    scripted.script["quote"] = lambda *_: clock.forward(seconds=2.5)
    stop_on(stopping, scripted, "bar")
    run()
    (bar,) = [call[1] for call in scripted.calls if call[0] == "bar"]
    assert (bar.symbol, bar.seconds, bar.close) == (SHARE, 1, 100)


def test_changes_of_orders_are_delivered(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event
) -> None:
    def enter(own: Scripted) -> None:
        accepted(desk, own.buy(SHARE, Decimal(10)))

    scripted.script["start"] = enter
    stop_on(stopping, scripted, "order")
    run()
    (order,) = [call[1] for call in scripted.calls if call[0] == "order"]
    assert (order.status, order.version) == ("open", 3)


def test_state_survives_a_restart(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event
) -> None:
    def count_quote(own: Scripted, _quote: object) -> None:
        own.state["count"] = own.state.get("count", 0) + 1
        stopping.set()

    scripted.script["quote"] = count_quote
    for _ in range(3):
        stopping.clear()
        run()
    assert stored_state(desk) == {"count": 3}


def test_process_that_dies_between_two_orders_of_a_bar_places_each_once(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event, clock: FakeClock
) -> None:
    deaths = iter((True, False))

    def act(own: Scripted, _bar: object) -> None:
        own.state["bars"] = own.state.get("bars", 0) + 1
        own.buy(SHARE, Decimal(10))
        if next(deaths):
            raise ZeroDivisionError
        own.buy(SHARE, Decimal(5))
        stopping.set()

    scripted.script["quote"] = lambda *_: clock.forward(seconds=2.5)
    scripted.script["bar"] = act
    with pytest.raises(ZeroDivisionError):
        run()
    run()
    assert [order.terms.quantity for order in working(desk)] == [10, 5]
    assert stored_state(desk) == {"bars": 1}


def test_new_version_starts_with_the_migrated_state(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event
) -> None:
    def count_quote(own: Scripted, _quote: object) -> None:
        own.state["tags"] = [*own.state.get("tags", []), own.parameters.tag]
        stopping.set()

    scripted.script["quote"] = count_quote
    for other in ({}, {}, {"tag": "other"}):
        stopping.clear()
        if other:
            define(desk, **other)
        run()
    assert stored_state(desk) == {"tags": ["other"]}


def test_state_under_parameters_of_an_older_release_is_dropped(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event
) -> None:
    def count_quote(own: Scripted, _quote: object) -> None:
        own.state["count"] = own.state.get("count", 0) + 1
        stopping.set()

    scripted.script["quote"] = count_quote
    run()
    renamed = update(strategy_versions).values(parameters={"symbols": [SHARE], "of_an_old_release": 1})
    desk.writer.run(lambda connection: connection.execute(renamed).rowcount)
    define(desk)
    stopping.clear()
    run()
    assert stored_state(desk) == {"count": 1}


def test_only_one_process_runs_a_strategy(
    run: Run, settings: Settings, scripted: type[Scripted], stopping: threading.Event
) -> None:
    with (
        process.only_one(settings.algosat.runtime_directory, "trend"),
        pytest.raises(Conflict, match="another process"),
    ):
        run()
    assert scripted.calls == []


def test_undefined_strategy_cannot_be_run(desk: Desk, live: LiveSettings, stopping: threading.Event) -> None:
    with pytest.raises(NotFound):
        process.run(desk, "nobody", live, stopping, WatchdogPipe(None))


def test_running_strategy_follows_settings_that_change(
    run: Run, live: LiveSettings, stored: list[Override], stopping: threading.Event
) -> None:
    levels = []

    def change(settings: Settings) -> None:
        levels.append(settings.algosat.logging.level)
        stopping.set()

    live.on_change(change)
    stored.append(Override("logging", "level", "DEBUG"))
    run()
    assert levels == ["DEBUG"]


def test_state_that_is_not_json_ends_the_process(
    run: Run, scripted: type[Scripted], stopping: threading.Event
) -> None:
    scripted.script["start"] = lambda own: own.state.update(price=Decimal(1))
    with pytest.raises(TypeError, match="Decimal"):
        run()


def test_new_quotes_are_delivered_while_it_runs(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event, clock: FakeClock
) -> None:
    def change_price(_own: Scripted, quote: Any) -> None:
        if quote.last == 101:
            stopping.set()
        clock.forward(seconds=1)
        set_prices(desk, ALPHA="101")

    scripted.script["quote"] = change_price
    run()
    assert [int(call[1].last) for call in scripted.calls if call[0] == "quote"] == [100, 101]


@pytest.mark.usefixtures("slow_store")
def test_process_pings_while_it_waits_for_the_store(desk: Desk) -> None:
    reading, pipe = os.pipe()
    process.await_store(desk.database, WatchdogPipe(pipe), sleep=lambda _: None)
    assert os.read(reading, 100) == b"ping\nping\n"
    os.close(reading)
    os.close(pipe)
