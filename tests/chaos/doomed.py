"""A process of Algosat that kills itself at a step of an order's processing.

`python -m tests.chaos.doomed DIRECTORY STEPS NOTES engine|api` runs the engine or the API with the
configuration in DIRECTORY. It draws one of the first STEPS steps (0: none) and kills itself there by SIGKILL,
after writing the step's name to the file NOTES.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from algosat.brokers.base import Broker
from algosat.brokers.paper.venue import Venue
from algosat.cli import cli
from algosat.domain.orders import Order, OrderChange
from algosat.engine.heartbeat import EngineHeartbeat
from algosat.engine.quotes import QuoteBoard
from algosat.store import writer
from algosat.store.database import Database
from algosat.trading.instrument_list import InstrumentSwap

T = TypeVar("T")

# Units of work that write prices and heartbeats, which are not part of an order's processing.
NOT_COUNTED: Final = tuple(
    each.__qualname__ for each in (QuoteBoard, EngineHeartbeat, InstrumentSwap, Venue.pass_time)
)


class Reaper:
    """Counts steps in all threads and kills the process at the drawn one."""

    def __init__(self, steps: int, notes: Path) -> None:
        self._left = random.SystemRandom().randint(1, steps) if steps else -1
        self._notes = notes
        self._lock = threading.Lock()

    def step(self, name: str) -> None:
        with self._lock:
            self._left -= 1
            if self._left != 0:
                return
            with self._notes.open("a") as notes:
                notes.write(f"{name}\n")
            os.kill(os.getpid(), signal.SIGKILL)


class MortalWriter(writer.Writer):
    """Kills the process before or after a commit."""

    reaper: Reaper

    def run(self, work: Callable[[Connection], T], *, timeout: float = 10.0, durable: bool = True) -> T:
        name = getattr(work, "__qualname__", "work").replace(".<locals>", "").replace(".<lambda>", "")
        if name.startswith(NOT_COUNTED):
            return super().run(work, timeout=timeout, durable=durable)
        self.reaper.step(f"before the commit of {name}")
        result = super().run(work, timeout=timeout, durable=durable)
        self.reaper.step(f"after the commit of {name}")
        return result


class MortalBroker:
    """Kills the process before a request is sent or before its answer is returned."""

    def __init__(self, inner: Broker, reaper: Reaper) -> None:
        self._inner, self._reaper = inner, reaper

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def place(self, order: Order) -> Any:
        return self._around("place", lambda: self._inner.place(order))

    def modify(self, order: Order, change: OrderChange) -> Any:
        return self._around("modify", lambda: self._inner.modify(order, change))

    def cancel(self, order: Order) -> Any:
        return self._around("cancel", lambda: self._inner.cancel(order))

    def _around(self, name: str, call: Callable[[], Any]) -> Any:
        self._reaper.step(f"before {name}")
        result = call()
        self._reaper.step(f"after {name}")
        return result


def main(directory: str, steps: str, notes: str, role: str) -> None:
    if role == "engine":
        _doom_engine(Reaper(int(steps), Path(notes)))
        cli(["--config-dir", directory, "engine", "run"])
    else:
        _doom_workers(int(steps), Path(notes))
        cli(["--config-dir", directory, "serve"])


def _doom_engine(reaper: Reaper) -> None:
    from algosat.engine import main as engine

    connect = vars(engine)["configured_broker"]  # creates the engine's broker
    MortalWriter.reaper = reaper
    vars(engine)["Writer"] = MortalWriter
    vars(engine)["configured_broker"] = lambda *given: MortalBroker(connect(*given), reaper)


def _doom_workers(steps: int, notes: Path) -> None:
    """Let every worker draw its own step when it creates its writer, after the fork."""
    from algosat import app

    class WorkersWriter(MortalWriter):
        def __init__(self, database: Database, places: writer.Places | None = None) -> None:
            super().__init__(database, places)
            self.reaper = Reaper(steps, notes)

    vars(app)["Writer"] = WorkersWriter


if __name__ == "__main__":
    main(*sys.argv[1:])
