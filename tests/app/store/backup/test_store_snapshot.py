from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from algosat.errors import ConfigurationError, StoreDamaged
from algosat.store import queries
from algosat.store.backup import store_snapshot
from algosat.store.database import Database
from algosat.store.schema_version import HEAD
from algosat.store.writer import Writer
from tests.app.store.conftest import order_of, place

pytestmark = pytest.mark.sqlite


def ids(database: Database) -> list[str]:
    with database.read() as connection:
        return [row.id for row in queries.orders_page(connection, limit=10).rows]


def test_restored_snapshot_brings_back_old_orders(writer: Writer, database: Database, tmp_path: Path) -> None:
    place(writer, order_of(1))
    store_snapshot.take(database, tmp_path / "copy.db")
    place(writer, order_of(2))
    writer.close()
    store_snapshot.restore(database, tmp_path / "copy.db")
    assert ids(database) == [order_of(1).id]


def test_snapshot_is_readable_by_its_owner_only(database: Database, tmp_path: Path) -> None:
    store_snapshot.take(database, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0


def test_existing_file_is_never_overwritten(database: Database, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(ConfigurationError, match="already exists"):
        store_snapshot.take(database, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_damaged_snapshot_is_refused_before_anything_changes(
    writer: Writer, database: Database, tmp_path: Path
) -> None:
    place(writer, order_of(1))
    store_snapshot.take(database, tmp_path / "copy.db")
    content = bytearray((tmp_path / "copy.db").read_bytes())
    content[4096 : 4096 * 3] = b"x" * (4096 * 2)
    (tmp_path / "copy.db").write_bytes(content)
    with pytest.raises(StoreDamaged):
        store_snapshot.restore(database, tmp_path / "copy.db")
    assert ids(database) == [order_of(1).id]


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_file_of_another_kind_is_refused(database: Database, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "foreign.db").write_bytes(content)
    with pytest.raises(StoreDamaged, match="not an Algosat store"):
        store_snapshot.inspect(tmp_path / "foreign.db")


def snapshot_with(database: Database, tmp_path: Path, *statements: str) -> Path:
    with database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    store_snapshot.take(database, tmp_path / "copy.db")
    return tmp_path / "copy.db"


def test_snapshot_that_needs_a_newer_release_is_refused(database: Database, tmp_path: Path) -> None:
    copy = snapshot_with(database, tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreDamaged, match="newer one"):
        store_snapshot.inspect(copy)


def test_snapshot_that_a_newer_release_has_extended_is_accepted(database: Database, tmp_path: Path) -> None:
    copy = snapshot_with(database, tmp_path, "UPDATE schema_version SET version_num = '9999'")
    assert store_snapshot.inspect(copy) == "9999"


def test_snapshot_of_a_release_with_one_version_table_is_accepted(database: Database, tmp_path: Path) -> None:
    assert store_snapshot.inspect(snapshot_with(database, tmp_path, "DROP TABLE schema_version")) == "0012"


def test_snapshot_without_a_version_is_refused(database: Database, tmp_path: Path) -> None:
    copy = snapshot_with(database, tmp_path, "DELETE FROM alembic_version")
    with pytest.raises(StoreDamaged, match="no schema version"):
        store_snapshot.inspect(copy)


def test_inspect_returns_the_schema_version(database: Database, tmp_path: Path) -> None:
    assert store_snapshot.inspect(snapshot_with(database, tmp_path)) == HEAD


def test_damaged_store_is_reported_and_leaves_no_copy(tmp_path: Path) -> None:
    (tmp_path / "algosat.db").write_bytes(b"not a database at all" * 1000)
    damaged = Database(f"sqlite:///{tmp_path}/algosat.db")
    with pytest.raises(StoreDamaged, match="restore a backup"):
        store_snapshot.take(damaged, tmp_path / "copy.db")
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []
    damaged.close()


def test_missing_store_is_not_copied_as_an_empty_one(tmp_path: Path) -> None:
    lost = Database(f"sqlite:///{tmp_path}/lost.db")
    with pytest.raises(StoreDamaged, match="restore a backup"):
        store_snapshot.take(lost, tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_restore_leaves_the_old_store_intact(
    writer: Writer, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_snapshot.take(database, tmp_path / "copy.db")
    place(writer, order_of(1))
    writer.close()

    def cut_off(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as power:
        power.setattr(Path, "rename", cut_off)
        with pytest.raises(SystemExit):
            store_snapshot.restore(database, tmp_path / "copy.db")
    assert database.path is not None
    survivor = Database(f"sqlite:///{shutil.copy(database.path, tmp_path / 'survivor.db')}")
    assert ids(survivor) == [order_of(1).id]
    survivor.close()
