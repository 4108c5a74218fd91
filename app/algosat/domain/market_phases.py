"""The phases of an exchange's day, the orders each accepts, and how `sessions.yaml` is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Final

import yaml

from algosat.domain.orders import OrderType, Validity


class Phase(StrEnum):
    CLOSED = "closed"
    PRE_OPEN = "pre_open"  # limit and market orders are collected
    PRE_OPEN_LIMIT = "pre_open_limit"  # limit orders only
    PRE_OPEN_MATCH = "pre_open_match"
    BUFFER = "buffer"
    CONTINUOUS = "continuous"
    AUCTION_REFERENCE = "auction_reference"  # the closing auction's reference price is computed
    AUCTION = "auction"  # limit and market orders are collected
    AUCTION_LIMIT = "auction_limit"  # limit orders only
    AUCTION_MATCH = "auction_match"
    POST_CLOSE = "post_close"  # trades at the closing price


_TAKES: Final[Mapping[Phase, frozenset[OrderType]]] = {
    Phase.PRE_OPEN: frozenset({OrderType.LIMIT, OrderType.MARKET}),
    Phase.PRE_OPEN_LIMIT: frozenset({OrderType.LIMIT}),
    # By name: a new order type is denied until it is added here.
    Phase.CONTINUOUS: frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT}),
    Phase.AUCTION: frozenset({OrderType.LIMIT, OrderType.MARKET}),
    Phase.AUCTION_LIMIT: frozenset({OrderType.LIMIT}),
    Phase.POST_CLOSE: frozenset({OrderType.MARKET}),
}


def takes(phase: Phase, order_type: OrderType, validity: Validity) -> bool:
    """Return whether the exchange accepts such an order in this phase."""
    if validity is Validity.IOC and phase is not Phase.CONTINUOUS:
        return False
    return order_type in _TAKES.get(phase, frozenset())


_TRADING_ENDED: Final = frozenset(
    {
        Phase.CLOSED,
        Phase.AUCTION_REFERENCE,
        Phase.AUCTION,
        Phase.AUCTION_LIMIT,
        Phase.AUCTION_MATCH,
        Phase.POST_CLOSE,
    }
)


def has_ended(phase: Phase) -> bool:
    """Return whether the market is closed, or continuous trading of the day has ended."""
    return phase in _TRADING_ENDED


_OPENING: Final = (Phase.PRE_OPEN, Phase.PRE_OPEN_LIMIT, Phase.CONTINUOUS)


def opening_phases(order_type: OrderType, validity: Validity) -> frozenset[Phase]:
    """Return the phases at the beginning of a day in which the exchange accepts such an order."""
    return frozenset(phase for phase in _OPENING if takes(phase, order_type, validity))


@dataclass(frozen=True, slots=True)
class Window:
    """One phase of a day, in exchange time."""

    phase: Phase
    start: time
    end: time  # excluded
    random_close_from: time | None = None  # entry ends at a random moment between this and `end`


@dataclass(frozen=True, slots=True)
class Schedule:
    """The windows of a segment's day, valid from a date on."""

    since: date
    windows: tuple[Window, ...]
    has_derivatives: bool | None = None  # None: holds for every instrument of the segment

    def holds(self, day: date, has_derivatives: bool) -> bool:
        return self.since <= day and self.has_derivatives in (None, has_derivatives)


@dataclass(frozen=True, slots=True)
class SpecialSession:
    """A day that trades although it is a weekend or a holiday, or at other times than an ordinary day."""

    name: str
    windows: tuple[Window, ...] | None = None  # None: those of an ordinary day
    segments: frozenset[str] | None = None  # the segments that trade; None: all


