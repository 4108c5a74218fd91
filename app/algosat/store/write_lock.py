"""Whose turn it is to write to a file, over all processes of the host.

SQLite's own waiting would starve some of them (docs/decisions/0002-group-commit.md). Whoever waits for his
turn stands in the gate meanwhile, so that nobody who comes later slips in before him.
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
    """A handle; to close it ends the turn, as dying would. None when there would be something to wait for."""
    how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
    gate = os.open(queue_file(database), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(gate, how)
        return _locked(lock_file(database), how)
    except BlockingIOError:
        return None
    finally:
        os.close(gate)


@contextmanager
def exclusive(database: Database) -> Iterator[None]:
    """Keeps every other writer out, in this process and in others. PostgreSQL's own lock does it there."""
    turn = None if database.path is None else acquire(database.path)
    try:
        yield
    finally:
        if turn is not None:
            os.close(turn)


@cache
def lock_file(database: Path) -> Path:
    return database.with_name(database.name + ".lock")


@cache
def queue_file(database: Path) -> Path:
    return database.with_name(database.name + ".gate")


def _locked(path: Path, how: int) -> int:
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how)
    except BaseException:
        os.close(handle)
        raise
    return handle
