"""Bars, built from quotes in the same way live and in a back-test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

from algosat.domain.bars import SECONDS_A_DAY, Bar, window_of
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Quote

__all__ = [
    "SECONDS_A_DAY",
    "Bar",
    "Bars",
    "bar_data",
    "bar_from",
    "window_of",
]  # strategies import Bar from here

_PRICES: Final = ("open", "high", "low", "close", "volume")


class Bars:
    """Builder of one symbol's bars from its quotes.

    A window that was not watched from its beginning gives no bar, since its first prices are not known. A
    window without a quote gives no bar either. A daily bar needs only its last quote, which has the prices of
    the whole day, so it is returned unless it had ended before watching began.
    """

    def __init__(
        self,
        symbol: str,
        seconds: int,
        *,
        zone: tzinfo = EXCHANGE_TIME,
        closes_at: Callable[[datetime], datetime | None] = lambda _at: None,
        watching_since: datetime | None = None,
        returned: Mapping[str, datetime] | None = None,
    ) -> None:
        """Build bars for `symbol`.

        Args:
            zone: Time zone of the venue's days.
            closes_at: Returns when continuous trading ends on the venue's date of a moment, or None.
            watching_since: When watching began; without it, every window counts as watched.
            returned: The end of the last daily bar of each symbol that an earlier process returned. For these
                symbols, watching began then.
        """
        self._symbol = symbol
        self._seconds = seconds
        self._zone = zone
        self._closes_at = closes_at
        self._since = watching_since
        self._returned: Mapping[str, datetime] = {} if returned is None else returned
        self._bar: Bar | None = None
        self._ends: datetime | None = None  # end of the bar being built
        self._day_ends = datetime.min.replace(tzinfo=UTC)
        self._close: datetime | None = None  # of continuous trading, on that day
        self._closed_until = datetime.min.replace(tzinfo=UTC)
        self._volume = ZERO if watching_since is None else None  # the day's volume at the last quote

    def ended(self, at: datetime) -> Bar | None:
        """Return the bar whose window has ended by `at`, once; None if there is none."""
        if self._ends is None or at < self._ends:
            return None
        bar, self._bar, self._ends = self._bar, None, None
        if bar is None:
            return None
        self._closed_until = bar.start + timedelta(seconds=self._seconds)
        return bar if self._is_complete(bar) else None

    def add(self, quote: Quote) -> None:
        """Add a quote to the bar of its window. Call `ended` with the quote's time first.

        A quote that arrives after the bar of its window was returned is ignored, as is one between the end of
        continuous trading and the end of the window.
        """
        traded = self._traded(quote.volume)
        last, bar = quote.last, self._bar
        if quote.at < self._closed_until:
            return
        if bar is None:
            bar = self._first(quote, traded)
            self._ends = None if bar is None else bar.end
        elif self._seconds != SECONDS_A_DAY:
            bar = Bar(
                bar.symbol, bar.start, bar.seconds,
                bar.open, max(bar.high, last), min(bar.low, last), last, bar.volume + traded,
                bar.trading_ended,
            )  # fmt: skip
        self._bar = _of_whole_day(quote, bar) if bar and self._seconds == SECONDS_A_DAY else bar

    def _first(self, quote: Quote, traded: Decimal) -> Bar | None:
        """Return the bar that begins with the quote, or None after the end of continuous trading."""
        last, start = quote.last, window_of(quote.at, self._seconds, self._zone)
        end = self._trading_end(quote.at, start)
        if end is not None and quote.at >= end:
            return None
        return Bar(self._symbol, start, self._seconds, last, last, last, last, traded, end)

    def _is_complete(self, bar: Bar) -> bool:
        if self._since is None:
            return True
        if self._seconds == SECONDS_A_DAY:
            return bar.end > self._returned.get(self._symbol, self._since)
        return bar.start >= self._since

    def _trading_end(self, at: datetime, start: datetime) -> datetime | None:
        """Return the end of continuous trading if it is within the window that begins at `start`."""
        if at >= self._day_ends:
            self._day_ends = window_of(at, SECONDS_A_DAY, self._zone) + timedelta(days=1)
            self._close = self._closes_at(at)
        close = self._close
        return close if close and start < close < start + timedelta(seconds=self._seconds) else None

    def _traded(self, volume: Decimal) -> Decimal:
        before, self._volume = self._volume, volume
        if before is None:
            return ZERO  # how much of the day's volume is new is not known
        return volume - before if volume >= before else volume  # a new trading day counts from 0


def _of_whole_day(quote: Quote, bar: Bar) -> Bar:
    """Return the bar with the prices of the day that the quote has, whenever watching began."""
    # Built directly: `replace` takes three times as long, at every quote.
    return Bar(
        bar.symbol, bar.start, bar.seconds,
        quote.open, quote.high, quote.low, quote.last, quote.volume,
        bar.trading_ended,
    )  # fmt: skip


def bar_data(bar: Bar) -> dict[str, Any]:
    """Return a bar as JSON data."""
    data = {
        **asdict(bar),
        "start": bar.start.isoformat(),
        **{name: format(getattr(bar, name), "f") for name in _PRICES},
    }
    ended = data.pop("trading_ended")
    return data if ended is None else {**data, "trading_ended": ended.isoformat()}


def bar_from(data: dict[str, Any]) -> Bar:
    """Return the bar that `bar_data` wrote."""
    prices = {name: Decimal(data[name]) for name in _PRICES}
    ended = data.get("trading_ended")
    times = {
        "start": datetime.fromisoformat(data["start"]),
        "trading_ended": None if ended is None else datetime.fromisoformat(ended),
    }
    return Bar(**{**data, **times, **prices})