@dataclass(frozen=True, slots=True)
class Sessions:
    """The exchange's days, as its circulars state them."""

    covered_from: date
    valid_through: date
    pieces: Mapping[str, tuple[Window, ...]]  # parts of a day, which schedules are put together from
    segments: Mapping[str, tuple[Schedule, ...]]  # oldest first
    holidays: Mapping[date, str]
    special: Mapping[date, SpecialSession]  # a special session on a holiday trades

    def covers(self, day: date) -> bool:
        return self.covered_from <= day <= self.valid_through

    def extended(
        self,
        *,
        valid_through: date | None = None,
        segments: Mapping[str, tuple[Schedule, ...]] | None = None,
        holidays: Mapping[date, str] | None = None,
        special: Mapping[date, SpecialSession] | None = None,
    ) -> Sessions:
        """Return these sessions with additions, which win where both state something about a day.

        The end only moves later. A holiday trades only if the additions name the day as a special session.
        """
        later, closed = segments or {}, holidays or {}
        return replace(
            self,
            valid_through=max(self.valid_through, valid_through or self.valid_through),
            segments={
                name: tuple(sorted((*known, *later.get(name, ())), key=lambda each: each.since))
                for name, known in self.segments.items()
            },
            holidays={**self.holidays, **closed},
            special={
                **{day: each for day, each in self.special.items() if day not in closed},
                **(special or {}),
            },
        )


def window_problems(windows: Sequence[Window]) -> Iterator[tuple[int, str]]:
    """Yield the problems of a day's windows: the number of the window, and a text about the problem."""
    for number, window in enumerate(windows):
        if window.end <= window.start:
            yield number, f"ends at {window.end:%H:%M}, which is not after its start at {window.start:%H:%M}"
        closes = window.random_close_from
        if closes is not None and not window.start <= closes < window.end:
            yield number, f"may close at random from {closes:%H:%M}, which is not within the window"
    yield from overlaps(windows)


def overlaps(windows: Sequence[Window]) -> Iterator[tuple[int, str]]:
    """Yield the windows that begin before the end of the window before them."""
    for number, (before, after) in enumerate(pairwise(windows), start=1):
        if after.start < before.end:
            yield (
                number,
                (
                    f"begins at {after.start:%H:%M}, before the end of the window before it at "
                    f"{before.end:%H:%M}: windows must not overlap"
                ),
            )


@cache
def packaged() -> Sessions:
    """Return the sessions packaged with this release."""
    text = files("algosat.domain").joinpath("sessions.yaml").read_text("utf-8")
    return read(yaml.load(text, Loader=yaml.CSafeLoader))


def read(data: Mapping[str, Any]) -> Sessions:
    """Return sessions from parsed `sessions.yaml`. Raises KeyError or ValueError for malformed content."""
    pieces = {name: tuple(map(_window, windows)) for name, windows in data["pieces"].items()}
    return Sessions(
        covered_from=data["covers"]["from"],
        valid_through=data["covers"]["valid_through"],
        pieces=pieces,
        segments={
            name: tuple(_schedule(entry, pieces) for entry in entries)
            for name, entries in data["segments"].items()
        },
        holidays=data["holidays"],
        special={
            day: SpecialSession(entry["name"], _day(entry["day"], pieces) if "day" in entry else None)
            for day, entry in data["special_sessions"].items()
        },
    )


_ONLY: Final = {None: None, "with_derivatives": True, "without_derivatives": False}


def _schedule(entry: Mapping[str, Any], pieces: Mapping[str, tuple[Window, ...]]) -> Schedule:
    return Schedule(
        since=entry["from"],
        windows=_day(entry["day"], pieces),
        has_derivatives=_ONLY[entry.get("only")],
    )


def _day(names: list[str], pieces: Mapping[str, tuple[Window, ...]]) -> tuple[Window, ...]:
    windows = tuple(window for name in names for window in pieces[name])
    for _, problem in window_problems(windows):
        raise ValueError(f"the pieces {', '.join(names)}: a window {problem}")
    return windows


def _window(entry: Mapping[str, Any]) -> Window:
    random_close = entry.get("random_close_from")
    return Window(
        phase=Phase(entry["phase"]),
        start=time.fromisoformat(entry["from"]),
        end=time.fromisoformat(entry["until"]),
        random_close_from=time.fromisoformat(random_close) if random_close else None,
    )
