"""The plan of injected faults: which faults a broker suffers, and how often.

Faults are for tests and drills. They are drawn by seed, verb and number of the call, so a failed run can
be repeated. A server reads its plan from a file whenever the file changes, in the environment `testing`
only.
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
    """A kind of fault."""

    # Faults of calls.
    DOWN = "down"  # the broker cannot be reached; at a rate of 1 nothing is pushed either
    SESSION_EXPIRED = "session_expired"
    RATE_LIMITED = "rate_limited"
    REJECTED = "rejected"
    LOST = "lost"  # the request never arrives, and the call times out
    ANSWER_LOST = "answer_lost"  # the request is carried out, but the call times out
    TAKEN_LATE = "taken_late"  # the call times out, and the request arrives after the delay
    ANSWERED_LATE = "answered_late"  # the answer comes after the delay
    READ_LATE = "read_late"  # a reading is answered after the delay
    ACKNOWLEDGED = (
        "acknowledged"  # the answer is an `Ack`: only the order book and later changes show the state
    )
    CANCEL_CROSSES_FILL = "cancel_crosses_fill"  # the order is filled while the cancel is on its way
    SILENT = "silent"  # at a rate of 1, no quotes are pushed
    # Faults of pushed reports.
    DROPPED = "dropped"
    DUPLICATED = "duplicated"
    OUT_OF_ORDER = "out_of_order"  # the report comes after the delay, and so after later reports
    PARTIAL_AFTER_COMPLETE = "partial_after_complete"  # an older state follows the final one


_OF_ALL_CALLS: Final = (Fault.DOWN, Fault.SESSION_EXPIRED, Fault.RATE_LIMITED)
OF_READS: Final = (*_OF_ALL_CALLS, Fault.READ_LATE)
OF_WRITES: Final = (
    *_OF_ALL_CALLS,
    Fault.REJECTED,
    Fault.LOST,
    Fault.ANSWER_LOST,
    Fault.TAKEN_LATE,
    Fault.ANSWERED_LATE,
    Fault.ACKNOWLEDGED,
)
OF_CANCELS: Final = (*OF_WRITES, Fault.CANCEL_CROSSES_FILL)
OF_UPDATES: Final = (Fault.DROPPED, Fault.DUPLICATED, Fault.OUT_OF_ORDER, Fault.PARTIAL_AFTER_COMPLETE)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How often each fault occurs.

    `rates` are shares of the calls, or of the pushed reports, between 0 and 1. The shares of all faults that
    a call can suffer add up.
    """

    seed: int = 0
    rates: Mapping[Fault, float] = field(default_factory=dict)
    delay_seconds: float = 0.2

    def draw(self, kinds: tuple[Fault, ...], verb: str, number: int) -> Fault | None:
        """Return the fault of this call, if any."""
        chosen = seeded.uniform(self.seed, verb, number)
        for fault in kinds:
            chosen -= self.rates.get(fault, 0.0)
            if chosen < 0:
                return fault
        return None

    def always(self, fault: Fault) -> bool:
        return self.rates.get(fault, 0.0) >= 1


class AdjustablePlan:
    """A plan in memory that a test can change at any time."""

    def __init__(self, plan: FaultPlan | None = None) -> None:
        self.plan = plan or FaultPlan()

    def __call__(self) -> FaultPlan:
        return self.plan


class PlanFile:
    """The plan in a file, read again when the file changes. Without the file there are no faults.

    {"seed": 1, "rates": {"down": 0.1, "answer_lost": 0.05}, "delay_seconds": 0.2}

    With `"accounts": ["paper"]`, only these accounts have faults.
    """

    def __init__(self, path: Path, account: str) -> None:
        self._path, self._account = path, account
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
            self._plan, self._seen = read(self._path.read_bytes(), self._account), seen
        return self._plan


def read(content: bytes, account: str) -> FaultPlan:
    """Return the plan for an account. Raises ConfigurationError if the content is not a valid plan."""
    try:
        data = orjson.loads(content)
        if account not in data.get("accounts", [account]):
            return FaultPlan()
        return FaultPlan(
            seed=int(data.get("seed", 0)),
            rates={Fault(name): float(rate) for name, rate in data.get("rates", {}).items()},
            delay_seconds=float(data.get("delay_seconds", 0.2)),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"the fault plan cannot be read: {error}") from error


def configured(
    environment: Environment, account: str, variables: Mapping[str, str] | None = None
) -> PlanFile | None:
    """Return the plan named by the environment variable, or None if the variable is not set.

    Raises ConfigurationError if it is set in an environment other than `testing`.
    """
    path = (os.environ if variables is None else variables).get(FILE_VARIABLE)
    if not path:
        return None
    if environment != "testing":
        raise ConfigurationError(
            f"{FILE_VARIABLE} is set in the environment {environment}: faults are for testing only; unset it"
        )
    return PlanFile(Path(path), account)
