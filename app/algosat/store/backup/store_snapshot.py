"""Snapshots of the store: take, inspect, open and restore them, on SQLite and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

from algosat.errors import ConfigurationError, StoreDamaged
from algosat.store.backup import pg_dump
from algosat.store.database import Database
from algosat.store.migrate import upgrade
from algosat.store.schema_version import HEAD_TABLE, OLDEST_TABLE, SchemaVersions
from algosat.store.write_lock import exclusive


def take(database: Database, target: Path) -> None:
    """Copy the store to a new file, as of one moment. Other processes keep working."""
    if target.exists():
        raise ConfigurationError(f"{target} already exists; name a new file")
    if database.path is not None and not database.path.exists():
        raise StoreDamaged(f"{database.path}: there is no store to copy; restore a backup")
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if database.path is None:
        pg_dump.take(database, partial)
    else:
        _copy(database.path, partial)
    _flush(partial)
    partial.rename(target)


def _copy(source: Path, partial: Path) -> None:
    try:
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(partial)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a separate WAL
    except sqlite3.DatabaseError as error:
        partial.unlink(missing_ok=True)
        raise StoreDamaged(f"{source} cannot be read: {error}; restore a backup") from error


def inspect(snapshot: Path) -> str:
    """Return the schema version of a snapshot.

    Raises StoreDamaged if it is not an intact Algosat store, or needs a newer release.
    """
    if not snapshot.is_file():
        raise StoreDamaged(f"{snapshot}: no such file")
    found = pg_dump.versions(snapshot) if pg_dump.is_dump(snapshot) else _versions(snapshot)
    if found is None:
        raise StoreDamaged(f"{snapshot} has no schema version: it is not a complete Algosat store")
    if found.is_too_new:
        raise StoreDamaged(
            f"{snapshot} has schema version {found.head}, on which this release cannot run: "
            "restore it with the release that wrote it, or a newer one"
        )
    return found.head


def _versions(snapshot: Path) -> SchemaVersions | None:
    try:
        with closing(sqlite3.connect(f"file:{snapshot}?mode=ro&immutable=1", uri=True)) as connection:
            result = connection.execute("PRAGMA integrity_check").fetchone()[0]
            oldest = connection.execute(f"SELECT version_num FROM {OLDEST_TABLE}").fetchone()  # noqa: S608  # nosec B608
            head = _head(connection)
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"{snapshot} is not an Algosat store, or is damaged: {error}") from error
    if result != "ok":
        raise StoreDamaged(f"{snapshot} is damaged: {result}")
    return None if oldest is None else SchemaVersions(head or oldest[0], oldest[0])


def _head(connection: sqlite3.Connection) -> str | None:
    tables = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    if connection.execute(tables, (HEAD_TABLE,)).fetchone() is None:
        return None  # of a release with one version table
    return str(connection.execute(f"SELECT version_num FROM {HEAD_TABLE}").fetchone()[0])  # noqa: S608  # nosec B608


@contextmanager
def opened(snapshot: Path, store: Callable[[], AbstractContextManager[Database]]) -> Iterator[Database]:
    """Open a temporary copy of the snapshot, upgraded to this release's schema version.

    A PostgreSQL dump is opened on the server of `store`, in a database beside the store's own.
    """
    inspect(snapshot)
    if pg_dump.is_dump(snapshot):
        with store() as server, pg_dump.opened(_require_postgresql(server), snapshot) as database:
            yield database
        return
    with tempfile.TemporaryDirectory(prefix=".opened-", dir=snapshot.parent) as scratch:
        copy = Path(scratch) / snapshot.name
        shutil.copyfile(snapshot, copy)
        database = Database(f"sqlite:///{copy.absolute()}")
        try:
            upgrade(database)
            yield database
        finally:
            database.close()


def restore(database: Database, snapshot: Path) -> None:
    """Replace the store by a snapshot, in one step. API and engine must be stopped."""
    inspect(snapshot)
    if pg_dump.is_dump(snapshot):
        pg_dump.restore(_require_postgresql(database), snapshot)
    elif database.path is None:
        raise ConfigurationError(f"{snapshot} is a SQLite snapshot, but the store is on PostgreSQL")
    else:
        _replace(database, database.path, snapshot)
    database.close()


def _replace(database: Database, target: Path, snapshot: Path) -> None:
    partial = target.with_name(target.name + ".restoring")
    with exclusive(database):
        partial.write_bytes(snapshot.read_bytes())
        partial.chmod(0o640)
        _flush(partial)
        _checkpoint(target)
        for leftover in ("-wal", "-shm"):
            target.with_name(target.name + leftover).unlink(missing_ok=True)
        partial.rename(target)


def _checkpoint(store: Path) -> None:
    """Write the old store's WAL into its file, which is then complete if the restore is interrupted."""
    if not store.exists():
        return
    with (
        suppress(sqlite3.DatabaseError),
        closing(sqlite3.connect(store)) as old,
    ):  # the old store may be damaged
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _require_postgresql(database: Database) -> Database:
    if database.is_sqlite:
        raise ConfigurationError("the snapshot is a PostgreSQL dump, but the store is on SQLite")
    return database


def _flush(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
