"""The trading calendar. Its arguments and results are in UTC; only the calendar knows the venue's time zone.

It raises CalendarUnknown for what it does not cover and never guesses.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final, Protocol

from algosat.domain import market_phases
from algosat.domain.instruments import Instrument, InstrumentKind
from algosat.domain.market_phases import Phase, Sessions, Window
from algosat.domain.orders import OrderTerms
from algosat.errors import CalendarUnknown

# Asia/Kolkata has had no daylight saving since 1945; a fixed offset needs no time-zone files on the host.
EXCHANGE_TIME: Final = timezone(timedelta(hours=5, minutes=30), "IST")
WARNING_DAYS: Final = 45
_SATURDAY: Final = 5
_CONTINUOUS: Final = frozenset({Phase.CONTINUOUS})
_REMEDY: Final = (
    "add the exchange's next holidays to algosat_calendar in the inventory, or by "
    "PUT /calendar/days/{date} and PUT /calendar/end"
)


class Calendar(Protocol):
    """The calendar of a market. Every `at` is an aware datetime."""

    @property
    def zone(self) -> tzinfo:
        """The time zone in which the venue's days begin and end."""

    def phase(self, segment: str, has_derivatives: bool, at: datetime) -> Phase: ...

    def window(self, segment: str, has_derivatives: bool, at: datetime) -> Window | None:
        """Return the phase with its times, or None for a market that is closed or never closes."""

    def is_open(self, at: datetime) -> bool:
        """Return whether any segment is in continuous trading."""

    def trading_day(self, at: datetime) -> date:
        """Return the venue's date if it is a trading day, otherwise the next trading day."""

    def opens_at(self, segment: str, has_derivatives: bool, at: datetime) -> datetime | None:
        """Return when continuous trading begins on the venue's date of `at`, or None."""

    def closes_at(self, segment: str, has_derivatives: bool, at: datetime) -> datetime | None:
        """Return when continuous trading ends on the venue's date of `at`, or None."""

    def next_open(self, segment: str, has_derivatives: bool, at: datetime) -> datetime:
        """Return when continuous trading next begins; `at` itself during continuous trading."""

    def next_phase(
        self, segment: str, has_derivatives: bool, at: datetime, phases: AbstractSet[Phase]
    ) -> datetime:
        """Return when one of these phases next begins; `at` itself during one of them."""

    def last_trading(self, segment: str, has_derivatives: bool, at: datetime) -> datetime:
        """Return when continuous trading last ended; `at` itself during continuous trading.

        Prices move only in continuous trading, so no newer price can be expected.
        """

    def days_left(self, at: datetime) -> int | None:
        """Return the number of covered days after today: negative past the end, None without an end."""

    def warning(self, at: datetime) -> str | None:
        """Return a warning for the operator if the calendar ends soon or has ended."""

    def assuming_weekdays(self) -> Calendar:
        """Return a calendar that treats every weekday after its end as an ordinary trading day.

        Only the simulated exchange may use it: like the real one, it goes on trading, so that exits are
        filled. The gate still denies entries after the end.
        """


