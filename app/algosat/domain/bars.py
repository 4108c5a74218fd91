"""A bar: prices and volume of a symbol in a time window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal


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
