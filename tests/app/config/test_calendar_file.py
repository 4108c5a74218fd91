from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algosat.config import calendar_file
from algosat.config.loader import load
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.market_phases import Phase, Sessions, packaged
from algosat.errors import ConfigurationError
from tests.app.builders import algosat_data, exchange, write_configuration

PACKAGED = packaged()
LONGER = "covers: {valid_through: 2027-12-31}\n"
AUCTION = "{phase: auction, from: '18:00', until: '19:00'}"
DAYS = st.dates(date(2026, 1, 1), date(2027, 12, 31))


def extended(text: str) -> Sessions:
    return calendar_file.extended(PACKAGED, text)


def problems(text: str) -> dict[str, str]:
    return dict(calendar_file.read(PACKAGED, text)[1])


@pytest.mark.parametrize("text", ["", "\n", "{}", "# Nothing yet.\n{}\n"])
def test_text_without_parts_changes_nothing(text: str) -> None:
    assert extended(text) == PACKAGED


def test_later_coverage_holidays_sessions_and_schedules_are_added() -> None:
    calendar = ExchangeCalendar(
        extended(
            LONGER + "holidays: {2027-01-26: Republic Day}\n"
            "pieces: {evening: [{phase: continuous, from: '18:00', until: '19:00'}]}\n"
            "special_sessions: {2027-10-29: {name: Muhurat, day: [evening], segments: [equity]}}\n"
            "segments: {derivatives: [{from: 2027-02-01, day: [until_1530]}]}\n"
        )
    )
    assert calendar.phase("equity", True, exchange("2027-01-25")) is Phase.CONTINUOUS
    assert calendar.phase("equity", True, exchange("2027-01-26")) is Phase.CLOSED
    assert calendar.phase("equity", True, exchange("2027-10-29", "18:30")) is Phase.CONTINUOUS
    assert calendar.phase("equity", True, exchange("2027-10-29")) is Phase.CLOSED
    assert calendar.phase("derivatives", True, exchange("2027-10-29", "18:30")) is Phase.CLOSED
    assert calendar.phase("derivatives", True, exchange("2027-01-29", "15:35")) is Phase.CONTINUOUS
    assert calendar.phase("derivatives", True, exchange("2027-02-01", "15:35")) is Phase.CLOSED


def test_file_that_ends_earlier_than_the_packaged_calendar_shortens_nothing() -> None:
    """An old file of the inventory, and a newer release that covers more."""
    sessions = extended("covers: {valid_through: 2026-06-30}\nholidays: {2026-06-29: Moved}\n")
    assert sessions.valid_through == PACKAGED.valid_through
    assert sessions.holidays == {**PACKAGED.holidays, date(2026, 6, 29): "Moved"}


def test_holiday_of_the_file_closes_a_packaged_special_session() -> None:
    calendar = ExchangeCalendar(extended("holidays: {2026-02-01: Budget moved}"))
    assert not calendar.is_trading_day(date(2026, 2, 1))


def test_packaged_holiday_trades_if_the_file_names_it_as_a_special_session() -> None:
    calendar = ExchangeCalendar(
        extended("holidays: {2026-05-29: Bakri Id}\nspecial_sessions: {2026-05-28: {name: Bakri Id moved}}")
    )
    assert calendar.phase("equity", True, exchange("2026-05-28")) is Phase.CONTINUOUS
    assert calendar.phase("equity", True, exchange("2026-05-29")) is Phase.CLOSED


