"""The one way to write: units of work, grouped into commits.

Every process has one writer thread. What has queued up while the disk was busy shares the next
transaction, and who shared the last one is waited for a little; nobody is answered before the
commit is on disk. Should a unit fail, what the group has written is taken back, and each runs once
more, in a savepoint of its own. Who is the only one to write, over all processes, does it in his
own thread: waking another costs more than a small unit itself (docs/decisions/0002-group-commit.md).

A unit that nobody is answered by, such as a price, may go without waiting for the disk: it is on
disk with the next one that does wait. A power cut takes the newest of such units, never one that
came before something that was answered.

Since units run one after another, over all processes, a unit that reads the book, judges and
writes cannot be raced.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from algosat.errors import StoreBusy
from algosat.store.database import Database
from algosat.store.prepared import Prepared
from algosat.store.write_lock import acquire, exclusive

T = TypeVar("T")
Work = Callable[[Connection], T]

_LARGEST_GROUP: Final = 64
_LINGER: Final = 0.006  # seconds: about what eight requests cost a worker besides
_POSTGRES_LOCK: Final = 0x616C676F  # any number will do, as long as every writer names the same

_LOCK_POSTGRES = Prepared(text(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})"))
_BEGIN_UNIT = Prepared(text("SAVEPOINT unit"))
_DROP_UNIT = Prepared(text("ROLLBACK TO SAVEPOINT unit"))
_KEEP_UNIT = Prepared(text("RELEASE SAVEPOINT unit"))
_BEGIN_PART = Prepared(text("SAVEPOINT part"))
_DROP_PART = Prepared(text("ROLLBACK TO SAVEPOINT part"))
_KEEP_PART = Prepared(text("RELEASE SAVEPOINT part"))


class _Unit:
    """Work, and the promise of its outcome. A Future would do, and cost more than a small unit itself."""

    __slots__ = ("_claims", "_settled", "durable", "failure", "result", "work")

    def __init__(self, work: Work[Any], *, durable: bool) -> None:
        self.work, self.durable = work, durable
        self.result: Any = None
        self.failure: BaseException | None = None
        self._claims = [None]
        self._settled = threading.Lock()
        self._settled.acquire()

    def claim(self) -> bool:
        """To begin it, or to give it up: only the first who asks may."""
        try:
            self._claims.pop()
        except IndexError:
            return False
        return True

    def settle(self, result: Any, failure: BaseException | None) -> None:
        self.result, self.failure = result, failure
        self._settled.release()

    def wait(self, seconds: float = -1) -> bool:
        """Whether it was settled within these seconds; without them, wait until it is."""
        return self._settled.acquire(timeout=seconds)


_Outcome = tuple[_Unit, Any, BaseException | None]


class Writer:
    """Runs units of work for all threads of a process. Its thread does not cross a fork: build it after."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: SimpleQueue[_Unit | None] = SimpleQueue()
        self._closing = False
        self._callers: list[_Unit] = []  # those within `run`
        self._shared = 1  # how many had the last commit together
        self._missing = 0  # how many of them are waited for
        self._complete = threading.Event()  # set once they came: to wake the thread for each costs more
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    def run(self, work: Work[T], *, timeout: float = 10.0, durable: bool = True) -> T:
        """The result of `work`, once it is committed. What it raises is raised here, and nothing of it stays.

        It may run twice, when another in its group fails: what it does is to be undone with the transaction.
        Raises StoreBusy when it did not begin within `timeout` seconds; then it never will.
        """
        unit = _Unit(work, durable=durable)
        self._callers.append(unit)
        try:
            if not self._at_once(unit):
                self._in_a_group(unit, timeout)
        finally:
            self._callers.remove(unit)
        if unit.failure is not None:
            raise unit.failure
        return cast(T, unit.result)

    def close(self) -> None:
        """Finish what is queued, then stop."""
        self._queue.put(None)
        self._thread.join()

    def _at_once(self, unit: _Unit) -> bool:
        """Do it here if there is nobody to share a commit with, and nobody to wait for."""
        path = self._database.path
        if path is None or self._shared > 1 or len(self._callers) > 1:
            return False
        try:
            turn = acquire(path, wait=False)
            if turn is None:
                return False
            try:
                outcomes = self._together([unit])
            finally:
                os.close(turn)
        except BaseException as error:  # noqa: BLE001 - raised once it is clear what it means
            outcomes = [(unit, None, _heard(error))]
        _settle(outcomes)
        return True

    def _in_a_group(self, unit: _Unit, timeout: float) -> None:
        self._queue.put(unit)
        if 0 < self._missing <= self._queue.qsize():
            self._complete.set()
        if not unit.wait(timeout):
            if unit.claim():
                raise StoreBusy(f"the store did not take the write within {timeout:g} s")
            unit.wait()  # it has begun: its outcome must be known, not guessed

    def _serve(self) -> None:
        while not self._closing:
            group: list[_Unit] = []
            if self._take(group):
                self._gather(group)
                self._commit(group)

    def _gather(self, group: list[_Unit]) -> None:
        """Who shared the last commit will mostly be back soon, and another process can write meanwhile."""
        self._complete.clear()
        self._missing = self._shared - len(group)
        if self._queue.qsize() < self._missing:
            self._complete.wait(_LINGER)
        self._missing = 0

    def _take(self, group: list[_Unit], *, wait: bool = True) -> bool:
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
        outcomes: list[_Outcome] = []
        try:
            with exclusive(self._database):
                # Whoever came while another process had the lock joins in.
                while len(group) < _LARGEST_GROUP and self._take(group, wait=False):
                    pass
                self._shared = len(group)
                begun = _begun(group)
                if not begun:
                    return  # everybody gave up meanwhile
                outcomes = self._together(begun) or self._apart(begun)
        except BaseException as error:  # noqa: BLE001 - whatever it was, every caller must hear of it
            outcomes = [(unit, None, _heard(error)) for unit in begun or _begun(group)]
        _settle(outcomes)

    def _together(self, group: list[_Unit]) -> list[_Outcome]:
        """All without ceremony; nothing, and nothing is written, when one of several fails."""
        try:
            with self._transaction(group) as connection:
                return _done(connection, group)
        except _OneOfSeveral:
            return []

    def _apart(self, group: list[_Unit]) -> list[_Outcome]:
        with self._transaction(group) as connection:
            return [(unit, *_attempt(connection, unit.work)) for unit in group]

    @contextmanager
    def _transaction(self, group: list[_Unit]) -> Iterator[Connection]:
        with self._database.write(durable=any(unit.durable for unit in group)) as connection:
            if not self._database.is_sqlite:
                _LOCK_POSTGRES.run(connection, {})
            yield connection


