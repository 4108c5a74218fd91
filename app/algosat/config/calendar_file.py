"""The inventory's calendar: YAML text in the format of `domain/sessions.yaml`, which it extends.

Every part may be omitted. About any day, the text overrides the packaged calendar. A packaged holiday becomes
a trading day only if the text names it under `special_sessions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from typing import Annotated, Final, Literal

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from algosat.config import yaml_text
from algosat.config.problems import Problem, as_error, from_validation
from algosat.domain.market_phases import (
    Phase,
    Schedule,
    Sessions,
    SpecialSession,
    Window,
    overlaps,
    window_problems,
)
from algosat.validation_errors import suggestion

_FILE: Final = "calendar"
_DAY: Final = timedelta(days=1)
_HAS_DERIVATIVES: Final = {None: None, "with_derivatives": True, "without_derivatives": False}

Name = Annotated[str, Field(min_length=1, max_length=128)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Covers(_Part):
    begins: Annotated[date | None, Field(alias="from")] = None
    valid_through: date


class _Piece(_Part):
    phase: Phase
    start: Annotated[time, Field(alias="from")]
    end: Annotated[time, Field(alias="until")]
    random_close_from: time | None = None

    def window(self) -> Window:
        return Window(self.phase, self.start, self.end, self.random_close_from)


class _Schedule(_Part):
    since: Annotated[date, Field(alias="from")]
    only: Literal["with_derivatives", "without_derivatives"] | None = None
    day: Annotated[tuple[Name, ...], Field(min_length=1)]


class _Session(_Part):
    name: Name
    day: Annotated[tuple[Name, ...] | None, Field(min_length=1)] = None
    segments: Annotated[tuple[Name, ...] | None, Field(min_length=1)] = None


class CalendarText(_Part):
    """The parts of the text."""

    covers: _Covers | None = None
    pieces: Mapping[Name, tuple[_Piece, ...]] = {}
    segments: Mapping[Name, tuple[_Schedule, ...]] = {}
    holidays: Mapping[date, Name] = {}
    special_sessions: Mapping[date, _Session] = {}


def extended(sessions: Sessions, text: str) -> Sessions:
    """Return the sessions extended by the text. Raises ConfigurationError, which names every problem."""
    found, problems = read(sessions, text)
    if problems:
        raise as_error([Problem(_FILE, place, what) for place, what in problems])
    return found


def read(sessions: Sessions, text: str) -> tuple[Sessions, list[tuple[str, str]]]:
    """Return the sessions extended by the text, and the problems of the text, each with its place."""
    if not text.strip():
        return sessions, []
    try:
        data = yaml_text.parsed(text)
        parts = CalendarText.model_validate_json(yaml_text.as_json(data), strict=True)
    except yaml.YAMLError as error:
        return sessions, [("", yaml_text.syntax(error))]
    except orjson.JSONEncodeError as error:
        return sessions, [("", f"contains a value that is not allowed here: {error}")]
    except ValidationError as error:
        return sessions, [(each.key, each.text) for each in from_validation(_FILE, CalendarText, error)]
    return _Reader(sessions, parts).read()


class _Reader:
    """Combines the packaged sessions with the parts of a text, and collects the problems."""

    def __init__(self, sessions: Sessions, parts: CalendarText) -> None:
        self._sessions, self._parts = sessions, parts
        self._problems: list[tuple[str, str]] = []
        self._own_pieces = {
            name: tuple(piece.window() for piece in pieces) for name, pieces in parts.pieces.items()
        }
        self._pieces = {**sessions.pieces, **self._own_pieces}

    def read(self) -> tuple[Sessions, list[tuple[str, str]]]:
        parts = self._parts
        for name, windows in self._own_pieces.items():
            self._note(window_problems(windows), f"pieces.{name}")
        self._check_coverage()
        result = self._sessions.extended(
            valid_through=parts.covers.valid_through if parts.covers else None,
            segments={name: self._schedules(name, each) for name, each in parts.segments.items()},
            holidays=parts.holidays,
            special={day: self._special(day, each) for day, each in parts.special_sessions.items()},
        )
        for name, days in (("holidays", parts.holidays), ("special_sessions", parts.special_sessions)):
            for day in days:
                if not result.covers(day):
                    self._problem(
                        f"{name}.{day}",
                        f"is not within {result.covered_from} to {result.valid_through}; "
                        "covers.valid_through moves the end",
                    )
        return result, self._problems

    def _check_coverage(self) -> None:
        covers, end = self._parts.covers, self._sessions.valid_through
        if covers is None or covers.begins is None:
            return
        if covers.begins > covers.valid_through:
            self._problem("covers.valid_through", "is before covers.from")
        elif covers.begins > end + _DAY:
            gap = f"{end + _DAY} to {covers.begins - _DAY}"
            self._problem("covers.from", f"leaves the days from {gap} uncovered")

    def _schedules(self, segment: str, entries: Sequence[_Schedule]) -> tuple[Schedule, ...]:
        self._check_segments([segment], f"segments.{segment}")
        return tuple(
            Schedule(
                entry.since,
                self._windows(entry.day, f"segments.{segment}.{number}.day"),
                _HAS_DERIVATIVES[entry.only],
            )
            for number, entry in enumerate(entries)
        )

    def _special(self, day: date, entry: _Session) -> SpecialSession:
        place = f"special_sessions.{day}"
        self._check_segments(entry.segments or (), f"{place}.segments")
        return SpecialSession(
            entry.name,
            None if entry.day is None else self._windows(entry.day, f"{place}.day"),
            None if entry.segments is None else frozenset(entry.segments),
        )

    def _windows(self, names: Sequence[str], place: str) -> tuple[Window, ...]:
        """Return the windows of a day from the names of its pieces."""
        unknown = [name for name in names if name not in self._pieces]
        if unknown:
            hint = suggestion(unknown[0], self._pieces)
            self._problem(place, f"no piece is named {', '.join(unknown)}{hint}")
            return ()
        windows = tuple(window for name in names for window in self._pieces[name])
        self._note(overlaps(windows), place)
        return windows

    def _check_segments(self, names: Sequence[str], place: str) -> None:
        known = self._sessions.segments
        unknown = [name for name in names if name not in known]
        if unknown:
            self._problem(place, f"{', '.join(unknown)} is unknown; the segments are {', '.join(known)}")

    def _note(self, found: Iterator[tuple[int, str]], place: str) -> None:
        for number, text in found:
            self._problem(f"{place}.{number}", text)

    def _problem(self, place: str, text: str) -> None:
        self._problems.append((place, text))
