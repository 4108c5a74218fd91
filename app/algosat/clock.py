"""The clock: the only module that reads the machine's time. Others are given a Clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def now() -> datetime:
    return datetime.now(UTC)


def has_come(moment: datetime, at: datetime, *, within: timedelta) -> bool:
    """Return whether a moment has come that was set at most `within` ahead.

    A moment that is further ahead was set before the clock was put back, and counts as come: waiting for the
    old time again could take hours.
    """
    return not at < moment <= at + within
