from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algosat.domain.calendar import EXCHANGE_TIME, AlwaysOpen, ExchangeCalendar, date_at, moment
from algosat.domain.market_phases import (
    Phase,
    SpecialSession,
    Window,
    packaged,
    read,
    window_problems,
)
from algosat.errors import CalendarUnknown
from tests.app.builders import exchange
from tools import venvs

CALENDAR = ExchangeCalendar(packaged())
# Prints the trading days of 2026 by the packages in .config/venvs/calendars.in.
OTHER_CALENDAR = """
import pandas_market_calendars
for day in pandas_market_calendars.get_calendar("NSE").valid_days("2026-01-01", "2026-12-31"):
    print(day.date())
"""


FRIDAY = "2026-11-20"


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (exchange(FRIDAY, "09:14"), False),
        (exchange(FRIDAY, "09:15"), True),
        (exchange(FRIDAY, "15:29"), True),  # only shares without derivatives are in continuous trading
        (exchange(FRIDAY, "23:59"), False),
        (exchange("2026-11-21", "11:00"), False),
    ],
)
def test_market_is_open_while_any_segment_is_in_continuous_trading(at: datetime, is_open: bool) -> None:
    assert CALENDAR.is_open(at) is is_open


@pytest.mark.parametrize(
    ("clock", "with_derivatives", "without"),
    [
        ("08:59:59", Phase.CLOSED, Phase.CLOSED),
        ("09:00", Phase.PRE_OPEN, Phase.PRE_OPEN),
        ("09:05", Phase.PRE_OPEN_LIMIT, Phase.PRE_OPEN_LIMIT),
        ("09:10", Phase.PRE_OPEN_MATCH, Phase.PRE_OPEN_MATCH),
        ("09:14:59", Phase.BUFFER, Phase.BUFFER),
        ("09:15", Phase.CONTINUOUS, Phase.CONTINUOUS),
        ("15:14:59", Phase.CONTINUOUS, Phase.CONTINUOUS),
        ("15:15", Phase.AUCTION_REFERENCE, Phase.CONTINUOUS),
        ("15:20", Phase.AUCTION, Phase.CONTINUOUS),
        ("15:25", Phase.AUCTION_LIMIT, Phase.CONTINUOUS),
        ("15:30", Phase.AUCTION_MATCH, Phase.CLOSED),
        ("15:35", Phase.CLOSED, Phase.CLOSED),
        ("15:50", Phase.POST_CLOSE, Phase.POST_CLOSE),
        ("16:00", Phase.CLOSED, Phase.CLOSED),
    ],
)
def test_phases_of_a_share_follow_the_time_of_day(
    clock: str, with_derivatives: Phase, without: Phase
) -> None:
    at = exchange(FRIDAY, clock)
    assert CALENDAR.phase("equity", True, at) is with_derivatives
    assert CALENDAR.phase("equity", False, at) is without


@pytest.mark.parametrize(
    ("day", "clock", "segment", "phase"),
    [
        ("2026-07-31", "15:20", "equity", Phase.CONTINUOUS),
        ("2026-08-03", "15:20", "equity", Phase.AUCTION),
        ("2026-07-31", "15:35", "derivatives", Phase.CLOSED),
        ("2026-08-03", "15:35", "derivatives", Phase.CONTINUOUS),
        ("2026-08-03", "15:40", "derivatives", Phase.CLOSED),
        ("2026-09-04", "09:06", "equity", Phase.PRE_OPEN),
        ("2026-09-07", "09:06", "equity", Phase.PRE_OPEN_LIMIT),
        ("2026-07-31", "15:45", "equity", Phase.POST_CLOSE),
        ("2026-08-03", "15:45", "equity", Phase.CLOSED),
    ],
)
def test_schedule_changes_of_2026_apply_from_their_dates(
    day: str, clock: str, segment: str, phase: Phase
) -> None:
    assert CALENDAR.phase(segment, True, exchange(day, clock)) is phase


