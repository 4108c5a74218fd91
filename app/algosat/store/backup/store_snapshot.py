"""Copies of the store that are whole, and their way back."""

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
from algosat.store.migrate import known_versions, upgrade
from algosat.store.write_lock import exclusive


def take(database: Database, target: Path) -> None:
    """Copy the store to a new file, as it is at one moment, while everybody goes on working."""
    if target.exists():
        raise ConfigurationError(f"{target} exists already; name a new file")
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
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a WAL beside it
    except sqlite3.DatabaseError as error:
        partial.unlink(missing_ok=True)
        raise StoreDamaged(f"{source} cannot be read: {error}; restore a backup") from error


def inspect(snapshot: Path) -> str:
    """The schema version of a snapshot. Raises StoreDamaged when it is not a whole store of ours."""
    if not snapshot.is_file():
        raise StoreDamaged(f"{snapshot}: there is no such file")
    version = pg_dump.version(snapshot) if pg_dump.is_dump(snapshot) else _version(snapshot)
    if version not in known_versions():
        raise StoreDamaged(
            f"{snapshot} is of schema version {version or 'none'}, which this release does not know: "
            "restore it with the release that wrote it, or a newer one"
        )
    return str(version)


def _version(snapshot: Path) -> str | None:
    try:
        with closing(sqlite3.connect(f"file:{snapshot}?mode=ro&immutable=1", uri=True)) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"{snapshot} is not a store of Algosat, or is damaged: {error}") from error
    if verdict != "ok":
        raise StoreDamaged(f"{snapshot} is damaged: {verdict}")
    return None if row is None else str(row[0])


@contextmanager
def opened(snapshot: Path, store: Callable[[], AbstractContextManager[Database]]) -> Iterator[Database]:
    """A copy of the snapshot as a store of this release's version, for as long as somebody looks at it.

    A dump of PostgreSQL needs a server to be opened: that of `store`, where it lies beside the store's own.
    """
    inspect(snapshot)
    if pg_dump.is_dump(snapshot):
        with store() as beside, pg_dump.opened(_require_server(beside), snapshot) as database:
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
    """Put a snapshot in the store's place, in one step. API and engine must be stopped."""
    inspect(snapshot)
    if pg_dump.is_dump(snapshot):
        pg_dump.restore(_require_server(database), snapshot)
    elif database.path is None:
        raise ConfigurationError(f"{snapshot} is of SQLite, and the store is on PostgreSQL")
    else:
        _replace(database, database.path, snapshot)
    database.close()


def _replace(database: Database, target: Path, snapshot: Path) -> None:
    partial = target.with_name(target.name + ".restoring")
    with exclusive(database):
        partial.write_bytes(snapshot.read_bytes())
        partial.chmod(0o640)
        _flush(partial)
        _settle(target)
        for leftover in ("-wal", "-shm"):
            target.with_name(target.name + leftover).unlink(missing_ok=True)
        partial.rename(target)


def _settle(store: Path) -> None:
    """Put into the old store what its log still holds: it is whole by itself, should we get no further."""
    if not store.exists():
        return
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(store)) as old:  # it may be damaged
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _require_server(database: Database) -> Database:
    if database.is_sqlite:
        raise ConfigurationError("the snapshot is of PostgreSQL, and the store is on SQLite")
    return database


def _flush(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
