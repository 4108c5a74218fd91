from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from algosat.live import restart_policy
from algosat.live.definitions import Definition, Version, Wanted
from algosat.live.supervised import State, SupervisedStrategy
from tests.app.live.fake_child import Children
from tests.app.strategies.fakes import MORNING

VERSION = Version("trend", 1, "scripted", {"memory_mb": 512}, MORNING, "anna")
RUNNING = Definition(VERSION, Wanted.RUNNING, 1, None, MORNING, "anna")
STOPPED = replace(RUNNING, wanted=Wanted.STOPPED)


class Watched:
    """A ward, with what it told of crashes."""

    def __init__(self) -> None:
        self.children = Children()
        self.crashes: list[str] = []
        self.given_up: list[str] = []
        self.supervised = SupervisedStrategy(
            self.children,
            lambda _, reason: self.crashes.append(reason),
            lambda _, why: self.given_up.append(why),
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


def test_what_is_wanted_is_started_and_runs_once_it_gives_a_sign_of_life(watched: Watched) -> None:
    watched.step()
    assert (watched.children.names, watched.state()) == (["trend"], State.STARTING)
    watched.step()
    assert watched.state() is State.RUNNING


def test_what_is_not_wanted_is_not_started(watched: Watched) -> None:
    watched.step(STOPPED)
    assert (watched.children.names, watched.state(STOPPED)) == ([], State.STOPPED)


def test_it_is_asked_to_stop_once_and_that_is_no_crash(watched: Watched) -> None:
    watched.step()
    watched.children.last.stops = False
    watched.step(STOPPED)
    watched.step(STOPPED)
    assert (watched.children.last.asked_to_stop, watched.state(STOPPED)) == (1, State.STOPPING)
    watched.children.last.code = 0
    watched.step(STOPPED)
    assert (watched.supervised.is_alive, watched.crashes) == (False, [])


def test_one_that_does_not_stop_is_killed(watched: Watched) -> None:
    watched.step()
    watched.children.last.stops = False
    watched.step(STOPPED)
    watched.step(STOPPED, after=restart_policy.STOP_SECONDS - 0.1)
    assert watched.children.last.killed == 0
    watched.step(STOPPED, after=0.2)
    watched.step(STOPPED)
    assert (watched.children.last.killed, watched.supervised.is_alive, watched.crashes) == (1, False, [])


def test_a_new_version_is_another_process(watched: Watched) -> None:
    watched.step()
    newer = replace(RUNNING, latest=replace(VERSION, version=2))
    for _ in range(3):
        watched.step(newer)
    assert len(watched.children.names) == 2
    assert watched.supervised.status(newer)["run"] == "1.2"


def test_a_crash_is_told_with_its_own_words_and_it_is_started_again_after_a_pause(watched: Watched) -> None:
    watched.step()
    crash(watched, failure="ZeroDivisionError: division by zero")
    assert watched.crashes == ["ZeroDivisionError: division by zero"]
    assert watched.state() is State.WAITING
    watched.step(after=0.9)
    assert len(watched.children.names) == 1
    watched.step(after=0.2)
    assert len(watched.children.names) == 2


@pytest.mark.parametrize(("code", "words"), [(-9, "signal 9"), (0, "by itself"), (3, "exit code 3")])
def test_an_end_without_words_is_told_by_its_code(watched: Watched, code: int, words: str) -> None:
    watched.step()
    crash(watched, code)
    assert words in watched.crashes[0]


def test_pauses_grow_and_after_the_limit_it_is_given_up(watched: Watched) -> None:
    pauses = []
    for _ in range(restart_policy.CRASH_LIMIT):
        began = watched.now
        number = len(watched.children.names)
        while len(watched.children.names) == number:
            watched.step(after=0.5)
        pauses.append(watched.now - began)
        crash(watched)
    assert pauses == [0.5, 1, 2, 4, 8]
    assert len(watched.given_up) == 1
    assert "5 crashes" in watched.given_up[0]


def test_crashes_of_long_ago_are_forgiven(watched: Watched) -> None:
    for _ in range(3 * restart_policy.CRASH_LIMIT):
        watched.step(after=restart_policy.WINDOW)
        crash(watched)
    assert watched.given_up == []


def test_a_new_start_begins_with_a_clean_slate(watched: Watched) -> None:
    for _ in range(restart_policy.CRASH_LIMIT):
        watched.step(after=20)
        crash(watched)
    failed = replace(STOPPED, failure="5 crashes")
    watched.step(failed, after=20)
    assert watched.state(failed) is State.FAILED
    again = replace(RUNNING, generation=2)
    watched.step(again)
    watched.step(again)
    assert watched.state(again) is State.RUNNING
    assert watched.supervised.status(again)["crashes"] == 0


def test_one_that_hangs_is_killed_and_started_again(watched: Watched) -> None:
    watched.step()
    watched.step()
    watched.children.last.beats = False
    watched.step(after=restart_policy.PATIENCE - 1)
    assert watched.children.last.killed == 0
    watched.step(after=1)
    watched.step()
    assert (watched.children.launched[0].killed, len(watched.crashes)) == (1, 1)
    assert "no sign of life" in watched.crashes[0]
    watched.step(after=1)
    assert len(watched.children.names) == 2


def test_one_that_takes_too_much_memory_is_killed(watched: Watched) -> None:
    watched.step()
    watched.children.last.bytes = 700 * 2**20
    watched.step()
    watched.step()
    assert "700 MiB" in watched.crashes[0]


def test_a_process_that_cannot_be_started_is_a_crash() -> None:
    crashes: list[str] = []

    def launch(_name: str) -> Any:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    supervised = SupervisedStrategy(launch, lambda _, reason: crashes.append(reason), lambda *_: None)
    supervised.step(RUNNING, 0.0)
    assert "Resource temporarily unavailable" in crashes[0]


def test_when_the_supervisor_goes_it_is_asked_to_stop(watched: Watched) -> None:
    watched.step()
    watched.step(None)
    watched.step(None)
    assert (watched.children.last.asked_to_stop, watched.supervised.is_alive) == (1, False)
