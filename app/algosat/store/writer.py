"""The one way to write: units of work, grouped into commits.

Every process has one writer thread. What has queued up while the disk was busy shares the next
transaction, each unit in a savepoint of its own; nobody is answered before the commit is on
disk. Between processes a lock in front of the database lets one writer in at a time: SQLite's
own waiting would starve some of them (docs/decisions/0002-group-commit.md).

Since units run one after another, over all processes, a unit that reads the book, judges and
writes cannot be raced.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
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


class Writer:
    """Runs units of work for all threads of a process. Its thread does not cross a fork: build it after."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine = database.engine.execution_options(sqlite_begin="IMMEDIATE")
        self._queue: SimpleQueue[tuple[Work[Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    def run(self, work: Work[T], *, timeout: float = 10.0) -> T:
        """The result of `work`, once it is committed. What it raises is raised here, and nothing of it stays.

        Raises StoreBusy when it did not begin within `timeout` seconds; then it never will.
        """
        promise: Future[T] = Future()
        self._queue.put((work, promise))
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
        while True:
            group, closing = self._next_group()
            if group:
                self._commit(group)
            if closing:
                return

    def _next_group(self) -> tuple[list[tuple[Work[Any], Future[Any]]], bool]:
        item = self._queue.get()
        group: list[tuple[Work[Any], Future[Any]]] = []
        while item is not None:
            group.append(item)
            if len(group) == _LARGEST_GROUP:
                return group, False
            try:
                item = self._queue.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _commit(self, group: list[tuple[Work[Any], Future[Any]]]) -> None:
        running = [(work, promise) for work, promise in group if promise.set_running_or_notify_cancel()]
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with exclusive(self._database), self._engine.begin() as connection:
                if not self._database.is_sqlite:
                    _LOCK_POSTGRES.run(connection, {})
                outcomes = [(promise, *_attempt(connection, work)) for work, promise in running]
        except BaseException as error:  # noqa: BLE001 - whatever it was, every caller must hear of it
            failure = StoreBusy(f"the store refused the write: {error}") if _is_busy(error) else error
            outcomes = [(promise, None, failure) for _, promise in running]
        for promise, result, refusal in outcomes:
            if refusal is None:
                promise.set_result(result)
            else:
                promise.set_exception(refusal)


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
    with lock_file(database.path).open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield  # closing the file, or dying, gives the lock back


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


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and "locked" in str(error)
