"""How a strategy's process shows that it lives: a line on a pipe to the supervisor, from its main loop.

A thread of its own would go on beating while a callback hangs. When nobody reads the pipe any
more, the supervisor is gone, and a strategy nobody watches must not trade.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from algosat.errors import AlgosatError, Category

VARIABLE: Final = "ALGOSAT_PULSE"  # number of the inherited pipe
BEAT: Final = "beat"
FAILED: Final = "failed "


class SupervisorGone(AlgosatError):
    code, title = "supervisor_gone", "The supervisor of this strategy has ended"
    category = Category.TRADING


class WatchdogPipe:
    def __init__(self, pipe: int | None) -> None:
        self._pipe = pipe

    @classmethod
    def inherited(cls, environment: Mapping[str, str] = os.environ) -> WatchdogPipe:
        """Of a process that was started by hand: nobody listens."""
        number = environment.get(VARIABLE)
        return cls(int(number) if number else None)

    def beat(self) -> None:
        """Raises SupervisorGone."""
        self._write(BEAT)

    def failed(self, reason: str) -> None:
        """Leave behind why this process ends."""
        self._write(FAILED + " ".join(reason.split())[:500])

    def _write(self, line: str) -> None:
        if self._pipe is None:
            return
        try:
            os.write(self._pipe, line.encode() + b"\n")
        except BlockingIOError:
            return  # the pipe is full of beats that were not read yet: they will do
        except OSError as error:
            self._pipe = None
            raise SupervisorGone(f"nobody reads the pulse any more: {error.strerror}") from error
