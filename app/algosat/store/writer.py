"""The writer: every write to the store is a unit of work, and units are grouped into commits.

Every process has one writer thread. Units queued while the disk was busy share the next transaction, and
the thread waits briefly for the callers that shared the last one. `run` returns only when the commit is on
disk. If a unit fails, the group is rolled back, and each unit runs again in a savepoint of its own. If no
other unit is waiting in any process, the caller's thread writes directly: waking the writer thread would
cost more than a small unit itself (docs/decisions/0002-group-commit.md).

A unit that answers no request, such as storing a quote, need not wait for the disk (`durable=False`): it is
on disk after the next durable commit. A power cut can lose only units committed after the last durable one.

Units run one after another over all processes. A unit can therefore read positions, check an order and
store it, and no other write comes in between.

A unit may run twice or be rolled back, so it must not count or log. `after_commit` names what to do then.

What the store must hold before anything else, such as a halt that it refused to take, is written by
`run_first`, at the beginning of each transaction.

While the store takes no writes, the callers of a web worker must not all wait for it. After a moment each
needs a place to wait at (`places`); without one it is refused at once with Overloaded.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol, TypeVar, cast

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from algosat.errors import Overloaded, StoreBusy, StoreFull
from algosat.store.database import Database
from algosat.store.failures import file_error, store_error
from algosat.store.prepared import Prepared
from algosat.store.write_lock import acquire, exclusive

T = TypeVar("T")
Work = Callable[[Connection], T]

Effect = Callable[[], None]
Leave = Callable[[], None]
Places = Callable[[], Leave | None]  # takes a place to wait at; None: there is none

_LARGEST_GROUP: Final = 64
_LINGER: Final = 0.006  # seconds: about the time a worker spends on eight requests outside the store
_LOCK_WAIT: Final = 250  # milliseconds for SQLite's lock, which only other programs hold; then again
_MOMENT: Final = 0.5  # seconds after which a write that has not begun is waiting for more than other writes
_EFFECTS: Final = "effects of the unit"  # key in `Connection.info`
_POSTGRES_LOCK: Final = 0x616C676F  # an arbitrary number that all writers share

_LOCK_POSTGRES = Prepared(text(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})"))
_BEGIN_UNIT = Prepared(text("SAVEPOINT unit"))
_DROP_UNIT = Prepared(text("ROLLBACK TO SAVEPOINT unit"))
_KEEP_UNIT = Prepared(text("RELEASE SAVEPOINT unit"))
_BEGIN_PART = Prepared(text("SAVEPOINT part"))
_DROP_PART = Prepared(text("ROLLBACK TO SAVEPOINT part"))
_KEEP_PART = Prepared(text("RELEASE SAVEPOINT part"))


class First(Protocol):
    """What a transaction must write before its units. It usually has nothing to write."""

    def is_due(self) -> bool: ...

    def write(self, connection: Connection) -> None:
        """Write it, as a unit of work does. An exception fails the transaction."""


class _Unit:
    """A unit of work and its outcome. A Future would cost more than a small unit itself."""

    __slots__ = ("_claims", "_done", "came_at", "durable", "effects", "failure", "result", "work")

    def __init__(self, work: Work[Any], *, durable: bool) -> None:
        self.work, self.durable = work, durable
        self.came_at = time.monotonic()
        self.effects: list[Effect] = []  # of the last run
        self.result: Any = None
        self.failure: BaseException | None = None
        self._claims = [None]
        self._done = threading.Lock()
        self._done.acquire()

    def run(self, connection: Connection) -> Any:
        connection.info[_EFFECTS] = self.effects = []
        return self.work(connection)

    def claim(self) -> bool:
        """Claim the unit, to run it or to give it up. True for the first caller only."""
        try:
            self._claims.pop()
        except IndexError:
            return False
        return True

    @property
    def is_claimed(self) -> bool:
        return not self._claims

    def finish(self, result: Any, failure: BaseException | None) -> None:
        self.result, self.failure = result, failure
        self._done.release()

    def wait(self, seconds: float = -1) -> bool:
        """Wait until the unit is finished, at most `seconds` if given. True if it is finished."""
        return self._done.acquire(timeout=seconds)


_Outcome = tuple[_Unit, Any, BaseException | None]


class Writer:
    """Runs units of work for all threads of a process. Create it after a fork: its thread is not copied."""

    def __init__(self, database: Database, places: Places | None = None) -> None:
        """Start the writer.

        Args:
            places: Limits how many callers wait for a store that takes no writes; None: all may.
        """
        self._database, self._places = database, places
        self._queue: SimpleQueue[_Unit | None] = SimpleQueue()
        self._closing = False
        self._first: First | None = None
        self._running: list[_Unit] = []  # units whose callers are in `run`
        self._group_size = 1  # number of units in the last commit
        self._expected = 0  # number of units the thread waits for
        self._complete = threading.Event()  # set when all are queued
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    def run(self, work: Work[T], *, timeout: float = 10.0, durable: bool = True) -> T:
        """Run a unit of work and return its result when it is committed.

        An exception of `work` rolls the unit back and is raised here. If another unit of the group fails,
        `work` runs a second time, so all its effects must be undone by a rollback, or be left to
        `after_commit`.
        Raises StoreBusy if the unit did not begin within `timeout` seconds, and Overloaded if it may not wait
        that long. It will not run later.
        """
        unit = self._run(_Unit(work, durable=durable), timeout)
        if isinstance(unit.failure, StoreFull) and self._frees_space():
            unit = self._run(_Unit(work, durable=durable), timeout)
        if unit.failure is not None:
            raise unit.failure
        for effect in unit.effects:
            effect()
        return cast(T, unit.result)

    def run_first(self, first: First) -> None:
        """Write what `first` has to write at the beginning of each transaction, before its units."""
        self._first = first

    def close(self) -> None:
        """Run the units whose callers wait, then stop the thread.

        If no caller waits, a thread that is blocked by another process's lock is left behind.
        """
        self._queue.put(None)
        self._thread.join(None if self._running else _MOMENT)

    def _run(self, unit: _Unit, timeout: float) -> _Unit:
        self._running.append(unit)
        try:
            if not self._run_directly(unit):
                self._run_in_group(unit, timeout)
        finally:
            self._running.remove(unit)
        return unit

    def _frees_space(self) -> bool:
        """Release the disk reserve. Returns whether a write that found no space may succeed now."""
        reserve = self._database.reserve
        return reserve is not None and reserve.release()

    def _run_directly(self, unit: _Unit) -> bool:
        """Run the unit in the caller's thread if no other unit is waiting. True if it has run."""
        path = self._database.path
        if path is None or self._group_size > 1 or len(self._running) > 1:
            return False
        claimed: list[_Unit] = []
        try:
            lock = acquire(path, wait=False)
            if lock is None:
                return False
            try:
                outcomes = self._run_together([unit], claimed)
            finally:
                os.close(lock)
        except BaseException as error:  # noqa: BLE001 - raised by `run`
            if not claimed and _is_locked(error):
                return False  # another program has SQLite's lock: the caller must be able to give up
            outcomes = [(unit, None, _translated(error))]
        _finish(outcomes)
        return True

    def _run_in_group(self, unit: _Unit, timeout: float) -> None:
        self._queue.put(unit)
        if 0 < self._expected <= self._queue.qsize():
            self._complete.set()
        if self._wait(unit, timeout):
            return
        if unit.claim():
            detail = f"the store did not take the write within {timeout:g} s"
            raise StoreBusy(detail)
        unit.wait()  # it has begun: the caller needs its real outcome

    def _wait(self, unit: _Unit, timeout: float) -> bool:
        """Wait until the unit is finished. Returns False after `timeout` seconds; raises Overloaded."""
        if self._places is None:
            return unit.wait(timeout)
        # The units before this one may have been waiting for a while.
        moment = min(max(self._running[0].came_at + _MOMENT - unit.came_at, 0), timeout)
        if unit.wait(moment):
            return True
        leave = self._places()
        if leave is None:
            if unit.claim():
                detail = "The store takes no writes now, and enough requests wait for it; try again shortly"
                raise Overloaded(detail)
            return False
        try:
            return unit.wait(timeout - moment)
        finally:
            leave()

    def _serve(self) -> None:
        while not self._closing:
            group: list[_Unit] = []
            if self._take(group):
                self._gather(group)
                self._commit(group)

    def _gather(self, group: list[_Unit]) -> None:
        """Wait briefly for the callers that shared the last commit. Another process can write meanwhile."""
        self._complete.clear()
        self._expected = self._group_size - len(group)
        if self._queue.qsize() < self._expected:
            self._complete.wait(_LINGER)
        self._expected = 0

    def _take(self, group: list[_Unit], *, wait: bool = True) -> bool:
        """Add the next queued unit to the group. True if there was one."""
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
        claimed: list[_Unit] = []
        outcomes: list[_Outcome] = []
        try:
            with exclusive(self._database):
                # Units queued while another process held the lock join the group.
                while len(group) < _LARGEST_GROUP and self._take(group, wait=False):
                    pass
                self._group_size = len(group)
                if all(unit.is_claimed for unit in group):
                    return  # every caller has given up
                outcomes = self._run_once_unlocked(group, claimed)
                if claimed and not outcomes:
                    outcomes = self._run_separately(claimed)
        except BaseException as error:  # noqa: BLE001 - raised in every caller
            outcomes = [(unit, None, _translated(error)) for unit in claimed or _claimed(group)]
        _finish(outcomes)

    def _run_once_unlocked(self, group: list[_Unit], claimed: list[_Unit]) -> list[_Outcome]:
        """Run the units for the callers that wait until no other program has SQLite's lock."""
        while True:
            try:
                return self._run_together(group, claimed)
            except OperationalError as error:
                if claimed or not _is_locked(error) or all(unit.is_claimed for unit in group):
                    raise

    def _run_together(self, group: list[_Unit], claimed: list[_Unit]) -> list[_Outcome]:
        """Run the units whose callers wait, without savepoints, and add them to `claimed`.

        They are claimed once the store has begun the transaction: until then their callers may give up. If
        one of several fails, write nothing and return nothing.
        """
        try:
            with self._transaction(group) as connection:
                claimed += _claimed(group)
                return _results(connection, claimed)
        except _UnitOfGroupFailed:
            return []

    def _run_separately(self, group: list[_Unit]) -> list[_Outcome]:
        """Run each unit in a savepoint."""
        with self._transaction(group) as connection:
            return [(unit, *_attempt(connection, unit)) for unit in group]

    @contextmanager
    def _transaction(self, group: list[_Unit]) -> Iterator[Connection]:
        first = self._first if self._first is not None and self._first.is_due() else None
        durable = first is not None or any(unit.durable for unit in group)
        effects: list[Effect] = []
        with self._database.write(durable=durable, wait=_LOCK_WAIT) as connection:
            if not self._database.is_sqlite:
                _LOCK_POSTGRES.run(connection, {})
            if first is not None:
                connection.info[_EFFECTS] = effects
                first.write(connection)
            yield connection
        for effect in effects:
            effect()


