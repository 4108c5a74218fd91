"""Waiting for events. No test waits for a moment: on a busy machine everything takes longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

# Seconds until a test gives up an event. Nothing takes as long as this, unless it never happens.
PATIENCE: Final = 60


def wait_for(happened: Callable[[], bool]) -> None:
    """Return once `happened` is true; fail when it is still false after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"the expected event did not happen within {PATIENCE} s"
        time.sleep(0.01)
