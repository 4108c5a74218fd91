from __future__ import annotations

import os

import pytest

from algosat.live.watchdog_pipe import VARIABLE, SupervisorGone, WatchdogPipe


def test_started_by_hand_it_beats_for_nobody() -> None:
    watchdog = WatchdogPipe.inherited({})
    watchdog.beat()
    watchdog.failed("nobody hears it")
    assert VARIABLE not in os.environ


def test_beats_and_reasons_are_lines() -> None:
    listens, beats = os.pipe()
    watchdog = WatchdogPipe.inherited({VARIABLE: str(beats)})
    watchdog.beat()
    watchdog.failed("ValueError: two\nlines")
    assert os.read(listens, 1000) == b"beat\nfailed ValueError: two lines\n"
    os.close(listens)
    os.close(beats)


def test_when_nobody_listens_any_more_it_ends() -> None:
    listens, beats = os.pipe()
    os.close(listens)
    with pytest.raises(SupervisorGone):
        WatchdogPipe(beats).beat()
    os.close(beats)


def test_a_full_pipe_does_not_hold_it_up() -> None:
    listens, beats = os.pipe()
    os.set_blocking(beats, False)
    watchdog = WatchdogPipe(beats)
    for _ in range(20_000):
        watchdog.beat()
    assert os.read(listens, 5) == b"beat\n"
    os.close(listens)
    os.close(beats)
