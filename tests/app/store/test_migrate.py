from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import Script
from sqlalchemy import text

import algosat.brokers.paper.persistence  # noqa: F401 - declares its tables
from algosat.errors import ConfigurationError
from algosat.store import migrate, schema_version
from algosat.store.database import Database
from algosat.store.schema_version import HEAD, HEAD_TABLE, OLDEST, OLDEST_TABLE, SchemaVersions
from algosat.store.tables import metadata
from tests.app.store import additive

# Newest first. Migrations up to 0012 were made for releases that compare for equality.
SUCCESSORS = [it for it in migrate.scripts().walk_revisions() if it.revision > "0012"]


@pytest.fixture
def unmade(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/unmade.db")
    yield database
    database.close()


def upgrade_to(version: str, database: Database, patch: pytest.MonkeyPatch) -> None:
    with patch.context() as earlier:
        earlier.setattr(migrate, "HEAD", version)
        earlier.setattr(migrate, "OLDEST", version)
        migrate.upgrade(database)


def test_migrations_lead_to_the_tables_of_the_code(database: Database) -> None:
    options = {
        "version_table": HEAD_TABLE,
        "include_name": lambda name, kind, _parents: (kind, name) != ("table", OLDEST_TABLE),
    }
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_version_in_the_code_is_the_newest_migration() -> None:
    assert migrate.scripts().get_current_head() == HEAD


def test_second_upgrade_changes_nothing(database: Database) -> None:
    before = schema_version.find_versions(database)
    migrate.upgrade(database)
    assert schema_version.find_versions(database) == before


@pytest.mark.parametrize("version", ["0001", "0007", "0012"])
def test_store_of_a_release_with_one_version_table_is_upgraded(
    unmade: Database, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade_to(version, unmade, monkeypatch)
    with unmade.engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {HEAD_TABLE}"))
    assert schema_version.find_versions(unmade) == SchemaVersions(version, version)
    migrate.upgrade(unmade)
    assert schema_version.find_versions(unmade) == SchemaVersions(HEAD, OLDEST)


def test_market_of_a_store_made_before_venues_is_that_of_paper(
    unmade: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade_to("0012", unmade, monkeypatch)
    with unmade.engine.begin() as connection:
        insert = "INSERT INTO closing_prices (symbol, day, price) VALUES ('ALPHA-EQ', '2026-11-20', 10000)"
        connection.execute(text(insert))
    migrate.upgrade(unmade)
    with unmade.read() as connection:
        rows = connection.execute(text("SELECT venue, symbol, day, price FROM venue_closing_prices")).all()
        old = connection.execute(text("SELECT symbol, day, price FROM closing_prices")).all()
    assert [tuple(row) for row in rows] == [("paper", *row) for row in old] != []


def test_values_that_earlier_releases_do_not_know_get_their_fallbacks(
    unmade: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade_to("0024", unmade, monkeypatch)
    with unmade.engine.begin() as connection:
        additive.fill_tables(connection)
        connection.execute(text("UPDATE orders SET validity = 'gtc'"))
        connection.execute(text("UPDATE close_lines SET state = 'dust'"))
    migrate.upgrade(unmade)
    with unmade.read() as connection:
        order = connection.execute(text("SELECT validity, validity_exact FROM orders")).one()
        line = connection.execute(text("SELECT state, state_exact FROM close_lines")).one()
    assert (tuple(order), tuple(line)) == (("day", "gtc"), ("reduced", "dust"))


def test_upgrade_leaves_a_store_that_a_newer_release_has_extended(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE {HEAD_TABLE} SET version_num = '9999'"))
    migrate.upgrade(database)
    assert schema_version.find_versions(database) == SchemaVersions("9999", OLDEST)


def test_upgrade_refuses_a_store_that_needs_a_newer_release(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE {HEAD_TABLE} SET version_num = '9999'"))
        connection.execute(text(f"UPDATE {OLDEST_TABLE} SET version_num = '9998'"))
    with pytest.raises(ConfigurationError, match="deploy a newer release"):
        migrate.upgrade(database)


@pytest.mark.parametrize("script", SUCCESSORS, ids=lambda it: it.revision)
def test_migration_is_additive_or_names_the_oldest_release(
    script: Script, unmade: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that takes something away sets `oldest`, the schema version from which nothing uses it."""
    if hasattr(script.module, "oldest"):
        pytest.skip("a contracting migration")
    upgrade_to(str(script.down_revision), unmade, monkeypatch)
    with unmade.engine.begin() as connection:
        additive.fill_tables(connection)
        before = additive.shapes(connection)
    upgrade_to(script.revision, unmade, monkeypatch)
    with unmade.engine.begin() as connection:
        assert additive.taken_away(before, additive.shapes(connection)) == []


def test_oldest_version_is_that_of_the_contracting_migrations() -> None:
    contracting = (getattr(it.module, "oldest", "0012") for it in SUCCESSORS)
    assert max(contracting, default="0012") == OLDEST


CHANGES = {
    "DROP TABLE halts": "table halts: the table is gone",
    "ALTER TABLE limits DROP COLUMN changed_by": "table limits: column changed_by is gone",
    "ALTER TABLE orders RENAME COLUMN code TO word": "table orders: column code is gone",
    "DROP INDEX ix_trades_order_id": "table trades: index ix_trades_order_id is gone",
    "CREATE UNIQUE INDEX once ON trades (order_id)": "table trades: once was added: inserts may violate it",
    "UPDATE balances SET fees = 7": "table balances: the content of its columns was changed",
}


@pytest.mark.sqlite
def test_changes_that_an_earlier_release_does_not_tolerate_are_found(database: Database) -> None:
    with database.engine.begin() as connection:
        additive.fill_tables(connection)
        before = additive.shapes(connection)
        for statement in CHANGES:
            connection.execute(text(statement))
        assert sorted(additive.taken_away(before, additive.shapes(connection))) == sorted(CHANGES.values())


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        Database(f"sqlite:///{tmp_path}/nowhere/algosat.db")


def test_new_store_is_not_readable_by_others(tmp_path: Path) -> None:
    fresh = Database(f"sqlite:///{tmp_path}/algosat.db")
    migrate.upgrade(fresh)
    assert [file.name for file in tmp_path.iterdir() if file.stat().st_mode & 0o007] == []
    fresh.close()


@pytest.mark.sqlite
def test_store_and_the_files_beside_it_are_closed_to_other_users(tmp_path: Path) -> None:
    path = tmp_path / "algosat.db"
    for existing in (False, True):
        if existing:  # as earlier releases have left it
            path.chmod(0o644)
        database = Database(f"sqlite:///{path}")
        with closing(database):
            migrate.upgrade(database)
            with database.write() as connection:
                connection.execute(text("UPDATE schema_version SET version_num = version_num"))
            modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("algosat.db*")}
        assert modes.keys() >= {"algosat.db", "algosat.db-wal", "algosat.db-shm"}
        assert set(modes.values()) <= {0o640, 0o600}
