from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from algosat.store.database import Database
from algosat.store.leader_lock import FileLeaderLock, NotLeading, leader_lock_of
from algosat.trading.desk import Desk


def test_only_one_process_holds_the_lock(tmp_path: Path) -> None:
    first, second = FileLeaderLock(tmp_path / "engine.lock"), FileLeaderLock(tmp_path / "engine.lock")
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


@pytest.mark.sqlite
def test_engines_on_one_store_share_a_lock_whatever_path_names_it(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "store")
    engines = [leader_lock_of(Database(f"sqlite:///{tmp_path}/{name}/a.db")) for name in ("store", "other")]
    neighbour = leader_lock_of(Database(f"sqlite:///{tmp_path}/store/b.db"))
    assert [each.acquire() for each in (*engines, neighbour)] == [True, False, True]
    for each in (*engines, neighbour):
        each.release()


@pytest.mark.slow
def test_lock_is_free_once_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    holder = (
        "import sys, time; from pathlib import Path; from algosat.store.leader_lock import FileLeaderLock\n"
        "lead = FileLeaderLock(Path(sys.argv[1])); print(lead.acquire(), flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", holder, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "True\n"
        heir = FileLeaderLock(path)
        assert not heir.acquire()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert heir.acquire()
    heir.release()


def test_fence_fails_when_the_lock_file_was_deleted(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "engine.lock"
    lead = FileLeaderLock(path)
    assert lead.acquire()
    with desk.database.read() as connection:
        lead.fence(connection)
        path.unlink()
        with pytest.raises(NotLeading):
            lead.fence(connection)
    lead.release()


def test_fence_fails_without_the_lock(tmp_path: Path, desk: Desk) -> None:
    with desk.database.read() as connection, pytest.raises(NotLeading):
        FileLeaderLock(tmp_path / "engine.lock").fence(connection)