@dataclass(frozen=True, slots=True)
class ExchangeCalendar:
    """The exchange's trading days and phases, as its circulars state them."""

    sessions: Sessions
    assumes_weekdays: bool = False  # beyond the end

    @property
    def zone(self) -> tzinfo:
        return EXCHANGE_TIME

    def is_trading_day(self, day: date) -> bool:
        if self.assumes_weekdays and day > self.sessions.valid_through:
            return day.weekday() < _SATURDAY
        if not self.sessions.covers(day):
            raise CalendarUnknown(
                f"the trading calendar covers {self.sessions.covered_from} to "
                f"{self.sessions.valid_through}, not {day}"
            )
        if day in self.sessions.special:
            return True
        return day.weekday() < _SATURDAY and day not in self.sessions.holidays

    def windows(self, segment: str, has_derivatives: bool, day: date) -> tuple[Window, ...]:
        """Return the phases of a day in order; empty if the exchange does not trade."""
        if segment not in self.sessions.segments:
            known = ", ".join(self.sessions.segments)
            raise CalendarUnknown(f"the trading calendar knows the segments {known}, not {segment}")
        if not self.is_trading_day(day):
            return ()
        special = self.sessions.special.get(day)
        if special is not None and segment not in (special.segments or {segment}):
            return ()
        if special is not None and special.windows is not None:
            return special.windows
        schedules = self.sessions.segments[segment]
        holding = [schedule for schedule in schedules if schedule.holds(day, has_derivatives)]
        return holding[-1].windows if holding else ()

    def window(self, segment: str, has_derivatives: bool, at: datetime) -> Window | None:
        local = at.astimezone(EXCHANGE_TIME)
        windows = self.windows(segment, has_derivatives, local.date())
        return next((each for each in windows if each.start <= local.time() < each.end), None)

    def phase(self, segment: str, has_derivatives: bool, at: datetime) -> Phase:
        window = self.window(segment, has_derivatives, at)
        return window.phase if window else Phase.CLOSED

    def is_open(self, at: datetime) -> bool:
        return any(
            self.phase(segment, has_derivatives, at) is Phase.CONTINUOUS
            for segment in self.sessions.segments
            for has_derivatives in (False, True)
        )

    def trading_day(self, at: datetime) -> date:
        return next(self._trading_days(at.astimezone(EXCHANGE_TIME).date()))

    def opens_at(self, segment: str, has_derivatives: bool, at: datetime) -> datetime | None:
        day = at.astimezone(EXCHANGE_TIME).date()
        continuous = self._continuous(segment, has_derivatives, day)
        return moment(day, continuous[0].start) if continuous else None

    def closes_at(self, segment: str, has_derivatives: bool, at: datetime) -> datetime | None:
        day = at.astimezone(EXCHANGE_TIME).date()
        continuous = self._continuous(segment, has_derivatives, day)
        return moment(day, continuous[-1].end) if continuous else None

    def next_open(self, segment: str, has_derivatives: bool, at: datetime) -> datetime:
        return self.next_phase(segment, has_derivatives, at, _CONTINUOUS)

    def next_phase(
        self, segment: str, has_derivatives: bool, at: datetime, phases: AbstractSet[Phase]
    ) -> datetime:
        for day in self._trading_days(at.astimezone(EXCHANGE_TIME).date()):
            for part in self.windows(segment, has_derivatives, day):
                if part.phase in phases and at < moment(day, part.end):
                    return max(at.astimezone(UTC), moment(day, part.start))
        raise AssertionError("the trading days end by raising CalendarUnknown")

    def last_trading(self, segment: str, has_derivatives: bool, at: datetime) -> datetime:
        day = at.astimezone(EXCHANGE_TIME).date()
        windows = self._continuous(segment, has_derivatives, day)
        while not windows or at < moment(day, windows[0].start):
            if day == self.sessions.covered_from:
                return moment(day, time())  # what was traded before is not known
            day -= timedelta(days=1)
            windows = self._continuous(segment, has_derivatives, day)
        part = [each for each in windows if moment(day, each.start) <= at][-1]
        return min(at.astimezone(UTC), moment(day, part.end))

    def days_left(self, at: datetime) -> int | None:
        return (self.sessions.valid_through - at.astimezone(EXCHANGE_TIME).date()).days

    def warning(self, at: datetime) -> str | None:
        left = self.days_left(at)
        if left is None or left > WARNING_DAYS:
            return None
        end = self.sessions.valid_through
        if left < 0:
            return f"the trading calendar ended on {end}, and no position can be opened: {_REMEDY}"
        return f"the trading calendar ends on {end}, in {left} days: {_REMEDY}"

    def assuming_weekdays(self) -> ExchangeCalendar:
        return replace(self, assumes_weekdays=True)

    def _continuous(self, segment: str, has_derivatives: bool, day: date) -> list[Window]:
        """Return the windows of continuous trading; a special day may have several, with pauses between."""
        windows = self.windows(segment, has_derivatives, day)
        return [each for each in windows if each.phase is Phase.CONTINUOUS]

    def _trading_days(self, day: date) -> Iterator[date]:
        while True:
            if self.is_trading_day(day):
                yield day
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AlwaysOpen:
    """A market that never closes: that of currency pairs, and any market of demonstrations and tests."""

    zone: tzinfo = EXCHANGE_TIME

    def phase(self, segment: str, has_derivatives: bool, at: datetime) -> Phase:  # noqa: ARG002
        return Phase.CONTINUOUS

    def window(self, segment: str, has_derivatives: bool, at: datetime) -> Window | None:  # noqa: ARG002
        return None

    def is_open(self, at: datetime) -> bool:  # noqa: ARG002
        return True

    def trading_day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def opens_at(self, segment: str, has_derivatives: bool, at: datetime) -> datetime | None:  # noqa: ARG002
        return None

    def closes_at(self, segment: str, has_derivatives: bool, at: datetime) -> datetime | None:  # noqa: ARG002
        return None

    def next_open(self, segment: str, has_derivatives: bool, at: datetime) -> datetime:  # noqa: ARG002
        return at

    def next_phase(
        self,
        segment: str,  # noqa: ARG002
        has_derivatives: bool,  # noqa: ARG002
        at: datetime,
        phases: AbstractSet[Phase],  # noqa: ARG002
    ) -> datetime:
        return at

    def last_trading(self, segment: str, has_derivatives: bool, at: datetime) -> datetime:  # noqa: ARG002
        return at

    def days_left(self, at: datetime) -> int | None:  # noqa: ARG002
        return None

    def warning(self, at: datetime) -> str | None:  # noqa: ARG002
        return None

    def assuming_weekdays(self) -> AlwaysOpen:
        return self


def zone_of(instrument: Instrument) -> tzinfo:
    """Return the time zone of the days of the venues that list such an instrument."""
    return UTC if instrument.kind is InstrumentKind.SPOT else EXCHANGE_TIME


def next_opening(
    calendar: Calendar, instrument: Instrument, terms: OrderTerms, at: datetime
) -> datetime | None:
    """Return when a closed market next accepts the order; None beyond the end of the calendar."""
    phases = market_phases.opening_phases(terms.type, terms.validity)
    try:
        return calendar.next_phase(instrument.segment, instrument.has_derivatives, at, phases)
    except CalendarUnknown:
        return None


def moment(day: date, at: time, zone: tzinfo = EXCHANGE_TIME) -> datetime:
    """Return a date and time of a venue in UTC."""
    return datetime.combine(day, at, zone).astimezone(UTC)


def date_at(calendar: Calendar, at: datetime) -> date:
    """Return the venue's date, whether it is a trading day or not."""
    return at.astimezone(calendar.zone).date()
