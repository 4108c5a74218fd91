from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from algosat.store.wakeup import Bell, Ringer, web


@pytest.fixture
def ringer(tmp_path: Path) -> Iterator[Ringer]:
    ringer = Ringer(tmp_path)
    yield ringer
    ringer.close()


def test_messages_that_queued_up_arrive_together(ringer: Ringer, tmp_path: Path) -> None:
    bell = Bell(tmp_path, "engine")
    ringer.ring("engine", "one")
    ringer.ring("engine", "two")
    assert bell.wait(1) == ["one", "two"]
    bell.close()


def test_silence_is_an_empty_answer(tmp_path: Path) -> None:
    bell = Bell(tmp_path, "engine")
    assert bell.wait(0.01) == []
    assert bell.wait(0) == []
    bell.close()


def test_every_web_worker_hears_the_engine(ringer: Ringer, tmp_path: Path) -> None:
    mine, other = Bell(tmp_path, web()), Bell(tmp_path, "web-1")
    ringer.ring_web("a1")
    assert (mine.wait(1), other.wait(1)) == (["a1"], ["a1"])
    mine.close()
    other.close()


def test_ringing_nobody_is_no_error(ringer: Ringer, tmp_path: Path) -> None:
    ringer.ring("engine", "anyone?")
    assert list(tmp_path.iterdir()) == []


def test_a_dead_listeners_bell_is_taken_down(ringer: Ringer, tmp_path: Path) -> None:
    bell = Bell(tmp_path, "web-1")
    bell._socket.close()  # noqa: SLF001 - as SIGKILL would
    ringer.ring_web("a1")
    assert list(tmp_path.glob("*.sock")) == []


def test_a_full_bell_never_blocks_the_ringer(ringer: Ringer, tmp_path: Path) -> None:
    bell = Bell(tmp_path, "engine")
    for number in range(5000):
        ringer.ring("engine", str(number))
    assert bell.wait(1)[0] == "0"
    bell.close()
