"""Routes that show the trading calendar, and change it at run time."""

from __future__ import annotations

from datetime import date, time
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.pages import Label
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.market_phases import Phase, Sessions, SpecialSession, Window, packaged
from algosat.errors import InvalidBody, InvalidRequest, NotFound
from algosat.store import calendar_entries
from algosat.trading import calendar_changes
from algosat.trading.live_calendar import CalendarChanges, changes_in

routes = Routes("calendar", "The trading calendar: holidays, special sessions, and its last day.")

Origin = Literal["packaged", "inventory", "admin"]
Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=128, pattern=r"^[^\x00]*$"),
    Field(examples=["Muhurat trading"]),
]


class WindowBody(Input):
    """One phase of a day, in exchange time."""

    phase: Annotated[Phase, Field(examples=["continuous"])]
    """The phase."""
    start: Annotated[Clock, Field(alias="from", examples=["18:00"])]
    """Start of the phase."""
    until: Annotated[Clock, Field(examples=["19:00"])]
    """End of the phase."""
    random_close_from: Annotated[Clock | None, Field(examples=["18:58"])] = None
    """Earliest moment at which order entry may end at random."""

    def window(self) -> Window:
        closes = None if self.random_close_from is None else time.fromisoformat(self.random_close_from)
        return Window(self.phase, time.fromisoformat(self.start), time.fromisoformat(self.until), closes)


class DayBody(Input):
    """A holiday or a special session."""

    kind: Annotated[Literal["holiday", "special_session"], Field(examples=["special_session"])]
    """`holiday`: the exchange is closed. `special_session`: it trades on a day off, or at unusual hours."""
    name: Name
    """Name of the holiday or session."""
    windows: Annotated[list[WindowBody] | None, Field(min_length=1, max_length=50)] = None
    """Phases of a special session, in order; null for those of an ordinary day."""
    segments: Annotated[list[Label] | None, Field(min_length=1, max_length=20, examples=[["equity"]])] = None
    """Segments that trade in a special session; null for all."""

    @model_validator(mode="after")
    def _holiday_has_no_hours(self) -> DayBody:
        if self.kind == "holiday" and (self.windows is not None or self.segments is not None):
            raise ValueError("a holiday has neither windows nor segments")
        return self

    def day(self) -> str | SpecialSession:
        if self.kind == "holiday":
            return self.name
        windows = None if self.windows is None else tuple(each.window() for each in self.windows)
        return SpecialSession(self.name, windows, None if self.segments is None else frozenset(self.segments))


class EndBody(Input):
    """End of the calendar."""

    valid_through: Annotated[date | None, Field(examples=["2027-12-31"])]
    """Last day that the calendar covers; null to return to that of the release and the inventory."""


_From = TypedDict(
    "_From", {"from": Annotated[str, Field(description="Start of the phase.", examples=["18:00"])]}
)


class WindowView(Output, _From):
    """One phase of a special session, in exchange time."""

    phase: Annotated[Phase, Field(description="The phase.", examples=["continuous"])]
    until: Annotated[str, Field(description="End of the phase.", examples=["19:00"])]
    random_close_from: Annotated[
        str | None,
        Field(
            description="Earliest moment at which order entry may end at random, or null.", examples=["18:58"]
        ),
    ]


class DayView(Output):
    """A holiday or a special session."""

    date: Annotated[date, Field(examples=["2027-10-29"])]
    """The day."""
    kind: Annotated[Literal["holiday", "special_session"], Field(examples=["special_session"])]
    """Whether the exchange is closed or trades."""
    name: Annotated[str, Field(examples=["Muhurat trading"])]
    """Name of the holiday or session."""
    windows: list[WindowView] | None
    """Phases of a special session; null for those of an ordinary day, and for a holiday."""
    segments: Annotated[list[str] | None, Field(examples=[["equity"]])]
    """Segments that trade in a special session; null for all, and for a holiday."""
    origin: Annotated[Origin, Field(examples=["admin"])]
    """Where the entry comes from: the release, `algosat_calendar` of the inventory, or an admin."""