@pytest.mark.parametrize("day", ["2026-11-21", "2026-11-22", "2026-11-24", "2026-11-08"])
def test_weekends_holidays_and_sessions_without_times_are_closed(day: str) -> None:
    assert CALENDAR.phase("equity", True, exchange(day)) is Phase.CLOSED
    assert CALENDAR.closes_at("equity", True, exchange(day)) is None


def test_budget_sunday_has_ordinary_trading_hours() -> None:
    assert CALENDAR.phase("equity", True, exchange("2026-02-01")) is Phase.CONTINUOUS


@pytest.mark.slow
def test_trading_days_are_those_of_another_calendar() -> None:
    python = venvs.ensure("calendars") / "python"
    printed = subprocess.check_output([python, "-W", "ignore", "-c", OTHER_CALENDAR], text=True)
    # The other calendar has no special sessions.
    expected = {date.fromisoformat(day) for day in printed.split()} | {date(2026, 2, 1)}
    year = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]
    assert {day for day in year if CALENDAR.is_trading_day(day)} == expected


@pytest.mark.parametrize("day", ["2025-12-31", "2027-01-01"])
def test_days_outside_the_calendar_are_refused(day: str) -> None:
    with pytest.raises(CalendarUnknown, match="covers 2026-01-01 to 2026-12-31"):
        CALENDAR.phase("equity", True, exchange(day))


def test_unknown_segment_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CalendarUnknown, match="equity, derivatives"):
        CALENDAR.phase("commodity", False, exchange(FRIDAY))


def test_next_open_after_the_end_of_the_calendar_is_refused() -> None:
    with pytest.raises(CalendarUnknown):
        CALENDAR.next_open("equity", True, exchange("2026-12-31", "15:30"))


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-11-15", None),
        ("2026-11-16", "in 45 days"),
        ("2026-12-31", "in 0 days"),
        ("2027-01-01", "no position can be opened"),
    ],
)
def test_warning_starts_forty_five_days_before_the_end(day: str, expected: str | None) -> None:
    warning = CALENDAR.warning(exchange(day))
    assert (warning is None) if expected is None else (expected in (warning or ""))


def test_trading_day_is_the_exchange_date_or_the_next_trading_date() -> None:
    assert CALENDAR.trading_day(exchange(FRIDAY, "23:30")) == date(2026, 11, 20)
    assert CALENDAR.trading_day(exchange("2026-11-21")) == date(2026, 11, 23)
    late_in_utc = datetime(2026, 11, 19, 20, 0, tzinfo=UTC)  # 01:30 of the 20th at the exchange
    assert CALENDAR.trading_day(late_in_utc) == date(2026, 11, 20)


@pytest.mark.parametrize(
    ("segment", "has_derivatives", "close"),
    [("equity", True, "15:15"), ("equity", False, "15:30"), ("derivatives", False, "15:40")],
)
def test_continuous_trading_closes_by_segment(segment: str, has_derivatives: bool, close: str) -> None:
    assert CALENDAR.closes_at(segment, has_derivatives, exchange(FRIDAY)) == exchange(FRIDAY, close)


@pytest.mark.parametrize("clock", ["03:00", "12:00", "23:30"])
def test_opening_time_is_that_of_the_exchange_date(clock: str) -> None:
    assert CALENDAR.opens_at("equity", True, exchange(FRIDAY, clock)) == exchange(FRIDAY, "09:15")
    assert CALENDAR.opens_at("equity", True, exchange("2026-11-22", clock)) is None
    with pytest.raises(CalendarUnknown):
        CALENDAR.opens_at("equity", True, exchange("2031-01-01", clock))


def test_next_open_is_now_later_today_or_on_the_next_trading_day() -> None:
    during, before, after = (exchange(FRIDAY, clock) for clock in ("10:00", "07:00", "15:16"))
    assert CALENDAR.next_open("equity", True, during) == during
    assert CALENDAR.next_open("equity", True, before) == exchange(FRIDAY, "09:15")
    assert CALENDAR.next_open("equity", True, after) == exchange("2026-11-23", "09:15")
    before_a_holiday = exchange("2026-11-23", "16:00")
    assert CALENDAR.next_open("equity", True, before_a_holiday) == exchange("2026-11-25", "09:15")