def _begun(group: list[_Unit]) -> list[_Unit]:
    """Those whose callers have not given up; from now on they cannot any more."""
    return [unit for unit in group if unit.claim()]


def _done(connection: Connection, group: list[_Unit]) -> list[_Outcome]:
    try:
        return [(unit, unit.work(connection), None) for unit in group]
    except Exception as error:
        if len(group) == 1:
            raise
        raise _OneOfSeveral from error


class _OneOfSeveral(Exception):
    """A unit has failed. A commit that fails is not this: it may have happened all the same."""


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


def _attempt(connection: Connection, work: Work[Any]) -> tuple[Any, BaseException | None]:
    _BEGIN_UNIT.run(connection, {})
    try:
        result = work(connection)
    except Exception as error:  # noqa: BLE001 - handed to the caller; the others in the group go on
        _DROP_UNIT.run(connection, {})
        return None, error
    _KEEP_UNIT.run(connection, {})
    return result, None


def _settle(outcomes: list[_Outcome]) -> None:
    for unit, result, failure in outcomes:
        unit.settle(result, failure)


def _heard(error: BaseException) -> BaseException:
    """What the caller hears of it."""
    # The system's own errors are of the lock's file: where that cannot be opened, nothing can be written.
    if isinstance(error, OSError) or (isinstance(error, DBAPIError) and "locked" in str(error)):
        return StoreBusy(f"the store refused the write: {error}")
    return error
