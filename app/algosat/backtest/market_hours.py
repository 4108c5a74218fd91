"""Market hours of a back-test: the exchange's calendar, between two times every day, or always."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final

from algosat.config import calendar_file
from algosat.domain import market_phases
from algosat.domain.calendar import EXCHANGE_TIME, AlwaysOpen, Calendar, ExchangeCalendar, moment
from algosat.domain.market_phases import Phase, Window
from algosat.errors import InvalidRequest

ALWAYS: Final = "always"
EXCHANGE: Final = "exchange"
_BETWEEN: Final = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class DailyHours:
    """Calendar that is open between two exchange times every day, for years that no calendar covers."""

    opens: time
    closes: time

    @property
    def zone(self) -> tzinfo:
        return EXCHANGE_TIME

    def phase(self, segment: str, has_derivatives: bool, at: datetime) -> Phase:
        return Phase.CLOSED if self.window(segment, has_derivatives, at) is None else Phase.CONTINUOUS

    def window(self, segment: str, has_derivatives: bool, at: datetime) -> Window | None:  # noqa: ARG002
        return Window(Phase.CONTINUOUS, self.opens, self.closes) if self.is_open(at) else None

    def is_open(self, at: datetime) -> bool:
        return self.opens <= at.astimezone(EXCHANGE_TIME).time() < self.closes

    def trading_day(self, at: datetime) -> date:
        return at.astimezone(EXCHANGE_TIME).date()

    def opens_at(self, segment: str, has_derivatives: bool, at: datetime) -> datetime | None:  # noqa: ARG002
        return moment(self.trading_day(at), self.opens)

    def closes_at(self, segment: str, has_derivatives: bool, at: datetime) -> datetime | None:  # noqa: ARG002
        return moment(self.trading_day(at), self.closes)

    def next_open(self, segment: str, has_derivatives: bool, at: datetime) -> datetime:  # noqa: ARG002
        today = self.trading_day(at)
        if at >= moment(today, self.closes):
            return moment(today + timedelta(days=1), self.opens)
        return max(at, moment(today, self.opens))

    def next_phase(
        self,
        segment: str,
        has_derivatives: bool,
        at: datetime,
        phases: AbstractSet[Phase],  # noqa: ARG002
    ) -> datetime:
        return self.next_open(segment, has_derivatives, at)

    def last_trading(self, segment: str, has_derivatives: bool, at: datetime) -> datetime:  # noqa: ARG002
        today = self.trading_day(at)
        if at < moment(today, self.opens):
            return moment(today - timedelta(days=1), self.closes)
        return min(at, moment(today, self.closes))

    def days_left(self, at: datetime) -> int | None:  # noqa: ARG002
        return None

    def warning(self, at: datetime) -> str | None:  # noqa: ARG002
        return None

    def assuming_weekdays(self) -> DailyHours:
        return self


def calendar_for(text: str, extension: str = "", zone: tzinfo = EXCHANGE_TIME) -> Calendar:
    """Return the calendar of `always`, `exchange` or two times (09:15-15:30).

    `extension` is text as in the inventory's `algosat_calendar`; it extends the calendar of `exchange`.
    `zone` is the time zone of the days of a market that is always open.

    Raises InvalidRequest, and ConfigurationError for a wrong extension, naming every problem.
    """
    if extension and text != EXCHANGE:
        raise InvalidRequest(f"a calendar extends the market hours {EXCHANGE!r}, not {text!r}")
    if text == ALWAYS:
        return AlwaysOpen(zone)
    if text == EXCHANGE:
        return ExchangeCalendar(calendar_file.extended(market_phases.packaged(), extension))
    between = _BETWEEN.fullmatch(text)
    try:
        opens, closes = (
            (time.fromisoformat(each) for each in between.groups()) if between else (time(), time())
        )
    except ValueError:
        opens = closes = time()
    if opens >= closes:
        raise InvalidRequest(
            f"market hours are always, exchange, or two times such as 09:15-15:30, not {text!r}"
        )
    return DailyHours(opens, closes)
