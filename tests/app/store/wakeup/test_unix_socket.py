from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from algosat.store.wakeup.unix_socket import SocketListener, SocketNotifier, web
from tests.app.events import PATIENCE


@pytest.fixture
def notifier(tmp_path: Path) -> Iterator[SocketNotifier]:
    notifier = SocketNotifier(tmp_path)
    yield notifier
    notifier.close()


def test_messages_that_queued_up_arrive_together(notifier: SocketNotifier, tmp_path: Path) -> None:
    listener = SocketListener(tmp_path, "engine")
    notifier.notify("engine", "one")
    notifier.notify("engine", "two")
    assert listener.wait(PATIENCE) == ["one", "two"]
    listener.close()


def test_silence_is_an_empty_answer(tmp_path: Path) -> None:
    listener = SocketListener(tmp_path, "engine")
    assert listener.wait(0.01) == []
    assert listener.wait(0) == []
    listener.close()


def test_every_web_worker_hears_the_engine(notifier: SocketNotifier, tmp_path: Path) -> None:
    mine, other = SocketListener(tmp_path, web()), SocketListener(tmp_path, "web-1")
    notifier.notify_web("a1")
    assert (mine.wait(PATIENCE), other.wait(PATIENCE)) == (["a1"], ["a1"])
    mine.close()
    other.close()


def test_ringing_nobody_is_no_error(notifier: SocketNotifier, tmp_path: Path) -> None:
    notifier.notify("engine", "anyone?")
    assert list(tmp_path.iterdir()) == []


def test_a_dead_listeners_bell_is_taken_down(notifier: SocketNotifier, tmp_path: Path) -> None:
    listener = SocketListener(tmp_path, "web-1")
    listener._socket.close()  # noqa: SLF001 - as SIGKILL would
    notifier.notify_web("a1")
    assert list(tmp_path.glob("*.sock")) == []


def test_a_full_bell_never_blocks_the_ringer(notifier: SocketNotifier, tmp_path: Path) -> None:
    listener = SocketListener(tmp_path, "engine")
    for number in range(5000):
        notifier.notify("engine", str(number))
    assert listener.wait(PATIENCE)[0] == "0"
    listener.close()
