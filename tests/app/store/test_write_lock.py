from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from algosat.store.write_lock import acquire, queue_file
from tests.app.events import PATIENCE, wait_for


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def test_lock_has_one_holder_at_a_time(database: Path) -> None:
    with _held(database):
        assert acquire(database, wait=False) is None
    with _held(database):
        pass


def test_waiting_thread_gets_the_lock_when_it_is_free(database: Path) -> None:
    acquired = threading.Event()

    def wait() -> None:
        with _held(database):
            acquired.set()

    with _held(database):
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_for(lambda: not _is_free(queue_file(database)))
        assert not acquired.is_set()
    waiting.join(PATIENCE)
    assert acquired.is_set()


def test_taken_queue_keeps_others_from_the_lock(database: Path) -> None:
    queue = os.open(queue_file(database), os.O_CREAT | os.O_RDWR)
    fcntl.flock(queue, fcntl.LOCK_EX)
    assert acquire(database, wait=False) is None
    os.close(queue)
    with _held(database):
        pass


@contextmanager
def _held(database: Path) -> Iterator[None]:
    handle = acquire(database)
    assert handle is not None
    try:
        yield
    finally:
        os.close(handle)


def _is_free(path: Path) -> bool:
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(handle)
