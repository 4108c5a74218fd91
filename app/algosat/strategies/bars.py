"""Bars, built from quotes in the same way live and in a back-test."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Quote

_OFFSET: Final = int(EXCHANGE_TIME.utcoffset(None).total_seconds())
_PRICES: Final = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices and volume of a symbol in a time window. Windows are counted from midnight, exchange time."""

    symbol: str
    start: datetime  # UTC
    seconds: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @property
    def end(self) -> datetime:
        """Return the first moment after the bar's window. The bar is not known earlier."""
        return self.start + timedelta(seconds=self.seconds)


class Bars:
    """Builder of one symbol's bars from its quotes.

    A window that was not watched from its beginning gives no bar, since its first prices are not known.
    A window without a quote gives no bar either.
    """

    def __init__(self, symbol: str, seconds: int, *, watching_since: datetime | None = None) -> None:
        """Build bars for `symbol`. Without `watching_since`, every window counts as watched."""
        self._symbol = symbol
        self._seconds = seconds
        self._since = watching_since
        self._bar: Bar | None = None
        self._ends: datetime | None = None  # end of the bar being built
        self._closed_until = datetime.min.replace(tzinfo=UTC)
        self._volume = ZERO if watching_since is None else None  # the day's volume at the last quote

    def ended(self, at: datetime) -> Bar | None:
        """Return the bar whose window has ended by `at`, once; None if there is none."""
        if self._ends is None or at < self._ends:
            return None
        bar, self._bar, self._closed_until, self._ends = self._bar, None, self._ends, None
        if bar is None or (self._since is not None and bar.start < self._since):
            return None
        return bar

    def add(self, quote: Quote) -> None:
        """Add a quote to the bar of its window. Call `ended` with the quote's time first.

        A quote that arrives after the bar of its window was returned is ignored.
        """
        traded = self._traded(quote.volume)
        last, bar = quote.last, self._bar
        if quote.at < self._closed_until:
            return
        if bar is None:
            start = window_of(quote.at, self._seconds)
            self._bar = Bar(self._symbol, start, self._seconds, last, last, last, last, traded)
            self._ends = self._bar.end
        else:
            self._bar = Bar(
                bar.symbol, bar.start, bar.seconds,
                bar.open, max(bar.high, last), min(bar.low, last), last, bar.volume + traded,
            )  # fmt: skip

    def _traded(self, volume: Decimal) -> Decimal:
        before, self._volume = self._volume, volume
        if before is None:
            return ZERO  # how much of the day's volume is new is not known
        return volume - before if volume >= before else volume  # a new trading day counts from 0


def window_of(at: datetime, seconds: int) -> datetime:
    """Return the start of the window that contains `at`."""
    local = int(at.timestamp() // 1) + _OFFSET
    into_day = local % 86_400
    return datetime.fromtimestamp(local - into_day % seconds - _OFFSET, UTC)


def bar_data(bar: Bar) -> dict[str, Any]:
    """Return a bar as JSON data."""
    return {
        **asdict(bar),
        "start": bar.start.isoformat(),
        **{name: format(getattr(bar, name), "f") for name in _PRICES},
    }


def bar_from(data: dict[str, Any]) -> Bar:
    """Return the bar that `bar_data` wrote."""
    prices = {name: Decimal(data[name]) for name in _PRICES}
    return Bar(**{**data, "start": datetime.fromisoformat(data["start"]), **prices})
