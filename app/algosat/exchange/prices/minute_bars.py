"""The bars that the simulated exchange has seen: each minute since its start, and each whole day."""

from __future__ import annotations

import threading
from array import array
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Final

from algosat.domain.bars import SECONDS_A_DAY, Bar, window_of
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Quote

_MINUTE: Final = 60
_KEPT_MINUTES: Final = 400  # of each symbol: a trading day has 375
_KEPT_DAYS: Final = 250
_SCALE: Final = Decimal(10**8)


class MinuteBars:
    """Recorder of quotes as bars. Its methods may be called from any thread.

    The first minute of a symbol is dropped, since its first prices are not known. Quotes before the first
    trade of a day are in no bar. A minute is kept as six integers: the bars of 200 symbols take 4 MB.
    """

    def __init__(self, zone: tzinfo = EXCHANGE_TIME) -> None:
        """Build an empty recorder. `zone` is the time zone of the venue's days."""
        self._zone = zone
        self._lock = threading.Lock()
        self._minutes: dict[str, deque[array[int]]] = defaultdict(lambda: deque(maxlen=_KEPT_MINUTES))
        self._days: dict[str, deque[Bar]] = defaultdict(lambda: deque(maxlen=_KEPT_DAYS))
        self._current: dict[str, _Minute] = {}
        self._last: dict[str, Quote] = {}

    def add(self, quotes: Sequence[Quote]) -> None:
        """Add the newest quotes."""
        with self._lock:
            for quote in quotes:
                self._add(quote)

    def ended(self, symbol: str, seconds: int, since: datetime, until: datetime, now: datetime) -> list[Bar]:
        """Return the bars of whole minutes or of a day that began in [since, until) and ended by `now`."""
        with self._lock:
            source = self._days[symbol] if seconds == SECONDS_A_DAY else self._minutes_of(symbol)
            bars = [each for each in _joined(source, seconds, self._zone) if each.end <= now]
        return [each for each in bars if since <= each.start < until]

    def _add(self, quote: Quote) -> None:
        if not quote.volume:
            return
        symbol, minute = quote.symbol, int(quote.at.timestamp()) // _MINUTE * _MINUTE
        before, current = self._last.get(symbol), self._current.get(symbol)
        self._last[symbol] = quote
        if before is not None and self._day(before) < self._day(quote):
            self._days[symbol].append(_day_bar(before, self._day(before)))
        if current is not None and current.at == minute:
            current.add(quote)
            return
        if current is not None and current.is_whole:
            self._minutes[symbol].append(current.packed())
        self._current[symbol] = _Minute(minute, quote, before)

    def _day(self, quote: Quote) -> datetime:
        return window_of(quote.at, SECONDS_A_DAY, self._zone)

    def _minutes_of(self, symbol: str) -> Iterator[Bar]:
        yield from (_unpacked(symbol, each) for each in self._minutes[symbol])
        current = self._current.get(symbol)
        if current is not None and current.is_whole:
            yield _unpacked(symbol, current.packed())


class _Minute:
    """The minute that is being recorded."""

    __slots__ = ("_volume_before", "at", "close", "high", "is_whole", "low", "open", "volume")

    def __init__(self, at: int, quote: Quote, before: Quote | None) -> None:
        self.at, self.is_whole = at, before is not None
        self.open = self.high = self.low = self.close = quote.last
        self._volume_before = before.volume if before is not None and before.volume <= quote.volume else ZERO
        self.volume = quote.volume - self._volume_before

    def add(self, quote: Quote) -> None:
        last = quote.last
        self.close, self.volume = last, quote.volume - self._volume_before
        if last > self.high:
            self.high = last
        if last < self.low:
            self.low = last

    def packed(self) -> array[int]:
        values = (self.open, self.high, self.low, self.close, self.volume)
        return array("q", (self.at, *(int(each * _SCALE) for each in values)))


def _unpacked(symbol: str, packed: array[int]) -> Bar:
    at, opened, high, low, closed, volume = packed
    prices = (opened / _SCALE, high / _SCALE, low / _SCALE, closed / _SCALE)
    return Bar(symbol, datetime.fromtimestamp(at, UTC), _MINUTE, *prices, volume / _SCALE)


def _joined(bars: Iterator[Bar] | Sequence[Bar], seconds: int, zone: tzinfo) -> Iterator[Bar]:
    """Yield the bars of longer windows. A window that the bars do not cover from its beginning is dropped."""
    joined: Bar | None = None
    first: datetime | None = None
    for bar in bars:
        first = first or bar.start
        start = window_of(bar.start, seconds, zone)
        if joined is not None and joined.start == start:
            joined = _together(joined, bar)
            continue
        if joined is not None and joined.start >= first:
            yield joined
        joined = Bar(bar.symbol, start, seconds, bar.open, bar.high, bar.low, bar.close, bar.volume)
    if joined is not None and first is not None and joined.start >= first:
        yield joined


def _together(joined: Bar, bar: Bar) -> Bar:
    return Bar(
        joined.symbol,
        joined.start,
        joined.seconds,
        joined.open,
        max(joined.high, bar.high),
        min(joined.low, bar.low),
        bar.close,
        joined.volume + bar.volume,
    )


def _day_bar(quote: Quote, start: datetime) -> Bar:
    return Bar(
        quote.symbol, start, SECONDS_A_DAY,
        quote.open, quote.high, quote.low, quote.last, quote.volume,
    )  # fmt: skip
