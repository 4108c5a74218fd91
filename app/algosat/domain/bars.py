"""A bar: prices and volume of a symbol in a time window, and the windows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from algosat.domain.calendar import EXCHANGE_TIME

SECONDS_A_DAY: Final = 86_400
_OFFSET: Final = int(EXCHANGE_TIME.utcoffset(None).total_seconds())


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices and volume of a symbol in a time window. Windows are counted from midnight, exchange time.

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


def window_of(at: datetime, seconds: int) -> datetime:
    """Return the start of the window that contains `at`."""
    local = int(at.timestamp() // 1) + _OFFSET
    into_day = local % SECONDS_A_DAY
    return datetime.fromtimestamp(local - into_day % seconds - _OFFSET, UTC)
