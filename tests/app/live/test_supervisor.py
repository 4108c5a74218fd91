from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from algosat.config.settings import Settings
from algosat.errors import Component, Conflict, ErrorSeverity
from algosat.live import definitions, manage, status
from algosat.live import supervisor as module
from algosat.live.definitions import Wanted
from algosat.live.supervisor import Supervisor
from algosat.resilience import error_store
from algosat.resilience.error_analytics import read_analytics
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.writer import Writer
from algosat.trading.desk import Desk
from tests.app.fakes import FakeClock
from tests.app.live.fake_child import Children

CAUSE = Cause("anna", "correlation-1")
GOOD: dict[str, Any] = {"symbols": ["ALPHA-EQ"], "quantity": "10"}


@pytest.fixture
def children() -> Children:
    return Children()


@pytest.fixture
def supervisor(desk: Desk, children: Children) -> Supervisor:
    return Supervisor(desk, children, fence=lambda _: None)


def start(desk: Desk, *names: str) -> None:
    for name in names:
        manage.define(desk, name, "moving-average-crossover", GOOD, CAUSE)
        manage.start(desk, name, CAUSE)


def state_of(desk: Desk, name: str) -> str:
    with desk.database.read() as connection:
        reported = status.statuses(connection, desk.clock())
        return str(status.status_of(definitions.find(connection, name), reported)["state"])


def test_wanted_strategies_run_and_their_states_are_reported(
    desk: Desk, supervisor: Supervisor, children: Children
) -> None:
    start(desk, "trend", "range")
    supervisor.step(0.0)
    supervisor.step(1.0)
    assert sorted(children.names) == ["range", "trend"]
    assert state_of(desk, "trend") == "running"
    manage.stop(desk, "trend", CAUSE)
    supervisor.step(2.0)
    supervisor.step(3.0)
    assert (state_of(desk, "trend"), state_of(desk, "range")) == ("stopped", "running")


def test_strategy_that_keeps_crashing_is_given_up_and_others_go_on(
    desk: Desk, supervisor: Supervisor, children: Children
) -> None:
    start(desk, "trend", "range")
    for now in range(0, 200, 20):
        supervisor.step(float(now))
        for name, child in zip(children.names, children.launched, strict=True):
            if name == "trend":
                child.code, child.failure = 1, "ValueError: no"
        supervisor.step(now + 1.0)
    assert (state_of(desk, "trend"), state_of(desk, "range")) == ("failed", "running")
    assert children.names.count("trend") == 5
    with desk.database.read() as connection:
        assert definitions.find(connection, "trend").wanted is Wanted.STOPPED
        kinds = [event.kind for event in audit.events_of(connection, "trend")]
    assert (kinds.count("strategy.crashed"), kinds[-1]) == (5, "strategy.given_up")
    desk.errors.flush()
    with desk.database.read() as connection:
        noted = {each.code: each for each in error_store.latest(connection, limit=10)}
    crashed, given_up = noted["strategy_crashed"], noted["strategy_given_up"]
    assert (crashed.count, crashed.place, crashed.component) == (5, "strategy trend", Component.STRATEGIES)
    assert given_up.severity is ErrorSeverity.CRITICAL


def test_crashed_strategy_that_runs_again_is_a_recovery(
    desk: Desk, supervisor: Supervisor, children: Children, clock: FakeClock
) -> None:
    start(desk, "trend")
    supervisor.step(0.0)
    children.last.code, children.last.failure = 1, "ValueError: no"
    for now in (1.0, 20.0, 21.0, 22.0):
        supervisor.step(now)
    assert state_of(desk, "trend") == "running"
    desk.errors.flush()
    with desk.database.read() as connection:
        found = read_analytics(connection, clock(), timedelta(hours=1)).recoveries
    assert [(each.action, each.succeeded, each.failed) for each in found] == [("strategy_restart", 1, 0)]


def test_store_that_cannot_be_read_or_written_is_noted(
    desk: Desk, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(desk, "trend")
    with monkeypatch.context() as patched:

        def fail(*_: Any) -> None:
            raise OperationalError("", {}, Exception("disk I/O error"))

        patched.setattr(desk.writer, "run", fail)
        patched.setattr(definitions, "list_all", fail)
        supervisor.step(0.0)
    desk.errors.flush()
    with desk.database.read() as connection:
        noted = {(each.code, each.place) for each in error_store.latest(connection, limit=10)}
    assert noted == {("store_busy", "strategies reading"), ("store_busy", "strategies writing")}


def test_missing_heartbeat_makes_strategies_unsupervised(
    desk: Desk, supervisor: Supervisor, clock: FakeClock
) -> None:
    start(desk, "trend")
    assert state_of(desk, "trend") == "unsupervised"
    supervisor.step(0.0)
    assert state_of(desk, "trend") == "starting"
    clock.forward(seconds=11)
    assert state_of(desk, "trend") == "unsupervised"


def test_new_supervisor_reads_everything_from_the_store(desk: Desk, children: Children) -> None:
    start(desk, "trend")
    for _ in range(2):
        Supervisor(desk, children, fence=lambda _: None).step(0.0)
    assert children.names == ["trend", "trend"]


def test_stopping_supervisor_stops_all_strategies(desk: Desk, settings: Settings, children: Children) -> None:
    start(desk, "trend", "range")
    stopping, rounds = threading.Event(), []

    def alive() -> None:
        rounds.append(len(children.names))
        if len(rounds) == 3:
            stopping.set()

    runtime = settings.algosat.runtime_directory
    module.supervise(desk, children, lambda _: None, runtime, stopping, 0.01, alive)
    assert [child.asked_to_stop for child in children.launched] == [1, 1]
    with desk.database.read() as connection:
        assert {each.wanted for each in definitions.list_all(connection)} == {Wanted.RUNNING}


def test_failed_fence_stops_all_strategies(desk: Desk, settings: Settings, children: Children) -> None:
    start(desk, "trend")
    fences = iter((None, Conflict("another leads")))

    def fence(_connection: Connection) -> None:
        error = next(fences)
        if error is not None:
            raise error

    runtime = settings.algosat.runtime_directory
    with pytest.raises(Conflict):
        module.supervise(desk, children, fence, runtime, threading.Event(), 0.01, lambda: None)
    assert children.last.asked_to_stop == 1


def test_second_supervisor_waits_for_the_lead() -> None:
    free = iter((False, False, True))
    assert module.await_lead(lambda: next(free), threading.Event(), 0.0, lambda: None)


def test_waiting_supervisor_stops_on_request() -> None:
    stopping = threading.Event()
    assert not module.await_lead(lambda: False, stopping, 0.0, stopping.set)


def test_unreachable_store_stops_no_strategy(
    desk: Desk, supervisor: Supervisor, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(desk, "trend")
    supervisor.step(0.0)

    def unreachable(*_: object, **__: object) -> None:
        raise OperationalError("", {}, Exception("server closed the connection"))

    with monkeypatch.context() as server:
        server.setattr(Writer, "run", unreachable)
        supervisor.step(10.0)
    assert children.last.code is None
    supervisor.step(20.0)
    assert state_of(desk, "trend") == "running"
