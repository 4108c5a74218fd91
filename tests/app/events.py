"""Waits for events. No test waits a fixed time, because a busy machine takes longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

# Seconds until a test gives up waiting. An event that takes longer is taken to be missing.
PATIENCE: Final = 60


def wait_for(happened: Callable[[], bool]) -> None:
    """Return once `happened` is true. Fails if it is still false after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"the expected event did not happen within {PATIENCE} s"
        time.sleep(0.01)
