from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from algosat.store.wakeup import channels
from algosat.store.wakeup.unix_socket import SocketListener, SocketNotifier
from tests.app.events import PATIENCE


@pytest.fixture
def notifier(tmp_path: Path) -> Iterator[SocketNotifier]:
    notifier = SocketNotifier(tmp_path)
    yield notifier
    notifier.close()


def test_queued_messages_arrive_together(notifier: SocketNotifier, tmp_path: Path) -> None:
    listener = SocketListener(tmp_path, "engine")
    notifier.notify("engine", "one")
    notifier.notify("engine", "two")
    assert listener.wait(PATIENCE) == ["one", "two"]
    listener.close()


def test_wait_without_messages_returns_an_empty_list(tmp_path: Path) -> None:
    listener = SocketListener(tmp_path, "engine")
    assert listener.wait(0.01) == []
    assert listener.wait(0) == []
    listener.close()


def test_notify_web_reaches_every_web_worker(notifier: SocketNotifier, tmp_path: Path) -> None:
    mine, other = SocketListener(tmp_path, channels.web()), SocketListener(tmp_path, channels.web(1))
    notifier.notify_web("a1")
    assert (mine.wait(PATIENCE), other.wait(PATIENCE)) == (["a1"], ["a1"])
    mine.close()
    other.close()


def test_notifying_without_a_listener_is_no_error(notifier: SocketNotifier, tmp_path: Path) -> None:
    notifier.notify("engine", "anyone?")
    assert list(tmp_path.iterdir()) == []


def test_socket_of_a_killed_web_worker_is_removed(notifier: SocketNotifier, tmp_path: Path) -> None:
    listener = SocketListener(tmp_path, channels.web(1))
    listener._socket.close()  # noqa: SLF001 - as SIGKILL would
    notifier.notify_web("a1")
    assert list(tmp_path.glob("*.sock")) == []


def test_full_queue_never_blocks_the_notifier(notifier: SocketNotifier, tmp_path: Path) -> None:
    listener = SocketListener(tmp_path, "engine")
    for number in range(5000):
        notifier.notify("engine", str(number))
    assert listener.wait(PATIENCE)[0] == "0"
    listener.close()