class CalendarView(Output):
    """The trading calendar."""

    covered_from: Annotated[date, Field(examples=["2026-01-01"])]
    """First day that the calendar covers."""
    valid_through: Annotated[date, Field(examples=["2026-12-31"])]
    """Last day that the calendar covers. After it no position can be opened."""
    end_origin: Annotated[Origin, Field(examples=["packaged"])]
    """Where the last day comes from: the release, the inventory, or an admin."""
    in_force: Annotated[bool, Field(examples=[True])]
    """Whether the broker's market follows the calendar; false for a paper market that is always open."""
    segments: Annotated[list[str], Field(examples=[["equity", "derivatives"]])]
    """Segments with hours of their own."""
    days: list[DayView]
    """Holidays and special sessions, by date."""
    warning: str | None
    """Warning that the calendar ends soon or has ended, or null."""


@routes.get("/calendar", access=Access.VIEWER, answer=CalendarView)
def show_calendar() -> CalendarView:
    """Show holidays, special sessions and the end of the calendar, with their origin"""
    return _view()


@routes.put(
    "/calendar/days/<date:day>",
    access=Access.ADMIN,
    body=DayBody,
    answer=CalendarView,
    errors=(InvalidBody, InvalidRequest),
)
def set_calendar_day(day: str, body: DayBody) -> CalendarView:
    """Make a day a holiday or a special session

    The entry is in force in every process within two seconds. It overrides the release and the inventory.
    """
    calendar_changes.set_day(services().desk, _date(day), body.day(), cause())
    return _view()


@routes.delete(
    "/calendar/days/<date:day>",
    access=Access.ADMIN,
    answer=CalendarView,
    errors=(InvalidBody, InvalidRequest, NotFound),
)
def delete_calendar_day(day: str) -> CalendarView:
    """Delete an admin's entry for a day"""
    calendar_changes.delete_day(services().desk, _date(day), cause())
    return _view()


@routes.put("/calendar/end", access=Access.ADMIN, body=EndBody, answer=CalendarView, errors=(InvalidBody,))
def set_calendar_end(body: EndBody) -> CalendarView:
    """Set the last day that the calendar covers

    Set the holidays up to that day as well: every weekday without an entry counts as a trading day.
    """
    calendar_changes.set_end(services().desk, body.valid_through, cause())
    return _view()


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{text} is not a date") from None


def _view() -> CalendarView:
    desk, now = services().desk, services().clock()
    with services().database.read() as connection:
        changes = changes_in(calendar_entries.all_entries(connection))
    sessions = changes.applied(desk.sessions)
    in_force = desk.calendar.days_left(now) is not None
    return {
        "covered_from": sessions.covered_from,
        "valid_through": sessions.valid_through,
        "end_origin": _origin_of_end(sessions, desk.sessions),
        "in_force": in_force,
        "segments": list(sessions.segments),
        "days": [
            _day_view(day, sessions, _origin(day, changes, desk.sessions))
            for day in sorted({*sessions.holidays, *sessions.special})
        ],
        "warning": ExchangeCalendar(sessions).warning(now) if in_force else None,
    }


def _day_view(day: date, sessions: Sessions, origin: Origin) -> DayView:
    special = sessions.special.get(day)
    if special is None:
        return {
            "date": day,
            "kind": "holiday",
            "name": sessions.holidays[day],
            "windows": None,
            "segments": None,
            "origin": origin,
        }
    return {
        "date": day,
        "kind": "special_session",
        "name": special.name,
        "windows": None if special.windows is None else [_window_view(each) for each in special.windows],
        "segments": None if special.segments is None else sorted(special.segments),
        "origin": origin,
    }


def _window_view(window: Window) -> WindowView:
    closes = window.random_close_from
    return {
        "phase": window.phase,
        "from": f"{window.start:%H:%M}",
        "until": f"{window.end:%H:%M}",
        "random_close_from": None if closes is None else f"{closes:%H:%M}",
    }


def _origin(day: date, changes: CalendarChanges, files: Sessions) -> Origin:
    if day in changes.holidays or day in changes.special:
        return "admin"
    return "packaged" if _stated(files, day) == _stated(packaged(), day) else "inventory"


def _origin_of_end(sessions: Sessions, files: Sessions) -> Origin:
    if sessions.valid_through != files.valid_through:
        return "admin"
    return "packaged" if files.valid_through == packaged().valid_through else "inventory"


def _stated(sessions: Sessions, day: date) -> str | SpecialSession | None:
    return sessions.special.get(day) or sessions.holidays.get(day)
