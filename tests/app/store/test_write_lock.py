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


def test_a_turn_is_had_by_one_at_a_time(database: Path) -> None:
    with _turn(database):
        assert acquire(database, wait=False) is None
    with _turn(database):
        pass


def test_who_waits_for_his_turn_gets_it_before_who_comes_later(database: Path) -> None:
    served = threading.Event()

    def wait() -> None:
        with _turn(database):
            served.set()

    with _turn(database):
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_for(lambda: not _is_open(queue_file(database)))
        assert not served.is_set()
    waiting.join(PATIENCE)
    assert served.is_set()


def test_nobody_slips_in_before_who_stands_in_the_gate(database: Path) -> None:
    gate = os.open(queue_file(database), os.O_CREAT | os.O_RDWR)
    fcntl.flock(gate, fcntl.LOCK_EX)
    assert acquire(database, wait=False) is None
    os.close(gate)
    with _turn(database):
        pass


@contextmanager
def _turn(database: Path) -> Iterator[None]:
    turn = acquire(database)
    assert turn is not None
    try:
        yield
    finally:
        os.close(turn)


def _is_open(gate: Path) -> bool:
    handle = os.open(gate, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(handle)
