"""The watchdog pipe: the main loop of a strategy's process writes a line to it, the supervisor reads it.

A thread of its own would go on writing while a callback hangs. If nobody reads the pipe any more, the
supervisor has ended, and a strategy that is not supervised must not trade.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from algosat.errors import AlgosatError, Component

VARIABLE: Final = "ALGOSAT_WATCHDOG_PIPE"  # environment variable: the number of the inherited pipe
PING: Final = "ping"
FAILED: Final = "failed "


class SupervisorGone(AlgosatError):
    code, title = "supervisor_gone", "The supervisor of this strategy has ended"
    component = Component.STRATEGIES


class WatchdogPipe:
    """The writing end, in the strategy's process."""

    def __init__(self, pipe: int | None) -> None:
        self._pipe = pipe

    @classmethod
    def inherited(cls, environment: Mapping[str, str] = os.environ) -> WatchdogPipe:
        """Return the supervisor's pipe. A process that was started by hand has none and writes nothing."""
        number = environment.get(VARIABLE)
        return cls(int(number) if number else None)

    def ping(self) -> None:
        """Report that the main loop is running. Raises SupervisorGone."""
        self._write(PING)

    def failed(self, reason: str) -> None:
        """Report why this process ends. Raises SupervisorGone."""
        self._write(FAILED + " ".join(reason.split())[:500])

    def _write(self, line: str) -> None:
        if self._pipe is None:
            return
        try:
            os.write(self._pipe, line.encode() + b"\n")
        except BlockingIOError:
            return  # the pipe is full of unread lines, which are enough
        except OSError as error:
            self._pipe = None
            raise SupervisorGone(f"the watchdog pipe has no reader: {error.strerror}") from error