@pytest.mark.parametrize(
    ("day", "clock", "expected"),
    [
        (FRIDAY, "10:00", (FRIDAY, "10:00")),
        (FRIDAY, "15:21", (FRIDAY, "15:15")),  # the closing auction
        (FRIDAY, "15:51", (FRIDAY, "15:15")),  # the post-close session
        ("2026-11-22", "12:00", (FRIDAY, "15:15")),  # a Sunday
        ("2026-11-25", "09:04", ("2026-11-23", "15:15")),  # the pre-open session after a holiday
        ("2026-01-01", "09:04", ("2026-01-01", "00:00")),  # the first day that the calendar covers
    ],
)
def test_last_trading_is_now_or_the_last_end_of_continuous_trading(
    day: str, clock: str, expected: tuple[str, str]
) -> None:
    assert CALENDAR.last_trading("equity", True, exchange(day, clock)) == exchange(*expected)


def test_last_trading_outside_the_calendar_is_refused() -> None:
    with pytest.raises(CalendarUnknown):
        CALENDAR.last_trading("equity", True, exchange("2027-01-01", "10:00"))


def test_always_open_market_is_open_on_a_sunday() -> None:
    calendar, sunday = AlwaysOpen(), exchange("2026-11-22", "03:00")
    assert calendar.phase("equity", True, sunday) is Phase.CONTINUOUS
    assert calendar.trading_day(sunday) == date(2026, 11, 22)
    assert calendar.next_open("equity", True, sunday) == sunday
    assert calendar.last_trading("equity", True, sunday) == sunday
    assert calendar.closes_at("equity", True, sunday) is None
    assert calendar.opens_at("equity", True, sunday) is None
    assert calendar.warning(exchange("2030-01-01")) is None


def test_day_of_an_always_open_market_is_that_of_its_time_zone() -> None:
    at = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
    assert [AlwaysOpen(zone).trading_day(at).day for zone in (EXCHANGE_TIME, UTC)] == [22, 21]
    assert [date_at(AlwaysOpen(zone), at).day for zone in (EXCHANGE_TIME, UTC)] == [22, 21]
    assert moment(date(2026, 11, 21), time(), UTC) == datetime(2026, 11, 21, tzinfo=UTC)


def test_special_session_may_have_its_own_windows() -> None:
    calendar = ExchangeCalendar(
        read(
            {
                "covers": {"from": date(2026, 1, 1), "valid_through": date(2026, 12, 31)},
                "pieces": {"evening": [{"phase": "continuous", "from": "18:00", "until": "19:00"}]},
                "segments": {"equity": []},
                "holidays": {},
                "special_sessions": {date(2026, 11, 8): {"name": "Evening", "day": ["evening"]}},
            }
        )
    )
    assert calendar.phase("equity", False, exchange("2026-11-08", "18:30")) is Phase.CONTINUOUS
    assert calendar.next_open("equity", False, exchange("2026-11-07")) == exchange("2026-11-08", "18:00")


def test_day_in_two_parts_opens_with_the_first_and_closes_with_the_last() -> None:
    """The exchange's Saturday sessions on its disaster recovery site were such days."""
    parts = [("09:15", "10:00"), ("11:30", "12:30")]
    windows = tuple(Window(Phase.CONTINUOUS, *map(time.fromisoformat, part)) for part in parts)
    saturday = "2026-11-21"
    special = {date.fromisoformat(saturday): SpecialSession("Recovery site", windows)}
    calendar = ExchangeCalendar(CALENDAR.sessions.extended(special=special))
    morning = exchange(saturday, "08:00")
    assert calendar.opens_at("equity", True, morning) == exchange(saturday, "09:15")
    assert calendar.closes_at("equity", True, morning) == exchange(saturday, "12:30")
    next_opens = [
        calendar.next_open("equity", True, exchange(saturday, at)) for at in ("09:30", "10:30", "12:00")
    ]
    assert next_opens == [exchange(saturday, at) for at in ("09:30", "11:30", "12:00")]
    assert calendar.next_open("equity", True, exchange(saturday, "12:30")) == exchange("2026-11-23", "09:15")
    last = [
        calendar.last_trading("equity", True, exchange(saturday, at)) for at in ("09:30", "10:30", "13:00")
    ]
    assert last == [exchange(saturday, at) for at in ("09:30", "10:00", "12:30")]


