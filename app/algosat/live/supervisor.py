"""The supervisor's loop: what the store wants, compared with what runs, again and again.

It keeps nothing that it could not find again: killed and started anew, it goes by the store. Its
children end with it, since they notice that nobody listens to them any more.
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

from algosat.errors import AlgosatError
from algosat.live import definitions, manage
from algosat.live.definitions import Definition
from algosat.live.strategy_process import Launch
from algosat.live.supervised import SupervisedStrategy
from algosat.monitoring import correlation
from algosat.store import audit, heartbeats
from algosat.store.audit import Cause
from algosat.store.wakeup import channels
from algosat.trading.desk import Desk

_ACTOR: Final = "strategies"
_TELL_EVERY: Final = 2.0  # seconds, where nothing has changed

# Raises when another supervisor may be at work on the same store: then this one must not go on.
Fence = Callable[[Connection], None]

_log = structlog.get_logger(__name__)


class Supervisor:
    def __init__(self, desk: Desk, launch: Launch, fence: Fence) -> None:
        self._desk = desk
        self._launch = launch
        self._fence = fence
        self._wards: dict[str, SupervisedStrategy] = {}
        self._known: Mapping[str, Definition] = {}
        self._told: dict[str, Any] = {}
        self._tell_at = 0.0

    def step(self, now: float) -> None:
        """Look at the store and after every strategy once. Raises what the fence raises."""
        self._look()
        for name, definition in self._known.items():
            self._ward(name).step(definition, now)
        self._tell(now)

    def stop(self, pause: float = 0.1) -> None:
        """Stop every strategy, and wait for the last one."""
        while any(supervised.is_alive for supervised in self._wards.values()):
            for supervised in self._wards.values():
                supervised.step(None, time.monotonic())
            time.sleep(pause)

    def _look(self) -> None:
        try:
            with self._desk.database.read() as connection:
                self._fence(connection)
                self._known = {each.name: each for each in definitions.every(connection)}
        except SQLAlchemyError as error:
            _log.warning("strategies_not_read", reason=str(error))  # what was wanted a moment ago still is

    def _ward(self, name: str) -> SupervisedStrategy:
        if name not in self._wards:
            self._wards[name] = SupervisedStrategy(self._launch, self._note_crash, self._give_up)
        return self._wards[name]

    def _note_crash(self, definition: Definition, reason: str) -> None:
        _log.error("strategy_crashed", strategy=definition.name, run=definition.run, reason=reason)
        data = {"run": definition.run, "reason": reason}

        def work(connection: Connection) -> None:
            at, cause = self._desk.clock(), Cause(_ACTOR, correlation.new())
            audit.append(connection, at, "strategy.crashed", definition.name, cause, data)

        self._write(work)

    def _give_up(self, definition: Definition, reason: str) -> None:
        _log.critical("strategy_given_up", strategy=definition.name, run=definition.run, reason=reason)

        def work(connection: Connection) -> None:
            at, cause = self._desk.clock(), Cause(_ACTOR, correlation.new())
            definitions.give_up(connection, definition, reason, at, cause)

        self._write(work)
        self._look()

    def _tell(self, now: float) -> None:
        """Write down how all of them are, when it has changed, and every now and then."""
        told = {name: self._ward(name).status(each) for name, each in self._known.items()}
        states = {name: (each["state"], each.get("pid")) for name, each in told.items()}
        if states == self._told and now < self._tell_at:
            return
        self._told, self._tell_at = states, now + _TELL_EVERY
        at = self._desk.clock()

        def work(connection: Connection) -> None:
            heartbeats.write(connection, heartbeats.STRATEGIES, at, {"strategies": told})

        self._write(work)

    def _write(self, work: Any) -> None:
        try:
            self._desk.writer.run(work)
        except (AlgosatError, SQLAlchemyError) as error:
            # Strategies must be looked after, whether or not it can be written down.
            _log.warning("supervision_not_written", reason=str(error))


def take_over(
    acquire: Callable[[], bool], stopping: threading.Event, poll: float, alive: Callable[[], None]
) -> bool:
    """Wait until no other supervisor is at work on the store. Whether that came before somebody said stop."""
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
    """Look after all strategies until `stopping` is set, calling `alive` each time round."""
    supervisor = Supervisor(desk, launch, fence)
    listener = channels.listener(desk.database, runtime_directory, manage.CHANNEL)
    try:
        while not stopping.is_set():
            supervisor.step(time.monotonic())
            alive()
            listener.wait(poll)
    finally:
        supervisor.stop()
        listener.close()
