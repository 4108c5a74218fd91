"""Recorded prices for a back-test, read once, line by line, and no further than needed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Final

from algosat.domain.calendar import EXCHANGE_TIME, Calendar, zone_of
from algosat.domain.instruments import Quote
from algosat.errors import InvalidRequest
from algosat.exchange import listings
from algosat.exchange.listings import Listing
from algosat.exchange.prices import recording, replay
from algosat.exchange.prices.recording import Recorded, RecordedBar
from algosat.strategies.bars import window_of

_SAMPLE: Final = 5_000  # lines that are read to find the length of the bars
_DAY: Final = timedelta(days=1)


@dataclass(slots=True)
class RecordedData:
    """A recording, and what is known of it so far."""

    interval: timedelta | None  # length of a bar; None: the recording has ticks
    listings: dict[str, Listing] = field(default_factory=dict)  # filled while reading
    lines: int = 0
    first: datetime | None = None
    last: datetime | None = None
    _recording: Iterator[Recorded] = field(default_factory=lambda: iter(()))

    def quotes(self, seed: int, calendar: Calendar | None = None) -> Iterator[Quote]:
        """Yield the quotes in order of time. Daily bars are spread over the trading hours of the calendar."""
        bar = self.interval or timedelta(0)
        return replay.quotes(self.listings, seed, self._counted(), bar=bar, calendar=calendar)

    def _counted(self) -> Iterator[Recorded]:
        known = {**listings.packaged(), **listings.packaged_coins()}
        for recorded in self._recording:
            symbol = recorded.symbol
            if symbol not in self.listings:
                self.listings[symbol] = known.get(symbol) or replay.listing_of(recorded)
            self.lines += 1
            self.first = self.first or recorded.at
            self.last = recorded.at
            yield recorded


def read(lines: Iterable[str], interval: timedelta | None = None) -> RecordedData:
    """Open a recording. Without `interval`, the length of its bars is found from its first lines.

    Raises InvalidRequest.
    """
    recorded = recording.read(lines)
    beginning = list(islice(recorded, _SAMPLE))
    if not beginning:
        raise InvalidRequest("the recording has no prices")
    if not isinstance(beginning[0], RecordedBar):
        return RecordedData(None, _recording=chain(beginning, recorded))
    interval = interval or _shortest_step(beginning)
    if interval > _DAY:
        raise InvalidRequest(f"bars must not be longer than a day; these are {interval}")
    return RecordedData(interval, _recording=_checked(chain(beginning, recorded), interval))


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file, by which the report identifies its data."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shortest_step(beginning: Iterable[Recorded]) -> timedelta:
    before: dict[str, datetime] = {}
    steps = []
    for recorded in beginning:
        if recorded.symbol in before:
            steps.append(recorded.at - before[recorded.symbol])
        before[recorded.symbol] = recorded.at
    if not steps or not min(steps):
        raise InvalidRequest(
            "the length of the bars cannot be found from the recording, because a symbol has only one bar "
            "or two bars that begin together: give it with --interval"
        )
    return min(steps)


def _checked(recorded: Iterable[Recorded], interval: timedelta) -> Iterator[Recorded]:
    """Yield the bars. A daily bar begins at midnight, whatever its time. Raises InvalidRequest on overlap."""
    ends: dict[str, datetime] = {}
    zones = {symbol: zone_of(each.instrument) for symbol, each in listings.packaged_coins().items()}
    for each in recorded:
        zone = zones.get(each.symbol, EXCHANGE_TIME)
        bar = replace(each, at=window_of(each.at, 86_400, zone)) if interval == _DAY else each
        if bar.at < ends.get(bar.symbol, bar.at):
            raise InvalidRequest(
                f"the bar of {bar.symbol} at {bar.at:%Y-%m-%d %H:%M:%S} UTC begins before the previous one, "
                f"which lasts {interval}, has ended; give the length of the bars with --interval"
            )
        ends[bar.symbol] = bar.at + interval
        yield bar
