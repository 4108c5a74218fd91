"""When a strategy that crashed is started again, and when it is given up. Times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

WINDOW: Final = 600.0  # crashes longer ago than this are forgiven
CRASH_LIMIT: Final = 5  # crashes within the window end in giving up
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 60.0

PATIENCE: Final = 30.0  # without a sign of life; longer than the store may keep a write waiting
STOP_SECONDS: Final = 15.0  # to stop by itself


@dataclass(slots=True)
class Crashes:
    """The crashes of one run."""

    at: list[float] = field(default_factory=list)

    def add(self, now: float) -> None:
        self.at = [each for each in self.at if now - each < WINDOW] + [now]

    @property
    def are_too_many(self) -> bool:
        return len(self.at) >= CRASH_LIMIT

    @property
    def delay(self) -> float:
        """Before the next try: twice as long each time."""
        return float(min(_FIRST_DELAY * 2 ** (len(self.at) - 1), _LONGEST_DELAY))
