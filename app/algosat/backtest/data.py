"""A recording on its way into a back-test: read once, line by line, and never further than needed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Final

from algosat.domain.instruments import Quote
from algosat.errors import InvalidRequest
from algosat.exchange import listings
from algosat.exchange.listings import Listing
from algosat.exchange.prices import recording, replay
from algosat.exchange.prices.recording import Recorded, RecordedBar
from algosat.strategies.bars import window_of

_LOOKED_AT: Final = 5_000  # lines, to find out how long a bar lasts
_DAY: Final = timedelta(days=1)


@dataclass(slots=True)
class Data:
    """A recording, and what was learnt of it on the way."""

    interval: timedelta | None  # how long its bars last; None: they are ticks
    listings: dict[str, Listing] = field(default_factory=dict)  # grows as symbols turn up
    lines: int = 0
    first: datetime | None = None
    last: datetime | None = None
    _recording: Iterator[Recorded] = field(default_factory=lambda: iter(()))

    def quotes(self, seed: int) -> Iterator[Quote]:
        """In order of time."""
        bar = self.interval or timedelta(0)
        return replay.quotes(self.listings, seed, self._noted(), bar=bar)

    def _noted(self) -> Iterator[Recorded]:
        known = listings.packaged()
        for recorded in self._recording:
            symbol = recorded.symbol
            if symbol not in self.listings:
                self.listings[symbol] = known.get(symbol) or replay.listing_of(recorded)
            self.lines += 1
            self.first = self.first or recorded.at
            self.last = recorded.at
            yield recorded


def read(lines: Iterable[str], interval: timedelta | None = None) -> Data:
    """The recording in these lines; how long its bars last is found in the first ones if it is not given."""
    recorded = recording.read(lines)
    beginning = list(islice(recorded, _LOOKED_AT))
    if not beginning:
        raise InvalidRequest("the recording has no prices")
    if not isinstance(beginning[0], RecordedBar):
        return Data(None, _recording=chain(beginning, recorded))
    interval = interval or _shortest_step(beginning)
    if interval > _DAY:
        raise InvalidRequest(f"bars of more than a day ({interval}) cannot be traded on")
    return Data(interval, _recording=_checked(chain(beginning, recorded), interval))


def fingerprint(path: Path) -> str:
    """What the file's content hashes to, so that a report names its data."""
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
            "how long a bar lasts cannot be told from the recording, since two bars of one symbol begin "
            "together or there is only one: name it with --interval"
        )
    return min(steps)


def _checked(recorded: Iterable[Recorded], interval: timedelta) -> Iterator[Recorded]:
    """Bars that do not overlap. Days begin at midnight: when on the day their prices were is not known."""
    ends: dict[str, datetime] = {}
    for each in recorded:
        bar = replace(each, at=window_of(each.at, 86_400)) if interval == _DAY else each
        if bar.at < ends.get(bar.symbol, bar.at):
            raise InvalidRequest(
                f"the bar of {bar.symbol} at {bar.at:%Y-%m-%d %H:%M:%S} UTC begins before the one before "
                f"it, of {interval}, has ended; name the length of the bars with --interval"
            )
        ends[bar.symbol] = bar.at + interval
        yield bar