def test_special_session_of_one_segment_leaves_the_others_closed() -> None:
    evening = (Window(Phase.CONTINUOUS, time(18), time(19)),)
    special = {date(2026, 11, 21): SpecialSession("Evening", evening, frozenset({"equity"}))}
    calendar = ExchangeCalendar(CALENDAR.sessions.extended(special=special))
    at = exchange("2026-11-21", "18:30")
    assert calendar.phase("equity", False, at) is Phase.CONTINUOUS
    assert calendar.phase("derivatives", False, at) is Phase.CLOSED
    assert calendar.next_open("derivatives", False, at) == exchange("2026-11-23", "09:15")


def test_assumed_weekdays_are_ordinary_trading_days_beyond_the_end_only() -> None:
    assuming = CALENDAR.assuming_weekdays()
    friday, saturday = "2027-01-01", "2027-01-02"
    assert assuming.phase("equity", True, exchange(friday, "15:21")) is Phase.AUCTION
    assert assuming.phase("derivatives", True, exchange(friday, "15:39")) is Phase.CONTINUOUS
    assert assuming.phase("equity", True, exchange(saturday)) is Phase.CLOSED
    assert assuming.trading_day(exchange(saturday)) == date(2027, 1, 4)
    assert assuming.next_open("equity", True, exchange("2026-12-31", "16:00")) == exchange(friday, "09:15")
    assert assuming.phase("equity", True, exchange("2026-12-25")) is Phase.CLOSED  # Christmas
    with pytest.raises(CalendarUnknown):
        assuming.phase("equity", True, exchange("2025-12-31"))
    with pytest.raises(CalendarUnknown):
        assuming.phase("commodity", True, exchange(friday))


PHASES = st.sampled_from([phase for phase in Phase if phase is not Phase.CLOSED])


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, ...]:
    minutes = sorted(draw(st.sets(st.integers(0, 1439), min_size=2, max_size=8)))
    times = [time(minute // 60, minute % 60) for minute in minutes]
    return tuple(Window(draw(PHASES), *pair) for pair in zip(times[::2], times[1::2], strict=False))


YEARS = st.dates(date(2026, 1, 1), date(2027, 12, 31))
SESSIONS = st.builds(
    SpecialSession,
    st.just("session"),
    st.none() | windows(),
    st.none() | st.sets(st.sampled_from(["equity", "derivatives"]), min_size=1).map(frozenset),
)


@given(
    st.sets(YEARS, max_size=20),
    st.dictionaries(YEARS, SESSIONS, max_size=20),
    st.datetimes(datetime(2026, 1, 2), datetime(2027, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(["equity", "derivatives"]),
)
def test_extended_calendar_is_consistent_at_any_hour(
    holidays: set[date], special: dict[date, SpecialSession], at: datetime, segment: str
) -> None:
    sessions = CALENDAR.sessions.extended(
        valid_through=date(2027, 12, 31), holidays=dict.fromkeys(holidays, "closed"), special=special
    )
    assert all(list(window_problems(each.windows or ())) == [] for each in special.values())
    calendar = ExchangeCalendar(sessions)
    day, market = at.astimezone(EXCHANGE_TIME).date(), (segment, True)
    window = calendar.window(*market, at)
    assert calendar.phase(*market, at) is (window.phase if window else Phase.CLOSED)
    if day not in holidays and day not in special and day.year == 2026:
        assert calendar.windows(*market, day) == CALENDAR.windows(*market, day)
    if day in holidays and day not in special:
        assert window is None
    assert day <= (trading := calendar.trading_day(at))
    assert calendar.is_trading_day(trading)
    opening, last = calendar.next_open(*market, at), calendar.last_trading(*market, at)
    assert last <= at <= opening
    assert calendar.phase(*market, opening) is Phase.CONTINUOUS
    if calendar.phase(*market, at) is Phase.CONTINUOUS:
        assert last == at == opening
