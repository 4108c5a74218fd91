"""The history of readings: those of the last minute, and the means of the minutes before, for some hours.

One process of the server writes it to files in the runtime directory, which is in memory; all others read it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

import orjson

from algosat.host.probe import ProcessReading, Reading

RECENT: Final = 12  # readings, one every five seconds
MINUTES: Final = 720

_RECENT_FILE: Final = "host-recent.json"
_MINUTES_FILE: Final = "host-minutes.jsonl"
_SLACK: Final = 120  # minutes above the limit before the file is written anew
_AVERAGED: Final = tuple(
    field.name for field in fields(Reading) if field.type == "float" and field.name != "at"
)
_AVERAGED_OF_PROCESSES: Final = ("resident_bytes", "open_fds", "threads")


@dataclass(frozen=True, slots=True)
class History:
    """Readings, oldest first."""

    minutes: tuple[Reading, ...] = ()  # the means of whole minutes
    recent: tuple[Reading, ...] = ()  # of the last minute

    @property
    def latest(self) -> Reading | None:
        return self.recent[-1] if self.recent else None

    @property
    def mean(self) -> Reading | None:
        """The mean of the last minute."""
        return mean(self.recent) if self.recent else None

    def series(self, value: Callable[[Reading], float]) -> list[float]:
        """Return a figure by minute, the last minute included."""
        last = (self.mean,) if self.mean is not None else ()
        return [value(each) for each in (*self.minutes, *last)]


@dataclass(frozen=True, slots=True)
class Point:
    """The machine at one time. Rates are bytes a second since the point before."""

    at: float  # seconds since 1970
    cpu_percent: float
    load: float  # over one minute
    memory_percent: float
    swap_percent: float
    disk_percent: float
    inodes_percent: float
    disk_read_rate: float
    disk_written_rate: float
    network_received_rate: float
    network_sent_rate: float
    descriptors: int
    threads: int
    process_count: int


_RATES: Final = {
    "disk_read_rate": "disk_read_bytes",
    "disk_written_rate": "disk_written_bytes",
    "network_received_rate": "network_received_bytes",
    "network_sent_rate": "network_sent_bytes",
}


def points(history: History, most: int) -> list[Point]:
    """Return the history as at most so many points of equal distance; the newest reading is the last one."""
    readings = [*history.minutes, *history.recent[-1:]]
    step = max(1, -(-(len(readings) - 1) // most))
    chosen = readings[::-step][::-1]
    return [_point(earlier, later) for earlier, later in pairwise(chosen)]


def _point(earlier: Reading, later: Reading) -> Point:
    seconds = max(later.at - earlier.at, 1.0)
    rates = {
        name: round(max(getattr(later, total) - getattr(earlier, total), 0) / seconds, 1)
        for name, total in _RATES.items()
    }
    same = {field.name: getattr(later, field.name) for field in fields(Point) if hasattr(later, field.name)}
    return Point(**same, **rates, load=later.load_average[0])


def mean(readings: Sequence[Reading]) -> Reading:
    """Return the last reading, with the means of what goes up and down."""
    last = readings[-1]
    means = {name: fmean(getattr(each, name) for each in readings) for name in _AVERAGED}
    processes = tuple(_mean_of(process, readings) for process in last.processes)
    return replace(last, **means, processes=processes)  # type: ignore[arg-type]


def _mean_of(process: ProcessReading, readings: Iterable[Reading]) -> ProcessReading:
    key = (process.pid, process.started_at)
    same = [each for one in readings for each in one.processes if (each.pid, each.started_at) == key]
    means = {name: round(fmean(getattr(each, name) for each in same)) for name in _AVERAGED_OF_PROCESSES}
    return replace(process, **means)  # type: ignore[arg-type]


class HistoryFiles:
    """The files of the history below the runtime directory."""

    def __init__(self, runtime_directory: Path) -> None:
        self._recent = runtime_directory / _RECENT_FILE
        self._minutes = runtime_directory / _MINUTES_FILE
        self._known = _KnownMinutes()

    def read(self) -> History:
        """Return what has been written so far. Lines of another release, or cut ones, are left out."""
        return History(self._read_minutes(), tuple(self._read_recent()))

    def write_recent(self, readings: Sequence[Reading]) -> None:
        _replace(self._recent, orjson.dumps([asdict(each) for each in readings]))

    def add_minute(self, reading: Reading) -> None:
        with self._minutes.open("ab") as file:
            file.write(orjson.dumps(asdict(reading)) + b"\n")
        lines = self._minutes.read_bytes().splitlines(keepends=True)
        if len(lines) > MINUTES + _SLACK:
            _replace(self._minutes, b"".join(lines[-MINUTES:]))

    def _read_recent(self) -> list[Reading]:
        try:
            found = orjson.loads(self._recent.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return []
        return [reading for each in found if (reading := _reading(each)) is not None]

    def _read_minutes(self) -> tuple[Reading, ...]:
        """Return the minutes. Only what was added since the last call is read: all of it takes 50 ms."""
        try:
            with self._minutes.open("rb") as file:
                number, begin = os.fstat(file.fileno()).st_ino, 0
                known = self._known
                if number == known.file_number:
                    begin = file.seek(known.size)
                added = file.read()
        except FileNotFoundError:
            return ()
        whole = added[: added.rfind(b"\n") + 1]
        if begin == 0 or whole:
            minutes = tuple(reading for line in whole.splitlines() if (reading := _parsed(line)) is not None)
            kept = known.minutes if begin else ()
            self._known = _KnownMinutes(number, begin + len(whole), (*kept, *minutes)[-MINUTES:])
        return self._known.minutes


class _KnownMinutes(NamedTuple):
    """What was read of the file of minutes: which file, up to where, and the minutes."""

    file_number: int = 0
    size: int = 0
    minutes: tuple[Reading, ...] = ()


def _parsed(line: bytes) -> Reading | None:
    try:
        return _reading(orjson.loads(line))
    except orjson.JSONDecodeError:
        return None


def _reading(data: Any) -> Reading | None:
    try:
        processes = tuple(ProcessReading(**each) for each in data["processes"])
        return Reading(**{**data, "load_average": tuple(data["load_average"]), "processes": processes})
    except (KeyError, TypeError):
        return None


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    draft.rename(path)