def _claimed(group: list[_Unit]) -> list[_Unit]:
    """Claim the units whose callers have not given up, and return them."""
    return [unit for unit in group if unit.claim()]


def _results(connection: Connection, group: list[_Unit]) -> list[_Outcome]:
    try:
        return [(unit, unit.run(connection), None) for unit in group]
    except Exception as error:
        if len(group) == 1:
            raise
        raise _UnitOfGroupFailed from error


class _UnitOfGroupFailed(Exception):
    """One unit of several has failed. Not raised for a failed commit, which may have taken effect."""


def after_commit(connection: Connection, effect: Effect) -> None:
    """Call `effect` once, when the unit of work is committed; never if the unit or its part is undone.

    `Writer.run` calls it in the thread of its caller, before it returns. `effect` must not raise.
    """
    connection.info[_EFFECTS].append(effect)


@contextmanager
def part(connection: Connection) -> Iterator[None]:
    """Run a part of a unit of work in a savepoint. An exception undoes this part only, and is raised."""
    effects: list[Effect] = connection.info[_EFFECTS]
    before = len(effects)
    _BEGIN_PART.run(connection, {})
    try:
        yield
    except BaseException:
        _DROP_PART.run(connection, {})
        del effects[before:]
        raise
    _KEEP_PART.run(connection, {})


def _attempt(connection: Connection, unit: _Unit) -> tuple[Any, BaseException | None]:
    _BEGIN_UNIT.run(connection, {})
    try:
        result = unit.run(connection)
    except Exception as error:  # noqa: BLE001 - raised in the caller; the rest of the group continues
        _DROP_UNIT.run(connection, {})
        return None, error
    _KEEP_UNIT.run(connection, {})
    return result, None


def _finish(outcomes: list[_Outcome]) -> None:
    for unit, result, failure in outcomes:
        unit.finish(result, failure)


def _translated(error: BaseException) -> BaseException:
    """Return the error to raise in the caller: that of the store if it cannot be written now."""
    # An OSError comes from opening the lock file: if that fails, the store cannot be written either.
    translated = file_error(error) if isinstance(error, OSError) else store_error(error)
    if translated is None:
        return error
    translated.__cause__ = error
    return translated


def _is_locked(error: BaseException) -> bool:
    """Return whether SQLite refused because another program has its lock."""
    return isinstance(error, OperationalError) and "locked" in str(error)
