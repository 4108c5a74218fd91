"""The correlation id, which follows a request through log lines, events, the engine and broker calls."""

from __future__ import annotations

import random
import re
from contextvars import ContextVar
from typing import Final

current: ContextVar[str] = ContextVar("correlation_id", default="-")

_FORM: Final = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


def begin(offered: str | None) -> str:
    """Return the id offered by the client, or a new one if it is not safe to log."""
    chosen = offered if offered is not None and _FORM.fullmatch(offered) else new()
    current.set(chosen)
    return chosen


def new() -> str:
    return f"{random.getrandbits(128):032x}"  # nosec B311
