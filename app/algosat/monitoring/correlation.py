"""The id that follows one request through log lines, events, the engine and broker calls."""

from __future__ import annotations

import random
import re
from contextvars import ContextVar
from typing import Final

current: ContextVar[str] = ContextVar("correlation_id", default="-")

_FORM: Final = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


def begin(offered: str | None) -> str:
    """Start with the id a caller offers, or with a new one when it is none we would write into a log."""
    chosen = offered if offered is not None and _FORM.fullmatch(offered) else new()
    current.set(chosen)
    return chosen


def new() -> str:
    return f"{random.getrandbits(128):032x}"
