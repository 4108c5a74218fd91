"""Real processes: small Python programs instead of a strategy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from algosat.live.strategy_process import StrategyProcess
from tests.app.events import wait_for

PINGS = """
import os, time
pipe = int(os.environ["ALGOSAT_WATCHDOG_PIPE"])
os.write(pipe, b"ping\\n")
"""
SLEEPS = PINGS + "time.sleep(600)"
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


def test_ping_is_reported_once(start: Start) -> None:
    process = start(SLEEPS)
    wait_for(process.has_pinged)
    assert not process.has_pinged()
    assert process.ended() is None
    assert process.memory() > 2**20


def test_reason_is_read_after_the_process_has_ended(start: Start) -> None:
    process = start(PINGS + 'os.write(pipe, b"failed ValueError: no\\n"); raise SystemExit(1)')
    wait_for(lambda: process.ended() is not None)
    assert (process.ended(), process.failure) == (1, "ValueError: no")


def test_process_stops_on_request(start: Start) -> None:
    process = start(SLEEPS)
    wait_for(process.has_pinged)
    process.ask_to_stop()
    wait_for(lambda: process.ended() is not None)
    assert process.ended() == -15


def test_process_ends_when_its_supervisor_is_gone(start: Start) -> None:
    process = start(
        "import time\n"
        "from algosat.live.watchdog_pipe import WatchdogPipe\n"
        "watchdog = WatchdogPipe.inherited()\n"
        "while True:\n    watchdog.ping()\n    time.sleep(0.01)\n"
    )
    wait_for(process.has_pinged)
    process.close()
    wait_for(lambda: process.ended() is not None)
    assert process.ended() == 1


def test_memory_above_the_limit_raises_memory_error(start: Start) -> None:
    process = start(
        PINGS
        + "from algosat.live.process import limit_memory\n"
        + "limit_memory(128)\n"
        + "kept = bytearray(64 * 2**20)\n"
        + "try:\n    more = bytearray(256 * 2**20)\n"
        + 'except MemoryError:\n    os.write(pipe, b"failed MemoryError\\n")\n'
    )
    wait_for(lambda: process.ended() is not None)
    assert (process.ended(), process.failure) == (0, "MemoryError")
