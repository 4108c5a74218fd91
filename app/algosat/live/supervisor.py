"""The supervisor: a loop that makes the running processes match the definitions in the store.

Everything it needs is in the store, so it can be killed and restarted at any time. Its child processes end
with it, since they notice that the watchdog pipe has no reader.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from algosat.errors import AlgosatError, StrategyCrashed, StrategyGivenUp
from algosat.live import definitions, manage
from algosat.live.definitions import Definition
from algosat.live.strategy_process import Launch
from algosat.live.supervised import ProcessState, SupervisedStrategy
from algosat.monitoring import correlation
from algosat.resilience.error_log import Recovery
from algosat.store import audit, heartbeats
from algosat.store.audit import Cause
from algosat.store.wakeup import backend
from algosat.trading.desk import Desk

_ACTOR: Final = "strategies"
_REPORT_EVERY: Final = 2.0  # seconds, if nothing has changed
_READING: Final = "strategies reading"  # places in the error log
_WRITING: Final = "strategies writing"

# Raises an error if another supervisor may be working on the same store: this one must then stop.
Fence = Callable[[Connection], None]

_log = structlog.get_logger(__name__)


class Supervisor:
    """All supervised strategies of one store."""

    def __init__(self, desk: Desk, launch: Launch, fence: Fence) -> None:
        self._desk = desk
        self._launch = launch
        self._fence = fence
        self._supervised: dict[str, SupervisedStrategy] = {}
        self._known: Mapping[str, Definition] = {}
        self._crashed_at: dict[str, float] = {}  # of the strategies that are to be started again
        self._reported: dict[str, Any] = {}
        self._report_at = 0.0

    def step(self, now: float) -> None:
        """Read the store and check every strategy once. Raises the errors of the fence."""
        self._read_definitions()
        for name, definition in self._known.items():
            supervised = self._supervised_strategy(name)
            supervised.step(definition, now)
            if name in self._crashed_at and supervised.status(definition)["state"] is ProcessState.RUNNING:
                self._end_crash(name, succeeded=True)
        self._report(now)

    def stop(self, pause: float = 0.1) -> None:
        """Stop every strategy and wait until the last process has ended."""
        while any(supervised.is_alive for supervised in self._supervised.values()):
            for supervised in self._supervised.values():
                supervised.step(None, time.monotonic())
            time.sleep(pause)

    def _read_definitions(self) -> None:
        try:
            with self._desk.database.read() as connection:
                self._fence(connection)
                self._known = {each.name: each for each in definitions.list_all(connection)}
            self._desk.errors.round_passed(_READING)
        except SQLAlchemyError as error:
            _log.warning("strategies_not_read", reason=str(error))  # go on with those read last
            self._desk.errors.round_failed(error, _READING)

    def _supervised_strategy(self, name: str) -> SupervisedStrategy:
        if name not in self._supervised:
            self._supervised[name] = SupervisedStrategy(self._launch, self._note_crash, self._give_up)
        return self._supervised[name]

    def _note_crash(self, definition: Definition, reason: str) -> None:
        _log.error("strategy_crashed", strategy=definition.name, run=definition.run, reason=reason)
        self._crashed_at.setdefault(definition.name, time.monotonic())
        self._desk.errors.record(StrategyCrashed(reason), f"strategy {definition.name}")
        data = {"run": definition.run, "reason": reason}

        def work(connection: Connection) -> None:
            at, cause = self._desk.clock(), Cause(_ACTOR, correlation.new())
            audit.append(connection, at, "strategy.crashed", definition.name, cause, data)

        self._write(work)

    def _give_up(self, definition: Definition, reason: str) -> None:
        _log.critical("strategy_given_up", strategy=definition.name, run=definition.run, reason=reason)
        self._desk.errors.record(StrategyGivenUp(reason), f"strategy {definition.name}")
        self._end_crash(definition.name, succeeded=False)

        def work(connection: Connection) -> None:
            at, cause = self._desk.clock(), Cause(_ACTOR, correlation.new())
            definitions.give_up(connection, definition, reason, at, cause)

        self._write(work)
        self._read_definitions()

    def _end_crash(self, name: str, *, succeeded: bool) -> None:
        """Count the outcome of starting a crashed strategy again."""
        seconds = time.monotonic() - self._crashed_at.pop(name, time.monotonic())
        place = f"strategy {name}"
        self._desk.errors.recovered(Recovery.STRATEGY_RESTART, place, succeeded=succeeded, seconds=seconds)

    def _report(self, now: float) -> None:
        """Write the heartbeat with every strategy's status if a state has changed, else every 2 s."""
        statuses = {name: self._supervised_strategy(name).status(each) for name, each in self._known.items()}
        states = {name: (each["state"], each.get("pid")) for name, each in statuses.items()}
        if states == self._reported and now < self._report_at:
            return
        self._reported, self._report_at = states, now + _REPORT_EVERY
        at = self._desk.clock()

        def work(connection: Connection) -> None:
            heartbeats.write(connection, heartbeats.STRATEGIES, at, {"strategies": statuses})

        self._write(work)

    def _write(self, work: Any) -> None:
        try:
            self._desk.writer.run(work)
            self._desk.errors.round_passed(_WRITING)
        except (AlgosatError, SQLAlchemyError) as error:
            # Supervision goes on, even if its reports cannot be written.
            _log.warning("supervision_not_written", reason=str(error))
            self._desk.errors.round_failed(error, _WRITING)


def await_lead(
    acquire: Callable[[], bool], stopping: threading.Event, poll: float, alive: Callable[[], None]
) -> bool:
    """Wait for the leader lock. Returns False if `stopping` is set first."""
    while not stopping.is_set():
        if acquire():
            return True
        alive()
        stopping.wait(poll)
    return False


def supervise(
    desk: Desk,
    launch: Launch,
    fence: Fence,
    runtime_directory: Path,
    stopping: threading.Event,
    poll: float,
    alive: Callable[[], None],
) -> None:
    """Supervise all strategies until `stopping` is set, calling `alive` in every round."""
    supervisor = Supervisor(desk, launch, fence)
    listener = backend.listener(desk.database, runtime_directory, manage.CHANNEL)
    try:
        while not stopping.is_set():
            supervisor.step(time.monotonic())
            alive()
            listener.wait(poll)
    finally:
        supervisor.stop()
        listener.close()
