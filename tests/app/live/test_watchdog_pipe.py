from __future__ import annotations

import os

import pytest

from algosat.live.watchdog_pipe import VARIABLE, SupervisorGone, WatchdogPipe


def test_process_started_by_hand_has_no_pipe() -> None:
    watchdog = WatchdogPipe.inherited({})
    watchdog.ping()
    watchdog.failed("not read")
    assert VARIABLE not in os.environ


def test_pings_and_failures_are_written_as_lines() -> None:
    reading, writing = os.pipe()
    watchdog = WatchdogPipe.inherited({VARIABLE: str(writing)})
    watchdog.ping()
    watchdog.failed("ValueError: two\nlines")
    assert os.read(reading, 1000) == b"ping\nfailed ValueError: two lines\n"
    os.close(reading)
    os.close(writing)


def test_pipe_without_a_reader_raises_supervisor_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(SupervisorGone):
        WatchdogPipe(writing).ping()
    os.close(writing)


def test_full_pipe_does_not_block() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watchdog = WatchdogPipe(writing)
    for _ in range(20_000):
        watchdog.ping()
    assert os.read(reading, 5) == b"ping\n"
    os.close(reading)
    os.close(writing)
