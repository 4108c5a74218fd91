"""The one place that asks the machine for the time; whoever needs it is handed a Clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def now() -> datetime:
    return datetime.now(UTC)


def has_come(moment: datetime, at: datetime, *, within: timedelta) -> bool:
    """Whether a moment has come that was set `within` ahead at the most.

    One that is farther away now was set before the clock was put back: to wait for the old time to come
    again could take hours.
    """
    return not at < moment <= at + within
