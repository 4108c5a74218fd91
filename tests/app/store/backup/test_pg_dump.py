from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from algosat.errors import ConfigurationError, StoreDamaged
from algosat.store import queries, schema_version
from algosat.store.backup import store_snapshot
from algosat.store.database import Database
from algosat.store.verify.verify import verify
from algosat.store.writer import Writer
from tests.app.store.conftest import fill, order_of, place, trade_of

pytestmark = pytest.mark.slow


@pytest.fixture
def database(on_postgresql: Database) -> Database:
    return on_postgresql


@pytest.fixture
def copy(writer: Writer, database: Database, tmp_path: Path) -> Path:
    fill(writer, order_of(1), trade_of(1, "4"))
    store_snapshot.take(database, tmp_path / "copy.db")
    return tmp_path / "copy.db"


def ids(database: Database) -> list[str]:
    with database.read() as connection:
        return [row.id for row in queries.orders_page(connection, limit=10).rows]


def test_restored_dump_brings_back_old_orders_and_drops_later_ones(
    writer: Writer, database: Database, copy: Path
) -> None:
    place(writer, order_of(2))
    writer.close()
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE of_a_later_release (id int)"))
    store_snapshot.restore(database, copy)
    assert ids(database) == [order_of(1).id]
    with database.read() as connection:
        assert connection.execute(text("SELECT to_regclass('of_a_later_release')")).scalar() is None
    with closing(Writer(database)) as again:
        place(again, order_of(3))


def test_newer_client_restores_to_an_older_server(
    writer: Writer, database: Database, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every script of pg_restore 17 or newer contains a setting that older servers do not know."""
    real = shutil.which("pg_restore")
    newer = tmp_path / "bin" / "pg_restore"
    newer.parent.mkdir()
    newer.write_text(
        f'#!/bin/sh\n{real} "$@" || exit\n'
        "for word; do case $word in --file=/*.sql) file=${word#--file=} ;; esac; done\n"
        '[ -z "$file" ] || sed -i "1i SET transaction_timeout = 0;" "$file"\n'
    )
    newer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{newer.parent}:{os.environ['PATH']}")
    writer.close()
    store_snapshot.restore(database, copy)
    assert ids(database) == [order_of(1).id]


def test_opened_dump_is_verified_and_leaves_no_database_behind(database: Database, copy: Path) -> None:
    @contextmanager
    def store() -> Iterator[Database]:
        yield database

    def databases() -> set[str]:
        with database.read() as connection:
            return set(connection.execute(text("SELECT datname FROM pg_database")).scalars())

    before = databases()
    with store_snapshot.opened(copy, store) as opened:
        schema_version.require_current(opened)
        with opened.read() as connection:
            assert verify(connection).clean
        assert ids(opened) == [order_of(1).id]
        assert opened.url != database.url
    assert databases() == before
    assert copy.stat().st_mode & 0o077 == 0


def test_damaged_dump_is_refused_and_the_store_stays(database: Database, copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-2000])
    with pytest.raises(StoreDamaged, match="damaged"):
        store_snapshot.restore(database, copy)
    assert ids(database) == [order_of(1).id]


def test_snapshot_of_another_database_kind_is_refused(
    database: Database, copy: Path, empty_store: Path
) -> None:
    with pytest.raises(ConfigurationError, match="is a SQLite snapshot"):
        store_snapshot.restore(database, empty_store)
    with pytest.raises(ConfigurationError, match="is a PostgreSQL dump"):
        store_snapshot.restore(Database(f"sqlite:///{empty_store}"), copy)
    assert ids(database) == [order_of(1).id]
