"""A bar: prices and volume of a symbol in a time window, and the windows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Final

from algosat.domain.calendar import EXCHANGE_TIME

SECONDS_A_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices and volume of a symbol in a time window. Windows are counted from midnight at the venue.

    A window ends early if continuous trading ends within it, so a daily bar is complete before midnight.
    """

    symbol: str
    start: datetime  # UTC
    seconds: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trading_ended: datetime | None = None  # UTC; when continuous trading ended, if that was within the window

    @property
    def end(self) -> datetime:
        """Return the first moment after the bar. The bar is not known earlier."""
        return self.trading_ended or self.start + timedelta(seconds=self.seconds)


class Interval(StrEnum):
    """Length of a bar that a broker is asked for."""

    ONE_MINUTE = "1m"
    THREE_MINUTES = "3m"
    FIVE_MINUTES = "5m"
    TEN_MINUTES = "10m"
    FIFTEEN_MINUTES = "15m"
    THIRTY_MINUTES = "30m"
    ONE_HOUR = "1h"
    ONE_DAY = "1d"

    @property
    def length(self) -> timedelta:
        number, unit = int(self[:-1]), self[-1]
        return {"m": timedelta(minutes=number), "h": timedelta(hours=number), "d": timedelta(days=number)}[
            unit
        ]


def window_of(at: datetime, seconds: int, zone: tzinfo = EXCHANGE_TIME) -> datetime:
    """Return the start of the window that contains `at`, counted from midnight in this time zone."""
    offset = _offset(zone)
    local = int(at.timestamp() // 1) + offset
    into_day = local % SECONDS_A_DAY
    return datetime.fromtimestamp(local - into_day % seconds - offset, UTC)


@cache
def _offset(zone: tzinfo) -> int:
    """Return the offset of a time zone without daylight saving, in seconds."""
    return int((zone.utcoffset(None) or timedelta(0)).total_seconds())
