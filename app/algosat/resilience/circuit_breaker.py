"""A circuit breaker: after several failures in a row, or a call that hangs, calls are refused for a while.

It only counts: the caller makes the calls, reports their outcome and passes the time.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from algosat.clock import has_come

_SHORTEST: Final = 0.8  # share of the pause


class CircuitState(StrEnum):
    CLOSED = "closed"  # calls pass
    OPEN = "open"  # calls are refused
    HALF_OPEN = "half_open"  # one call may pass, or is under way: its outcome decides


class CallOutcome(StrEnum):
    ANSWERED = "answered"
    FAILED = "failed"
    HUNG = "hung"  # given up: the call has not ended


class CircuitBreaker:
    """Closed until `failures` calls in a row have failed or one has hung, then open for a pause.

    After the pause one call passes, the probe: its success closes the circuit, its failure opens it again. A
    call that has not ended after `hangs_after` counts as failed, and opens the circuit by itself, since each
    further call may take a thread. A call that ends later than that proves nothing.

    The pause lasts between 80 and 100 % of `pause`, so that circuits that opened together do not call
    together.
    """

    def __init__(
        self,
        *,
        failures: int,
        pause: timedelta,
        hangs_after: timedelta,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Build a closed circuit; `draw` returns a number from 0 to 1, which determines a pause."""
        self._failures, self._pause, self._hangs_after = failures, pause, hangs_after
        self._draw = draw
        self._lock = threading.Lock()
        self._failed = 0  # in a row
        self._number = 0  # of the last call
        self._calls: dict[int, datetime] = {}  # under way, each with its begin
        self._probe: int | None = None
        self._open_until: datetime | None = None  # also while half-open; None: closed

    def try_begin(self, at: datetime, *, always: bool = False) -> int | None:
        """Return the number of a call that may be made now, or None if the circuit refuses it.

        `always`: the call passes while the circuit is open, and its outcome counts.
        """
        with self._lock:
            self._find_hung(at)
            state = self._state(at)
            is_probe = state is CircuitState.HALF_OPEN and self._probe is None
            if state is not CircuitState.CLOSED and not is_probe and not always:
                return None
            self._number += 1
            self._calls[self._number] = at
            if is_probe:
                self._probe = self._number
            return self._number

    def end(self, call: int, at: datetime, outcome: CallOutcome) -> bool:
        """Count the outcome of a call. Return whether it opened the circuit."""
        with self._lock:
            self._find_hung(at)
            if self._calls.pop(call, None) is None:
                return False  # it had hung, and is counted
            if call == self._probe:
                self._probe = None
            if outcome is CallOutcome.ANSWERED:
                self._failed, self._open_until, self._probe = 0, None, None
                return False
            return self._count_failure(at, hung=outcome is CallOutcome.HUNG)

    def state(self, at: datetime) -> CircuitState:
        with self._lock:
            self._find_hung(at)
            return self._state(at)

    def _state(self, at: datetime) -> CircuitState:
        if self._open_until is None:
            return CircuitState.CLOSED
        # Setting the clock back does not prolong the pause.
        is_over = has_come(self._open_until, at, within=self._pause)
        return CircuitState.HALF_OPEN if is_over else CircuitState.OPEN

    def _find_hung(self, at: datetime) -> None:
        """Count the calls that have hung, each once, and open the circuit."""
        for call, since in list(self._calls.items()):
            if at - since < -self._hangs_after:
                self._calls[call] = at  # the clock was set back: the call's age is not known
            elif at - since > self._hangs_after:
                del self._calls[call]
                if call == self._probe:
                    self._probe = None
                self._count_failure(at, hung=True)

    def _count_failure(self, at: datetime, *, hung: bool) -> bool:
        self._failed = max(self._failed + 1, self._failures if hung else 0)
        if self._failed < self._failures:
            return False
        self._open_until = at + self._pause * (_SHORTEST + (1 - _SHORTEST) * self._draw())
        return True
