"""What can go wrong between us and a broker, and how often it is made to.

Faults exist to be tested against. They are drawn by seed, verb and the number of the call, so a
run that failed can be run again. A server reads them from a file, again whenever it changes, and
only in the environment `testing`; nothing of this is reachable anywhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import orjson

from algosat.config.settings import Environment
from algosat.errors import ConfigurationError
from algosat.exchange.prices import seeded

FILE_VARIABLE: Final = "ALGOSAT_PAPER_FAULTS"  # names the file


class Fault(StrEnum):
    # Of a call, and what is true afterwards.
    DOWN = "down"  # the broker cannot be reached; always: its pushes fail, too
    SESSION_EXPIRED = "session_expired"
    RATE_LIMITED = "rate_limited"
    REJECTED = "rejected"
    LOST = "lost"  # the request never arrives, and nobody says so
    ANSWER_LOST = "answer_lost"  # it arrives, is carried out, and the answer times out
    TAKEN_LATE = "taken_late"  # it times out, and arrives only after the delay
    ANSWERED_LATE = "answered_late"  # it is answered after the delay
    CANCEL_CROSSES_FILL = "cancel_crosses_fill"  # somebody trades while the cancel is on its way
    # Of an update that is pushed.
    DROPPED = "dropped"
    DUPLICATED = "duplicated"
    OUT_OF_ORDER = "out_of_order"  # it comes after the delay, and so after later ones
    PARTIAL_AFTER_COMPLETE = "partial_after_complete"  # an older state follows the last one


OF_READS: Final = (Fault.DOWN, Fault.SESSION_EXPIRED, Fault.RATE_LIMITED)
OF_WRITES: Final = (
    *OF_READS,
    Fault.REJECTED,
    Fault.LOST,
    Fault.ANSWER_LOST,
    Fault.TAKEN_LATE,
    Fault.ANSWERED_LATE,
)
OF_CANCELS: Final = (*OF_WRITES, Fault.CANCEL_CROSSES_FILL)
OF_UPDATES: Final = (Fault.DROPPED, Fault.DUPLICATED, Fault.OUT_OF_ORDER, Fault.PARTIAL_AFTER_COMPLETE)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Which share of the calls, and of the updates, suffers each fault; the shares of one kind add up."""

    seed: int = 0
    rates: Mapping[Fault, float] = field(default_factory=dict)
    delay_seconds: float = 0.2

    def draw(self, kinds: tuple[Fault, ...], verb: str, number: int) -> Fault | None:
        """The fault that befalls this call, if any."""
        chosen = seeded.uniform(self.seed, verb, number)
        for fault in kinds:
            chosen -= self.rates.get(fault, 0.0)
            if chosen < 0:
                return fault
        return None

    def always(self, fault: Fault) -> bool:
        return self.rates.get(fault, 0.0) >= 1


class Switch:
    """The plan in force, for a test to change at any time."""

    def __init__(self, plan: FaultPlan | None = None) -> None:
        self.plan = plan or FaultPlan()

    def __call__(self) -> FaultPlan:
        return self.plan


class FileSwitch:
    """The plan that a file holds; without the file there are no faults.

    {"seed": 1, "rates": {"down": 0.1, "answer_lost": 0.05}, "delay_seconds": 0.2}
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._plan = FaultPlan()

    def __call__(self) -> FaultPlan:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._seen, self._plan = None, FaultPlan()
            return self._plan
        seen = (status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            self._plan, self._seen = read(self._path.read_bytes()), seen
        return self._plan


def read(content: bytes) -> FaultPlan:
    """A plan from the file's content. Raises ConfigurationError when it is none."""
    try:
        data = orjson.loads(content)
        return FaultPlan(
            seed=int(data.get("seed", 0)),
            rates={Fault(name): float(rate) for name, rate in data.get("rates", {}).items()},
            delay_seconds=float(data.get("delay_seconds", 0.2)),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"the plan of faults cannot be read: {error}") from error


def configured(environment: Environment, variables: Mapping[str, str] | None = None) -> FileSwitch | None:
    """Where the plan is to be read from; None when there are to be no faults.

    Raises ConfigurationError when faults are asked for outside of `testing`.
    """
    path = (os.environ if variables is None else variables).get(FILE_VARIABLE)
    if not path:
        return None
    if environment != "testing":
        raise ConfigurationError(
            f"{FILE_VARIABLE} is set in the environment {environment}: faults are for testing only; unset it"
        )
    return FileSwitch(Path(path))
