"""A circuit breaker: after several failures in a row, calls are refused for a while.

It only counts: the caller makes the calls, reports their outcome and passes the time.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from algosat.clock import has_come


class CircuitBreaker:
    """Closed until `failures` calls in a row have failed, then open for `pause`.

    After the pause, the next outcome decides: a success closes the circuit, a failure opens it again.
    """

    def __init__(self, *, failures: int, pause: timedelta) -> None:
        self.failures, self.pause = failures, pause
        self._lock = threading.Lock()
        self._failed = 0  # in a row
        self._open_until: datetime | None = None

    def is_open(self, at: datetime) -> bool:
        """Return whether calls must be refused. Setting the clock back does not prolong the pause."""
        with self._lock:
            until = self._open_until
        return until is not None and not has_come(until, at, within=self.pause)

    def record_success(self) -> None:
        """Close the circuit."""
        with self._lock:
            self._failed, self._open_until = 0, None

    def record_failure(self, at: datetime) -> bool:
        """Count a failure. Return whether it opened the circuit."""
        with self._lock:
            self._failed += 1
            if self._failed < self.failures:
                return False
            self._open_until = at + self.pause
            return True
