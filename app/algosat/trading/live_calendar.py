"""The live calendar: the packaged sessions, the inventory's file, and what admins have changed since.

Changes are read from the store at most once a second, so a change is in force within two seconds in every
process, and no order needs a statement of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from datetime import time as time_of_day
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from algosat.config import calendar_file
from algosat.config.settings import AccountSettings, AlgosatFile
from algosat.domain import market_phases
from algosat.domain.calendar import AlwaysOpen, Calendar, ExchangeCalendar
from algosat.domain.market_phases import Phase, Sessions, SpecialSession, Window
from algosat.errors import AlgosatError
from algosat.store import calendar_entries
from algosat.store.database import Database

END: Final = "valid_through"  # the entry of the calendar's end; all others are dates
_REFRESH_INTERVAL: Final = 1.0  # seconds

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CalendarChanges:
    """The changes that admins have made."""

    valid_through: date | None = None
    holidays: Mapping[date, str] = field(default_factory=dict)
    special: Mapping[date, SpecialSession] = field(default_factory=dict)

    def applied(self, sessions: Sessions) -> Sessions:
        return sessions.extended(
            valid_through=self.valid_through, holidays=self.holidays, special=self.special
        )


class LiveCalendar:
    """The exchange's calendar as it is now. It asks `current` at each call."""

    def __init__(self, current: Callable[[], ExchangeCalendar]) -> None:
        self._current = current

    @property
    def zone(self) -> tzinfo:
        return self._current().zone

    def phase(self, segment: str, has_derivatives: bool, at: datetime) -> Phase:
        return self._current().phase(segment, has_derivatives, at)

    def window(self, segment: str, has_derivatives: bool, at: datetime) -> Window | None:
        return self._current().window(segment, has_derivatives, at)

    def is_open(self, at: datetime) -> bool:
        return self._current().is_open(at)

    def trading_day(self, at: datetime) -> date:
        return self._current().trading_day(at)

    def opens_at(self, segment: str, has_derivatives: bool, at: datetime) -> datetime | None:
        return self._current().opens_at(segment, has_derivatives, at)

    def closes_at(self, segment: str, has_derivatives: bool, at: datetime) -> datetime | None:
        return self._current().closes_at(segment, has_derivatives, at)

    def next_open(self, segment: str, has_derivatives: bool, at: datetime) -> datetime:
        return self._current().next_open(segment, has_derivatives, at)

    def next_phase(
        self, segment: str, has_derivatives: bool, at: datetime, phases: AbstractSet[Phase]
    ) -> datetime:
        return self._current().next_phase(segment, has_derivatives, at, phases)

    def last_trading(self, segment: str, has_derivatives: bool, at: datetime) -> datetime:
        return self._current().last_trading(segment, has_derivatives, at)

    def days_left(self, at: datetime) -> int | None:
        return self._current().days_left(at)

    def warning(self, at: datetime) -> str | None:
        return self._current().warning(at)

    def assuming_weekdays(self) -> LiveCalendar:
        return LiveCalendar(_AssumingWeekdays(self._current))


class _AssumingWeekdays:
    """Returns the present calendar without an end. A new one is built only when the calendar changes."""

    def __init__(self, current: Callable[[], ExchangeCalendar]) -> None:
        self._current = current
        self._known: tuple[ExchangeCalendar, ExchangeCalendar] | None = None

    def __call__(self) -> ExchangeCalendar:
        present, known = self._current(), self._known
        if known is not None and known[0] is present:
            return known[1]
        endless = present.assuming_weekdays()
        self._known = present, endless
        return endless


class CalendarSource:
    """Reads the changes; `sessions` are those of the files, and `fetch` returns the stored entries."""

    def __init__(
        self,
        sessions: Sessions,
        fetch: Callable[[], Mapping[str, Any]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._fetch = fetch
        self._clock = clock
        self._refreshing = threading.Lock()
        self._entries: Mapping[str, Any] = {}
        self._calendar = ExchangeCalendar(sessions)
        self._due = 0.0

    def current(self) -> ExchangeCalendar:
        if self._clock() >= self._due and self._refreshing.acquire(blocking=False):
            try:
                self._refresh()
            finally:
                self._refreshing.release()
        return self._calendar

    def _refresh(self) -> None:
        self._due = self._clock() + _REFRESH_INTERVAL
        try:
            found = self._fetch()
        except (AlgosatError, SQLAlchemyError) as error:
            # A calendar that is a second old is better than none.
            _log.warning("calendar_not_read", reason=str(error))
            return
        if found != self._entries:
            self._entries = found
            self._calendar = ExchangeCalendar(changes_in(found).applied(self._sessions))


def sessions_of(settings: AlgosatFile) -> Sessions:
    """Return the packaged sessions with the inventory's file."""
    return calendar_file.extended(market_phases.packaged(), settings.calendar)


def calendar_of(settings: AlgosatFile, account: AccountSettings, database: Database) -> Calendar:
    """Return the calendar of the account's market."""
    if account.calendar == "always_open":
        return AlwaysOpen(account.zone)
    source = CalendarSource(sessions_of(settings), lambda: calendar_entries.read(database))
    return LiveCalendar(source.current)


def changes_in(entries: Mapping[str, Any]) -> CalendarChanges:
    """Return the changes from stored entries. An entry that cannot be read is skipped and logged."""
    end: date | None = None
    holidays: dict[date, str] = {}
    special: dict[date, SpecialSession] = {}
    for entry, value in entries.items():
        try:
            if entry == END:
                end = date.fromisoformat(value)
            elif value["kind"] == "holiday":
                holidays[date.fromisoformat(entry)] = value["name"]
            else:
                special[date.fromisoformat(entry)] = _special_session(value)
        except (KeyError, TypeError, ValueError) as error:
            _log.warning("calendar_entry_ignored", entry=entry, reason=str(error))
    return CalendarChanges(end, holidays, special)


def stored(day: str | SpecialSession) -> dict[str, Any]:
    """Return a holiday (its name) or a special session as the value of its entry."""
    if isinstance(day, str):
        return {"kind": "holiday", "name": day}
    windows, segments = day.windows, day.segments
    return {
        "kind": "special_session",
        "name": day.name,
        "windows": None if windows is None else [_stored_window(each) for each in windows],
        "segments": None if segments is None else sorted(segments),
    }


def _special_session(value: Mapping[str, Any]) -> SpecialSession:
    windows, segments = value["windows"], value["segments"]
    return SpecialSession(
        value["name"],
        None if windows is None else tuple(_window(*each) for each in windows),
        None if segments is None else frozenset(segments),
    )


def _stored_window(window: Window) -> list[str | None]:
    times = (window.start, window.end, window.random_close_from)
    return [window.phase.value, *(None if each is None else each.isoformat() for each in times)]


def _window(phase: str, start: str, end: str, random_close_from: str | None) -> Window:
    closes = None if random_close_from is None else time_of_day.fromisoformat(random_close_from)
    return Window(Phase(phase), time_of_day.fromisoformat(start), time_of_day.fromisoformat(end), closes)
