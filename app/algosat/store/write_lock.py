"""The write lock of a SQLite store: one writer at a time over all processes of the host, in turn.

SQLite's own waiting would starve some processes (docs/decisions/0002-group-commit.md). A waiting process
holds a second lock, the queue, so that no later process can take the write lock before it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from algosat.store.database import Database


def acquire(database: Path, *, wait: bool = True) -> int | None:
    """Take the write lock.

    Returns: a file handle that holds the lock until it is closed or the process ends; None if `wait` is
    False and the lock or the queue is taken.
    """
    how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
    queue = os.open(queue_file(database), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(queue, how)
        return _lock(lock_file(database), how)
    except BlockingIOError:
        return None
    finally:
        os.close(queue)


@contextmanager
def exclusive(database: Database) -> Iterator[None]:
    """Hold the write lock of a SQLite store. On PostgreSQL, which has its own lock, do nothing."""
    handle = None if database.path is None else acquire(database.path)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


@cache
def lock_file(database: Path) -> Path:
    return database.with_name(database.name + ".lock")


@cache
def queue_file(database: Path) -> Path:
    return database.with_name(database.name + ".gate")  # as earlier releases name it


def _lock(path: Path, how: int) -> int:
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how)
    except BaseException:
        os.close(handle)
        raise
    return handle
