from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from algosat.live.definitions import Definition, StrategyVersion, Wanted
from algosat.live.supervised import (
    CRASH_LIMIT,
    CRASH_WINDOW,
    STOP_SECONDS,
    WATCHDOG_SECONDS,
    ProcessState,
    SupervisedStrategy,
)
from tests.app.live.fake_child import Children
from tests.app.strategies.fakes import MORNING

VERSION = StrategyVersion("trend", 1, "scripted", {"memory_mb": 512}, MORNING, "anna")
RUNNING = Definition(VERSION, Wanted.RUNNING, 1, None, MORNING, "anna", "paper")
STOPPED = replace(RUNNING, wanted=Wanted.STOPPED)


class Watched:
    """A supervised strategy and the crashes it reported."""

    def __init__(self) -> None:
        self.children = Children()
        self.crashes: list[str] = []
        self.given_up: list[str] = []
        self.supervised = SupervisedStrategy(
            self.children,
            lambda _, reason: self.crashes.append(reason),
            lambda _, reason: self.given_up.append(reason),
        )
        self.now = 0.0

    def step(self, wanted: Definition | None = RUNNING, after: float = 0.0) -> None:
        self.now += after
        self.supervised.step(wanted, self.now)

    def state(self, definition: Definition = RUNNING) -> Any:
        return self.supervised.status(definition)["state"]


@pytest.fixture
def watched() -> Watched:
    return Watched()


def crash(watched: Watched, code: int = 1, failure: str | None = None) -> None:
    watched.children.last.code = code
    watched.children.last.failure = failure
    watched.step()


def test_wanted_strategy_is_running_after_its_first_ping(watched: Watched) -> None:
    watched.step()
    assert (watched.children.names, watched.state()) == (["trend"], ProcessState.STARTING)
    watched.step()
    assert watched.state() is ProcessState.RUNNING


def test_stopped_strategy_is_not_started(watched: Watched) -> None:
    watched.step(STOPPED)
    assert (watched.children.names, watched.state(STOPPED)) == ([], ProcessState.STOPPED)


def test_strategy_is_asked_to_stop_once_and_that_is_no_crash(watched: Watched) -> None:
    watched.step()
    watched.children.last.stops = False
    watched.step(STOPPED)
    watched.step(STOPPED)
    assert (watched.children.last.asked_to_stop, watched.state(STOPPED)) == (1, ProcessState.STOPPING)
    watched.children.last.code = 0
    watched.step(STOPPED)
    assert (watched.supervised.is_alive, watched.crashes) == (False, [])


def test_strategy_that_does_not_stop_is_killed(watched: Watched) -> None:
    watched.step()
    watched.children.last.stops = False
    watched.step(STOPPED)
    watched.step(STOPPED, after=STOP_SECONDS - 0.1)
    assert watched.children.last.killed == 0
    watched.step(STOPPED, after=0.2)
    watched.step(STOPPED)
    assert (watched.children.last.killed, watched.supervised.is_alive, watched.crashes) == (1, False, [])


def test_new_version_runs_in_a_new_process(watched: Watched) -> None:
    watched.step()
    newer = replace(RUNNING, latest=replace(VERSION, version=2))
    for _ in range(3):
        watched.step(newer)
    assert len(watched.children.names) == 2
    assert watched.supervised.status(newer)["run"] == "1.2"


def test_crash_is_reported_with_its_reason_and_restarted_after_a_delay(watched: Watched) -> None:
    watched.step()
    crash(watched, failure="ZeroDivisionError: division by zero")
    assert watched.crashes == ["ZeroDivisionError: division by zero"]
    assert watched.state() is ProcessState.WAITING
    watched.step(after=0.9)
    assert len(watched.children.names) == 1
    watched.step(after=0.2)
    assert len(watched.children.names) == 2


@pytest.mark.parametrize(("code", "reason"), [(-9, "signal 9"), (0, "without an error"), (3, "exit code 3")])
def test_end_without_a_reason_is_described_by_its_exit_code(watched: Watched, code: int, reason: str) -> None:
    watched.step()
    crash(watched, code)
    assert reason in watched.crashes[0]


def test_delays_double_and_the_strategy_is_given_up_at_the_crash_limit(watched: Watched) -> None:
    delays = []
    for _ in range(CRASH_LIMIT):
        began = watched.now
        number = len(watched.children.names)
        while len(watched.children.names) == number:
            watched.step(after=0.5)
        delays.append(watched.now - began)
        crash(watched)
    assert delays == [0.5, 1, 2, 4, 8]
    assert len(watched.given_up) == 1
    assert "5 crashes" in watched.given_up[0]


def test_old_crashes_do_not_count(watched: Watched) -> None:
    for _ in range(3 * CRASH_LIMIT):
        watched.step(after=CRASH_WINDOW)
        crash(watched)
    assert watched.given_up == []


def test_new_start_resets_the_crash_count(watched: Watched) -> None:
    for _ in range(CRASH_LIMIT):
        watched.step(after=20)
        crash(watched)
    failed = replace(STOPPED, failure="5 crashes")
    watched.step(failed, after=20)
    assert watched.state(failed) is ProcessState.FAILED
    again = replace(RUNNING, generation=2)
    watched.step(again)
    watched.step(again)
    assert watched.state(again) is ProcessState.RUNNING
    assert watched.supervised.status(again)["crashes"] == 0


def test_strategy_that_hangs_is_killed_and_restarted(watched: Watched) -> None:
    watched.step()
    watched.step()
    watched.children.last.pings = False
    watched.step(after=WATCHDOG_SECONDS - 1)
    assert watched.children.last.killed == 0
    watched.step(after=1)
    watched.step()
    assert (watched.children.launched[0].killed, len(watched.crashes)) == (1, 1)
    assert "did not respond" in watched.crashes[0]
    watched.step(after=1)
    assert len(watched.children.names) == 2


def test_strategy_above_its_memory_limit_is_killed(watched: Watched) -> None:
    watched.step()
    watched.children.last.bytes = 700 * 2**20
    watched.step()
    watched.step()
    assert "700 MiB" in watched.crashes[0]


def test_process_that_cannot_be_started_counts_as_a_crash() -> None:
    crashes: list[str] = []

    def launch(_name: str) -> Any:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    supervised = SupervisedStrategy(launch, lambda _, reason: crashes.append(reason), lambda *_: None)
    supervised.step(RUNNING, 0.0)
    assert "Resource temporarily unavailable" in crashes[0]


def test_strategy_is_asked_to_stop_when_the_supervisor_ends(watched: Watched) -> None:
    watched.step()
    watched.step(None)
    watched.step(None)
    assert (watched.children.last.asked_to_stop, watched.supervised.is_alive) == (1, False)
