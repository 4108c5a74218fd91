from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from algosat.security.session_lookup import lookup_in
from algosat.store.database import Database
from tests.app.store.small_disks import small_disk


def test_closing_waits_for_a_write_of_another_thread(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    has_begun, may_end = threading.Event(), threading.Event()

    def write() -> None:
        with database.write() as connection:
            connection.execute(text("CREATE TABLE things (name TEXT)"))
            has_begun.set()
            may_end.wait(10)
            connection.execute(text("INSERT INTO things VALUES ('kept')"))

    writing, closing = threading.Thread(target=write), threading.Thread(target=database.close)
    writing.start()
    has_begun.wait(10)
    closing.start()
    closing.join(0.05)
    is_waiting = closing.is_alive()
    may_end.set()
    closing.join(10)
    writing.join(10)
    assert is_waiting
    with database.read() as connection:
        assert connection.execute(text("SELECT name FROM things")).scalar_one() == "kept"
    database.close()


def test_store_opened_while_it_is_read_only_takes_writes_once_it_may_be_written_to(
    tmp_path: Path, empty_store: Path
) -> None:
    with small_disk(tmp_path, 8) as disk:
        shutil.copy(empty_store, disk / "a.db")
        _write(Database(f"sqlite:///{disk}/a.db"), "CREATE TABLE things (name TEXT)", keep_log=disk)
        database = Database(f"sqlite:///{disk}/a.db")
        sessions = lookup_in(database)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert sessions.find("unknown") is None
        with database.read() as reading:  # as a long report does
            reading.execute(text("SELECT name FROM things")).all()
            with pytest.raises(OperationalError, match="readonly"):
                _write(database, "INSERT INTO things VALUES ('refused')")
            subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        _write(database, "INSERT INTO things VALUES ('taken')")
        with database.read() as reading:
            assert reading.execute(text("SELECT name FROM things")).scalars().all() == ["taken"]
        database.close()


def _write(database: Database, statement: str, keep_log: Path | None = None) -> None:
    """Execute a statement; `keep_log`: leave the log in this directory, as a process that is killed does."""
    with database.write() as connection:
        connection.execute(text(statement))
    if keep_log is not None:
        kept = {file: file.read_bytes() for file in keep_log.glob("a.db*")}
        database.close()
        for file, content in kept.items():
            file.write_bytes(content)
