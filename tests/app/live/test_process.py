"""A strategy's process, in a thread of the test: what it does is done on a real store."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

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
from tests.app.fakes import FakeClock
from tests.app.strategies.fakes import Scripted

CAUSE = Cause("anna", "correlation-1")
Run = Callable[[], None]


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def run(
    desk: Desk,
    settings: Settings,
    scripted: type[Scripted],
    stopping: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Run]:
    """Run the strategy `trend` until the test's script says stop, or it has waited for long enough."""
    monkeypatch.setattr(
        process, "limit_memory", lambda _megabytes: None
    )  # it would be the test's own process
    define(desk)

    def run() -> None:
        process.run(desk, "trend", settings.algosat.runtime_directory, stopping, WatchdogPipe(None))

    patience = threading.Timer(10, stopping.set)
    patience.start()
    yield run
    patience.cancel()


def define(desk: Desk, **parameters: Any) -> None:
    manage.define(desk, "trend", "scripted", {"symbols": [SHARE], "bar_seconds": 1, **parameters}, CAUSE)


def working(desk: Desk) -> list[Order]:
    with desk.database.read() as connection:
        return queries.working(connection, desk.account)


def kept_state(desk: Desk) -> dict[str, Any]:
    with desk.database.read() as connection:
        record = checkpoint.load(connection, "trend")
    assert record is not None
    return record.state


def stop_on(stopping: threading.Event, scripted: type[Scripted], callback: str) -> None:
    scripted.script[callback] = lambda *_: stopping.set()


def test_it_is_told_of_start_prices_and_stop(
    run: Run, scripted: type[Scripted], stopping: threading.Event
) -> None:
    stop_on(stopping, scripted, "quote")
    run()
    assert [told[0] for told in scripted.told] == ["start", "quote", "stop"]
    assert scripted.told[1][1].last == 100


def test_it_is_told_of_a_bar_when_its_time_and_a_moment_of_grace_have_passed(
    run: Run, scripted: type[Scripted], stopping: threading.Event, clock: FakeClock
) -> None:
    scripted.script["quote"] = lambda *_: clock.forward(seconds=2.5)
    stop_on(stopping, scripted, "bar")
    run()
    (bar,) = [told[1] for told in scripted.told if told[0] == "bar"]
    assert (bar.symbol, bar.seconds, bar.close) == (SHARE, 1, 100)


def test_it_is_told_of_changes_of_its_orders(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event
) -> None:
    def enter(own: Scripted) -> None:
        accepted(desk, own.buy(SHARE, Decimal(10)))

    scripted.script["start"] = enter
    stop_on(stopping, scripted, "order")
    run()
    (order,) = [told[1] for told in scripted.told if told[0] == "order"]
    assert (order.status, order.version) == ("open", 3)


def test_what_it_remembers_is_there_after_a_restart(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event
) -> None:
    def remember(own: Scripted, _quote: object) -> None:
        own.state["count"] = own.state.get("count", 0) + 1
        stopping.set()

    scripted.script["quote"] = remember
    for _ in range(3):
        stopping.clear()
        run()
    assert kept_state(desk) == {"count": 3}


def test_a_process_that_dies_between_two_orders_of_a_bar_places_each_of_them_once(
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
    assert kept_state(desk) == {"bars": 1}


def test_a_new_version_begins_with_what_it_carries_over(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event
) -> None:
    def remember(own: Scripted, _quote: object) -> None:
        own.state["tags"] = [*own.state.get("tags", []), own.parameters.tag]
        stopping.set()

    scripted.script["quote"] = remember
    for other in ({}, {}, {"tag": "other"}):
        stopping.clear()
        if other:
            define(desk, **other)
        run()
    assert kept_state(desk) == {"tags": ["other"]}


def test_what_was_kept_under_parameters_nobody_takes_any_more_is_dropped(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event
) -> None:
    def remember(own: Scripted, _quote: object) -> None:
        own.state["count"] = own.state.get("count", 0) + 1
        stopping.set()

    scripted.script["quote"] = remember
    run()
    renamed = update(strategy_versions).values(parameters={"symbols": [SHARE], "of_an_old_release": 1})
    desk.writer.run(lambda connection: connection.execute(renamed).rowcount)
    define(desk)
    stopping.clear()
    run()
    assert kept_state(desk) == {"count": 1}


def test_only_one_process_runs_a_strategy(
    run: Run, settings: Settings, scripted: type[Scripted], stopping: threading.Event
) -> None:
    with (
        process.only_one(settings.algosat.runtime_directory, "trend"),
        pytest.raises(Conflict, match="another process"),
    ):
        run()
    assert scripted.told == []


def test_what_is_not_defined_cannot_be_run(desk: Desk, tmp_path: Path, stopping: threading.Event) -> None:
    with pytest.raises(NotFound):
        process.run(desk, "nobody", tmp_path, stopping, WatchdogPipe(None))


def test_what_cannot_be_kept_ends_the_process(
    run: Run, scripted: type[Scripted], stopping: threading.Event
) -> None:
    scripted.script["start"] = lambda own: own.state.update(price=Decimal(1))
    with pytest.raises(TypeError, match="Decimal"):
        run()


def test_it_sees_new_prices_while_it_runs(
    run: Run, desk: Desk, scripted: type[Scripted], stopping: threading.Event, clock: FakeClock
) -> None:
    def look(_own: Scripted, quote: Any) -> None:
        if quote.last == 101:
            stopping.set()
        clock.forward(seconds=1)
        set_prices(desk, ALPHA="101")

    scripted.script["quote"] = look
    run()
    assert [int(told[1].last) for told in scripted.told if told[0] == "quote"] == [100, 101]


@pytest.mark.usefixtures("slow_store")
def test_a_store_that_is_away_is_waited_for_with_signs_of_life(desk: Desk) -> None:
    heard, pipe = os.pipe()
    process.await_store(desk.database, WatchdogPipe(pipe), sleep=lambda _: None)
    assert os.read(heard, 100) == b"beat\nbeat\n"
    os.close(heard)
    os.close(pipe)