@given(st.dictionaries(DAYS, st.just("name"), max_size=8), st.sets(DAYS, max_size=8), st.none() | DAYS)
def test_no_packaged_holiday_is_lost_unless_it_is_named(
    holidays: dict[date, str], special: set[date], end: date | None
) -> None:
    lines = [f"covers: {{valid_through: {max(end or date.min, *holidays, *special, date(2026, 1, 1))}}}"]
    lines += ["holidays:" if holidays else "holidays: {}", *(f"  {day}: name" for day in holidays)]
    lines += ["special_sessions:" if special else "special_sessions: {}"]
    lines += [f"  {day}: {{name: session}}" for day in special]
    calendar = ExchangeCalendar(extended("\n".join(lines)))
    for day in {**PACKAGED.holidays, **holidays}:
        assert calendar.is_trading_day(day) == (
            day in special or (day in PACKAGED.special and day not in holidays)
        )
    assert all(calendar.is_trading_day(day) for day in special)
    assert calendar.sessions.valid_through >= PACKAGED.valid_through


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("holidays: [", "", "line 2"),
        ("- a list", "", "object"),
        ("holidays: {2027-01-26: a, 2027-01-26: b}", "", "written twice"),
        ("holydays: {}", "holydays", "did you mean holidays?"),
        ("covers: {from: 2027-01-01}", "covers.valid_through", "is missing"),
        ("covers: {valid_through: 2027-01-01, form: 2027-01-01}", "covers.form", "did you mean from?"),
        ("special_sessions: {2026-11-08: {name: x, dy: []}}", "special_sessions.2026-11-08.dy", "mean day?"),
        ("covers: {valid_through: 2027-13-01}", "", "a date that does not exist"),
        ("covers: {from: 2027-03-01, valid_through: 2027-12-31}", "covers.from", "2027-01-01 to 2027-02-28"),
        (
            "covers: {from: 2027-03-01, valid_through: 2027-01-31}",
            "covers.valid_through",
            "before covers.from",
        ),
        ("holidays: {2027-01-26: Republic Day}", "holidays.2027-01-26", "covers.valid_through moves the end"),
        ("holidays: {2025-01-26: Republic Day}", "holidays.2025-01-26", "is not within 2026-01-01 to"),
        ("holidays: {January: Republic Day}", "holidays.January.[key]", "date"),
        ("holidays: {2026-06-29: ''}", "holidays.2026-06-29", "at least 1 character"),
        ("special_sessions: {2028-01-01: {name: x}}", "special_sessions.2028-01-01", "is not within"),
        ("special_sessions: {2026-11-08: {}}", "special_sessions.2026-11-08.name", "is missing"),
        (
            "special_sessions: {2026-11-08: {name: x, day: [evning]}}",
            "special_sessions.2026-11-08.day",
            "no piece is named evning",
        ),
        (
            "special_sessions: {2026-11-08: {name: x, day: [until_1540, until_1530]}}",
            "special_sessions.2026-11-08.day.1",
            "must not overlap",
        ),
        (
            "special_sessions: {2026-11-08: {name: x, segments: [equity, gold]}}",
            "special_sessions.2026-11-08.segments",
            "gold is unknown; the segments are equity, derivatives",
        ),
        (
            "pieces: {a: [{phase: continous, from: '18:00', until: '19:00'}]}",
            "pieces.a.0.phase",
            "continuous",
        ),
        (
            "pieces: {a: [{phase: continuous, from: '19:00', until: '18:00'}]}",
            "pieces.a.0",
            "not after its start",
        ),
        (
            "pieces: {a: [{phase: continuous, from: '18:00', until: '18:00'}]}",
            "pieces.a.0",
            "not after its start",
        ),
        ("pieces: {a: [{phase: continuous, from: '25:00', until: '19:00'}]}", "pieces.a.0.from", "time"),
        ("pieces: {a: [{phase: continuous, from: 18:00, until: '19:00'}]}", "pieces.a.0.from", "time"),
        (
            "pieces: {a: [{phase: auction, from: '18:00', until: '19:00', random_close_from: '19:30'}]}",
            "pieces.a.0",
            "not within the window",
        ),
        (
            f"pieces: {{a: [{AUCTION}, {{phase: continuous, from: '18:30', until: '20:00'}}]}}",
            "pieces.a.1",
            "before the end of the window before it at 19:00",
        ),
        (
            "special_sessions: {2026-11-08: {name: x, day: [untl_1530]}}",
            "special_sessions.2026-11-08.day",
            "did you mean until_1530?",
        ),
        ("segments: {gold: [{from: 2027-01-01, day: [until_1530]}]}", "segments.gold", "gold is unknown"),
        ("segments: {equity: [{from: 2027-01-01, day: []}]}", "segments.equity.0.day", "at least 1 item"),
        (
            "segments: {equity: [{from: 2027-01-01, day: [until_1530], only: shares}]}",
            "segments.equity.0.only",
            "with_derivatives",
        ),
    ],
)
def test_problem_is_named_with_its_place(text: str, place: str, words: str) -> None:
    found = problems(text)
    assert list(found) == [place]
    assert words in found[place]
    with pytest.raises(ConfigurationError):
        extended(text)


def test_configuration_with_a_wrong_calendar_is_refused_with_every_place(tmp_path: Path) -> None:
    text = "holidays: {2028-01-26: x}\nspecial_sessions: {2026-11-08: {name: x, day: [evening]}}\n"
    write_configuration(tmp_path, algosat_data(tmp_path, calendar=text))
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path)
    assert {each["key"] for each in refused.value.errors} == {"calendar"}
    assert [each["detail"].split(": ")[0] for each in refused.value.errors] == [
        "special_sessions.2026-11-08.day",
        "holidays.2028-01-26",
    ]


def test_packaged_calendar_can_be_given_whole() -> None:
    text = (Path(calendar_file.__file__).parents[1] / "domain" / "sessions.yaml").read_text()
    given, ours = ExchangeCalendar(extended(text)), ExchangeCalendar(PACKAGED)
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]
    markets = [(segment, has) for segment in PACKAGED.segments for has in (True, False)]
    assert all(
        given.windows(*market, day) == ours.windows(*market, day) for day in days for market in markets
    )
