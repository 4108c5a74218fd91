from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import text

from algosat.store.database import Database


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
