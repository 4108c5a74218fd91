"""What exceptions of the driver and of the operating system mean for the store."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from algosat.errors import StoreBusy, StoreDamaged, StoreFull, StoreReadOnly
from algosat.store.failures import file_error, store_error


def of_sqlite(name: str) -> DBAPIError:
    error = sqlite3.OperationalError("/var/lib/algosat/database/algosat.db: in words")
    error.sqlite_errorname = name
    return OperationalError("INSERT INTO orders", {}, error)


def of_postgresql(state: str) -> DBAPIError:
    error = Exception("in words")
    error.sqlstate = state  # type: ignore[attr-defined]
    return OperationalError("INSERT INTO orders", {}, error)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (of_sqlite("SQLITE_FULL"), StoreFull),
        (of_sqlite("SQLITE_READONLY_DBMOVED"), StoreReadOnly),
        (of_sqlite("SQLITE_CANTOPEN"), StoreReadOnly),
        (of_sqlite("SQLITE_BUSY"), StoreBusy),
        (of_sqlite("SQLITE_IOERR_WRITE"), StoreBusy),
        (of_sqlite("SQLITE_CORRUPT"), StoreDamaged),
        (of_postgresql("53100"), StoreFull),
        (of_postgresql("25006"), StoreReadOnly),
        (of_postgresql("57014"), StoreBusy),
        (of_postgresql("08006"), StoreBusy),
        (PoolTimeout(), StoreBusy),
        (InterfaceError("", {}, Exception("connection already closed")), StoreBusy),
    ],
)
def test_exception_means_an_error_of_the_store_without_its_inside(
    error: Exception, meaning: type[Exception]
) -> None:
    found = store_error(error)
    assert type(found) is meaning
    assert "/var" not in str(found)
    assert "INSERT" not in str(found)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        OSError(errno.ENOSPC, "no space"),  # of some other file
        IntegrityError("", {}, sqlite3.IntegrityError("UNIQUE constraint failed")),
        of_postgresql("23505"),
    ],
)
def test_other_exceptions_are_none_of_the_store(error: Exception) -> None:
    assert store_error(error) is None


@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EROFS, StoreReadOnly),
        (errno.EACCES, StoreReadOnly),
        (errno.EMFILE, StoreBusy),
    ],
)
def test_lock_file_that_cannot_be_opened_means_an_error_of_the_store(
    number: int, meaning: type[StoreBusy]
) -> None:
    assert type(file_error(OSError(number, "/var/lib/algosat/database/algosat.db.gate"))) is meaning


def test_names_are_those_of_the_driver(tmp_path: Path) -> None:
    """A driver that names its errors in another way would make every fault a busy store."""
    engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE filled (value TEXT)"))
        connection.execute(text("PRAGMA max_page_count = 2"))
        with pytest.raises(DBAPIError) as full:
            connection.execute(text("INSERT INTO filled VALUES (:value)"), {"value": "x" * 100_000})
        connection.rollback()
        connection.execute(text("PRAGMA query_only = on"))
        with pytest.raises(DBAPIError) as read_only:
            connection.execute(text("INSERT INTO filled VALUES ('x')"))
    engine.dispose()
    (tmp_path / "damaged.db").write_bytes(b"no database" * 1000)
    damaged_engine = create_engine(f"sqlite:///{tmp_path / 'damaged.db'}")
    with damaged_engine.connect() as connection, pytest.raises(DBAPIError) as damaged:
        connection.execute(text("SELECT * FROM filled"))
    damaged_engine.dispose()
    found = [store_error(each.value) for each in (full, read_only, damaged)]
    assert [type(each) for each in found] == [StoreFull, StoreReadOnly, StoreDamaged]
