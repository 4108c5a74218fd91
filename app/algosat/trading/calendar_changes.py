"""Change the trading calendar at run time: holidays, special sessions, and its end.

A change wins over the inventory's file and the packaged calendar.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.market_phases import Sessions, SpecialSession, window_problems
from algosat.errors import InvalidBody, NotFound
from algosat.store import calendar_entries
from algosat.store.audit import Cause
from algosat.trading.desk import Desk
from algosat.trading.live_calendar import END, changes_in, stored

_LONGEST: Final = timedelta(days=800)  # from today to the calendar's end: a mistyped year is refused

_Problem = tuple[str, str]  # the field, and what is wrong with it


def sessions_now(connection: Connection, desk: Desk) -> Sessions:
    """Return the sessions with all changes that are stored."""
    return changes_in(calendar_entries.all_entries(connection)).applied(desk.sessions)


def set_day(desk: Desk, day: date, wanted: str | SpecialSession, cause: Cause) -> None:
    """Make a day a holiday (given by its name) or a special session.

    Raises InvalidBody, which names every problem; then nothing has changed.
    """

    def unit(connection: Connection) -> None:
        sessions = sessions_now(connection, desk)
        _require_none([*_problems_of_date(desk, sessions, day), *_problems_of_day(sessions, wanted)])
        calendar_entries.put(connection, day.isoformat(), stored(wanted), desk.clock(), cause)

    desk.writer.run(unit)


def delete_day(desk: Desk, day: date, cause: Cause) -> None:
    """Delete an admin's entry for a day: the release and the inventory apply to the day again.

    Raises NotFound if nothing was set, and InvalidBody for a day in the past.
    """

    def unit(connection: Connection) -> None:
        if day.isoformat() not in calendar_entries.all_entries(connection):
            raise NotFound(f"nothing was set for {day}; GET /calendar lists the days")
        _require_none(list(_problems_of_date(desk, None, day)))
        calendar_entries.put(connection, day.isoformat(), None, desk.clock(), cause)

    desk.writer.run(unit)


def set_end(desk: Desk, end: date | None, cause: Cause) -> None:
    """Set the last day that the calendar covers; None returns to that of the files. Raises InvalidBody."""

    def unit(connection: Connection) -> None:
        _require_none(list(_problems_of_end(desk, end)))
        value = None if end is None else end.isoformat()
        calendar_entries.put(connection, END, value, desk.clock(), cause)

    desk.writer.run(unit)


def _problems_of_date(desk: Desk, sessions: Sessions | None, day: date) -> Iterator[_Problem]:
    if day < _today(desk):
        yield "date", f"{day} is in the past"
    elif sessions is not None and not sessions.covers(day):
        end = sessions.valid_through
        yield "date", f"{day} is after the calendar's end on {end}; PUT /calendar/end moves it"


def _problems_of_day(sessions: Sessions, wanted: str | SpecialSession) -> Iterator[_Problem]:
    if isinstance(wanted, str):
        return
    for number, text in window_problems(wanted.windows or ()):
        yield f"windows.{number}", text
    for segment in sorted((wanted.segments or frozenset()) - sessions.segments.keys()):
        yield "segments", f"{segment} is unknown; the segments are {', '.join(sessions.segments)}"


def _problems_of_end(desk: Desk, end: date | None) -> Iterator[_Problem]:
    if end is None:
        return
    if end <= desk.sessions.valid_through:
        yield END, f"must be after {desk.sessions.valid_through}, the end set by release and inventory"
    if end < _today(desk):
        yield END, f"{end} is in the past"
    if end > _today(desk) + _LONGEST:
        yield END, f"{end} is more than {_LONGEST.days} days ahead"


def _require_none(problems: list[_Problem]) -> None:
    if problems:
        raise InvalidBody(
            "; ".join(f"{name}: {text}" for name, text in problems),
            errors=[{"field": name, "detail": text, "code": "invalid_calendar"} for name, text in problems],
        )


def _today(desk: Desk) -> date:
    return desk.clock().astimezone(EXCHANGE_TIME).date()
