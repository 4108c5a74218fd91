"""Real processes: small Python programs in the place of a strategy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from algosat.live.strategy_process import StrategyProcess
from tests.app.events import wait_for

BEATS = """
import os, time
pipe = int(os.environ["ALGOSAT_PULSE"])
os.write(pipe, b"beat\\n")
"""
SLEEPS = BEATS + "time.sleep(600)"
Start = Callable[[str], StrategyProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[StrategyProcess] = []

    def run(program: str) -> StrategyProcess:
        processes.append(StrategyProcess([sys.executable, "-c", program]))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        wait_for(lambda process=process: process.ended() is not None)  # type: ignore[misc]
        process.close()


def test_a_beat_is_heard_once(start: Start) -> None:
    process = start(SLEEPS)
    wait_for(process.has_beaten)
    assert not process.has_beaten()
    assert process.ended() is None
    assert process.memory() > 2**20


def test_its_last_words_are_heard_though_it_has_ended(start: Start) -> None:
    process = start(BEATS + 'os.write(pipe, b"failed ValueError: no\\n"); raise SystemExit(1)')
    wait_for(lambda: process.ended() is not None)
    assert (process.ended(), process.failure) == (1, "ValueError: no")


def test_it_can_be_asked_to_stop(start: Start) -> None:
    process = start(SLEEPS)
    wait_for(process.has_beaten)
    process.ask_to_stop()
    wait_for(lambda: process.ended() is not None)
    assert process.ended() == -15


def test_it_ends_when_its_supervisor_has_died(start: Start) -> None:
    process = start(
        "import time\n"
        "from algosat.live.watchdog_pipe import WatchdogPipe\n"
        "watchdog = WatchdogPipe.inherited()\n"
        "while True:\n    watchdog.beat()\n    time.sleep(0.01)\n"
    )
    wait_for(process.has_beaten)
    process.close()
    wait_for(lambda: process.ended() is not None)
    assert process.ended() == 1


def test_memory_beyond_the_limit_is_refused_to_it(start: Start) -> None:
    process = start(
        BEATS
        + "from algosat.live.memory import limit_memory\n"
        + "limit_memory(128)\n"
        + "held = bytearray(64 * 2**20)\n"
        + "try:\n    more = bytearray(256 * 2**20)\n"
        + 'except MemoryError:\n    os.write(pipe, b"failed MemoryError\\n")\n'
    )
    wait_for(lambda: process.ended() is not None)
    assert (process.ended(), process.failure) == (0, "MemoryError")
