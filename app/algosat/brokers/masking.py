"""Texts about a broker's calls without what may be secret: log lines and probes are sent to others."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Final

_LONG: Final = re.compile(r"[A-Za-z0-9_=+/-]{16,}")  # tokens, keys, parts of URLs
_DIGIT: Final = re.compile(r"[0-9]")
_LONGEST: Final = 200  # characters
_FRAMES: Final = 8  # the innermost


def without_secrets(text: str) -> str:
    """Return a message without numbers, and without anything long enough to be a token."""
    return _DIGIT.sub("#", _LONG.sub("...", text))


def described(error: BaseException) -> str:
    """Return the type of an error and its message, without secrets."""
    message = without_secrets(str(error))[:_LONGEST]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def frames(error: BaseException) -> list[str]:
    """Return where an error was raised, innermost frame last, without values and messages."""
    found = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in found]
