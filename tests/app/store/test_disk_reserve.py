"""The disk reserve on a file system that is really full, and the log that a reader lets grow."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from algosat.errors import StoreFull
from algosat.store.database import Database
from algosat.store.disk_reserve import DiskReserve
from algosat.store.writer import Writer
from tests.app.store.small_disks import fill, small_disk

pytestmark = pytest.mark.sqlite


@pytest.fixture
def on_small_disk(tmp_path: Path, empty_store: Path) -> Iterator[Writer]:
    """Yield the writer of a store on a disk of 12 MB, with a reserve of 1 MB."""
    with small_disk(tmp_path, 12) as disk:
        database = Database(f"sqlite:///{shutil.copy(empty_store, disk / 'algosat.db')}")
        assert database.reserve is not None
        database.reserve.keep(1)
        writer = Writer(database)
        writer.run(lambda connection: connection.execute(text("CREATE TABLE notes (note BLOB)")))
        try:
            yield writer
        finally:
            writer.close()
            database.close()


def reserve_of(writer: Writer) -> DiskReserve:
    reserve = writer._database.reserve  # noqa: SLF001
    assert reserve is not None
    return reserve


def note(connection: Connection) -> int:
    connection.execute(text("INSERT INTO notes VALUES (zeroblob(40000))"))
    return int(connection.execute(text("SELECT count(*) FROM notes")).scalar_one())


def test_write_that_finds_a_full_disk_releases_the_reserve_and_succeeds(on_small_disk: Writer) -> None:
    reserve = reserve_of(on_small_disk)
    filler = fill(reserve.path.parent)
    assert [on_small_disk.run(note) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert reserve.is_released
    with pytest.raises(StoreFull, match="only exits are taken"):
        reserve.require_room_for_entries()
    reserve.allocate()
    assert reserve.is_released  # there is no room yet
    filler.unlink()
    reserve.allocate()
    assert reserve.path.stat().st_blocks * 512 == 1 << 20  # not a sparse file
    reserve.require_room_for_entries()


def test_write_is_refused_once_the_reserve_is_used_up_and_passes_when_space_is_free(
    on_small_disk: Writer,
) -> None:
    filler = fill(reserve_of(on_small_disk).path.parent)
    notes = list[int]()

    def note_often() -> None:
        for _ in range(100):
            notes.append(on_small_disk.run(note))

    with pytest.raises(StoreFull) as refused:
        note_often()
    assert refused.value.headers == {"Retry-After": "5"}
    filler.unlink()
    assert on_small_disk.run(note) == notes[-1] + 1


def test_reserve_of_another_size_and_none_at_all(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path / "store.db")
    for megabytes in (2, 1, 3):
        reserve.keep(megabytes)
        assert reserve.path.stat().st_size == megabytes << 20
    assert not reserve.is_released
    reserve.keep(0)
    assert not reserve.path.exists()
    assert not reserve.is_released
    reserve.require_room_for_entries()


def test_log_that_a_reader_lets_grow_names_the_reader_stops_entries_and_is_cut(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reserve = Writer(database), database.reserve
    assert database.path is not None
    assert reserve is not None
    writer.run(lambda connection: connection.execute(text("CREATE TABLE notes (note BLOB)")))
    monkeypatch.setattr("algosat.store.disk_reserve._PINNED_WAL", 40 << 20)
    monkeypatch.setattr("algosat.store.disk_reserve._WAL_MAXIMUM", 40 << 20)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM notes").fetchall()
        fill_log = text("INSERT INTO notes VALUES (zeroblob(8000000))")
        while not reserve.is_wal_pinned:
            writer.run(lambda connection: connection.execute(fill_log), durable=False)
        assert any(reader.endswith(f"({os.getpid()})") for reader in reserve.readers())
        with pytest.raises(StoreFull, match="read transaction"):
            reserve.require_room_for_entries()
    for _ in range(3):
        writer.run(note)
    assert reserve.wal_bytes <= 33 << 20
    assert reserve.readers() == []
    writer.close()
