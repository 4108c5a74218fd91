"""The one way to write: units of work, grouped into commits.

Every process has one writer thread. What has queued up while the disk was busy shares the next
transaction, each unit in a savepoint of its own; nobody is answered before the commit is on
disk. Between processes a lock in front of the database lets one writer in at a time: SQLite's
own waiting would starve some of them (docs/decisions/0002-group-commit.md).

A unit that nobody is answered by, such as a price, may go without waiting for the disk: it is on
disk with the next one that does wait. A power cut takes the newest of such units, never one that
came before something that was answered.

Since units run one after another, over all processes, a unit that reads the book, judges and
writes cannot be raced.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from algosat.errors import StoreBusy
from algosat.store.database import Database
from algosat.store.prepared import Prepared

T = TypeVar("T")
Work = Callable[[Connection], T]

_LARGEST_GROUP: Final = 64
_POSTGRES_LOCK: Final = 0x616C676F  # any number will do, as long as every writer names the same

_LOCK_POSTGRES = Prepared(text(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})"))
_BEGIN_UNIT = Prepared(text("SAVEPOINT unit"))
_DROP_UNIT = Prepared(text("ROLLBACK TO SAVEPOINT unit"))
_KEEP_UNIT = Prepared(text("RELEASE SAVEPOINT unit"))
_BEGIN_PART = Prepared(text("SAVEPOINT part"))
_DROP_PART = Prepared(text("ROLLBACK TO SAVEPOINT part"))
_KEEP_PART = Prepared(text("RELEASE SAVEPOINT part"))


@dataclass(frozen=True, slots=True)
class _Unit:
    work: Work[Any]
    promise: Future[Any]
    durable: bool


class Writer:
    """Runs units of work for all threads of a process. Its thread does not cross a fork: build it after."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: SimpleQueue[_Unit | None] = SimpleQueue()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    def run(self, work: Work[T], *, timeout: float = 10.0, durable: bool = True) -> T:
        """The result of `work`, once it is committed. What it raises is raised here, and nothing of it stays.

        Raises StoreBusy when it did not begin within `timeout` seconds; then it never will.
        """
        promise: Future[T] = Future()
        self._queue.put(_Unit(work, promise, durable))
        try:
            return promise.result(timeout)
        except TimeoutError:
            if promise.cancel():
                raise StoreBusy(f"the store did not take the write within {timeout:g} s") from None
            return promise.result()  # it has begun: its outcome must be known, not guessed

    def close(self) -> None:
        """Finish what is queued, then stop."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while not self._closing:
            group: list[_Unit] = []
            if self._take(group, wait=True):
                self._commit(group)

    def _take(self, group: list[_Unit], *, wait: bool) -> bool:
        """Add the next in the queue to the group; whether there was one."""
        try:
            unit = self._queue.get(block=wait)
        except Empty:
            return False
        if unit is None:
            self._closing = True
            return False
        group.append(unit)
        return True

    def _commit(self, group: list[_Unit]) -> None:
        begun: list[_Unit] = []
        outcomes: list[tuple[_Unit, Any, BaseException | None]] = []
        try:
            with exclusive(self._database):
                # Whoever came while another process had the lock joins in.
                while len(group) < _LARGEST_GROUP and self._take(group, wait=False):
                    pass
                begun = _begun(group)
                if not begun:
                    return  # everybody gave up meanwhile
                with self._database.write(durable=any(unit.durable for unit in begun)) as connection:
                    if not self._database.is_sqlite:
                        _LOCK_POSTGRES.run(connection, {})
                    if len(begun) == 1:  # it may take the whole transaction back
                        outcomes = [(begun[0], begun[0].work(connection), None)]
                    else:
                        outcomes = [(unit, *_attempt(connection, unit.work)) for unit in begun]
        except BaseException as error:  # noqa: BLE001 - whatever it was, every caller must hear of it
            failure = StoreBusy(f"the store refused the write: {error}") if _is_refusal(error) else error
            outcomes = [(unit, None, failure) for unit in begun or _begun(group)]
        for unit, result, refusal in outcomes:
            if refusal is None:
                unit.promise.set_result(result)
            else:
                unit.promise.set_exception(refusal)


def _begun(group: list[_Unit]) -> list[_Unit]:
    """Those whose callers have not given up; from now on they cannot any more."""
    return [unit for unit in group if unit.promise.set_running_or_notify_cancel()]


@contextmanager
def part(connection: Connection) -> Iterator[None]:
    """A part of a unit of work that may fail by itself: what it raises leaves the rest as it was."""
    _BEGIN_PART.run(connection, {})
    try:
        yield
    except BaseException:
        _DROP_PART.run(connection, {})
        raise
    _KEEP_PART.run(connection, {})


@contextmanager
def exclusive(database: Database) -> Iterator[None]:
    """Keeps every other writer out, in this process and in others. PostgreSQL's own lock does it there."""
    if database.path is None:
        yield
        return
    handle = os.open(lock_file(database.path), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # as dying would, it gives the lock back


@cache
def lock_file(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _attempt(connection: Connection, work: Work[Any]) -> tuple[Any, BaseException | None]:
    _BEGIN_UNIT.run(connection, {})
    try:
        result = work(connection)
    except Exception as error:  # noqa: BLE001 - handed to the caller; the others in the group go on
        _DROP_UNIT.run(connection, {})
        return None, error
    _KEEP_UNIT.run(connection, {})
    return result, None


def _is_refusal(error: BaseException) -> bool:
    # The system's own errors are of the lock's file: where that cannot be opened, nothing can be written.
    return isinstance(error, OSError) or (isinstance(error, DBAPIError) and "locked" in str(error))
