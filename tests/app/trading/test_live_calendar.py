from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from algosat.config.loader import load
from algosat.config.settings import Settings
from algosat.domain.calendar import EXCHANGE_TIME, AlwaysOpen
from algosat.domain.market_phases import Phase, SpecialSession, Window, packaged
from algosat.errors import CalendarUnknown, InvalidBody, NotFound, StoreBusy
from algosat.store import audit, calendar_entries
from algosat.store.database import Database
from algosat.store.tables import calendar_entries as table
from algosat.trading import calendar_changes
from algosat.trading.desk import Desk
from algosat.trading.live_calendar import CalendarSource, LiveCalendar, calendar_of, changes_in, stored
from tests.app.builders import account_data, algosat_data, exchange, write_configuration
from tests.app.desks import CAUSE

TUESDAY, SUNDAY = date(2026, 12, 1), date(2026, 12, 6)
EVENING = Window(Phase.CONTINUOUS, time(18), time(19), random_close_from=time(18, 58))
MUHURAT = SpecialSession("Muhurat trading", (EVENING,), frozenset({"equity"}))


class Source:
    """A calendar source whose time the test sets, with the number of times that it asked the store."""

    def __init__(self, desk: Desk) -> None:
        self.asked, self.at, self._desk = 0, 100.0, desk
        self.failure: Exception | None = None
        source = CalendarSource(desk.sessions, self._fetch, lambda: self.at)
        self.calendar = LiveCalendar(source.current)

    def _fetch(self) -> Mapping[str, Any]:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return calendar_entries.read(self._desk.database)


@pytest.fixture
def source(desk: Desk) -> Source:
    return Source(desk)


def problems(refused: pytest.ExceptionInfo[InvalidBody]) -> list[str]:
    return [each["field"] for each in refused.value.errors]


def audited(desk: Desk) -> list[dict[str, Any]]:
    with desk.database.read() as connection:
        return [it.data for it in audit.all_events(connection) if it.kind == "calendar.changed"]


def test_change_is_in_force_within_a_second(desk: Desk, source: Source) -> None:
    noon, evening = exchange("2026-12-01"), exchange("2026-12-06", "18:30")
    assert source.calendar.phase("equity", True, noon) is Phase.CONTINUOUS
    calendar_changes.set_day(desk, TUESDAY, "Election", CAUSE)
    calendar_changes.set_day(desk, SUNDAY, MUHURAT, CAUSE)
    source.at += 1
    assert source.calendar.phase("equity", True, noon) is Phase.CLOSED
    assert source.calendar.phase("equity", True, evening) is Phase.CONTINUOUS
    assert source.calendar.phase("derivatives", True, evening) is Phase.CLOSED
    assert source.calendar.trading_day(noon) == date(2026, 12, 2)
    calendar_changes.delete_day(desk, TUESDAY, CAUSE)
    source.at += 1
    assert source.calendar.phase("equity", True, noon) is Phase.CONTINUOUS


def test_store_is_asked_at_most_once_a_second(source: Source) -> None:
    for _ in range(5):
        source.calendar.phase("equity", True, exchange("2026-12-01"))
        source.calendar.next_open("equity", True, exchange("2026-12-01"))
    assert source.asked == 1
    source.at += 1
    source.calendar.closes_at("equity", True, exchange("2026-12-01"))
    assert source.asked == 2


def test_calendar_of_a_moment_ago_stays_while_the_store_does_not_answer(desk: Desk, source: Source) -> None:
    calendar_changes.set_day(desk, TUESDAY, "Election", CAUSE)
    assert source.calendar.phase("equity", True, exchange("2026-12-01")) is Phase.CLOSED
    source.failure = StoreBusy("gone")
    source.at += 1
    assert source.calendar.phase("equity", True, exchange("2026-12-01")) is Phase.CLOSED


def test_end_is_moved_and_restored(desk: Desk, source: Source) -> None:
    after = exchange("2027-01-04")
    with pytest.raises(CalendarUnknown):
        source.calendar.phase("equity", True, after)
    assert source.calendar.assuming_weekdays().phase("equity", True, after) is Phase.CONTINUOUS
    calendar_changes.set_end(desk, date(2027, 3, 31), CAUSE)
    source.at += 1
    assert source.calendar.phase("equity", True, after) is Phase.CONTINUOUS
    assert source.calendar.warning(exchange("2026-12-31")) is None
    assert source.calendar.days_left(exchange("2027-03-30")) == 1
    calendar_changes.set_end(desk, None, CAUSE)
    source.at += 1
    with pytest.raises(CalendarUnknown):
        source.calendar.phase("equity", True, after)


def test_changes_are_audited_with_what_was_before(desk: Desk) -> None:
    calendar_changes.set_day(desk, TUESDAY, "Election", CAUSE)
    calendar_changes.set_day(desk, TUESDAY, SpecialSession("Normal"), CAUSE)
    calendar_changes.delete_day(desk, TUESDAY, CAUSE)
    election, normal = stored("Election"), stored(SpecialSession("Normal"))
    assert audited(desk) == [
        {"from": None, "to": election},
        {"from": election, "to": normal},
        {"from": normal, "to": None},
    ]


@pytest.mark.parametrize(
    ("day", "wanted", "fields"),
    [
        (date(2026, 11, 19), "Yesterday", ["date"]),
        (date(2027, 1, 26), "Republic Day", ["date"]),
        (SUNDAY, SpecialSession("x", (replace(EVENING, end=time(17)),)), ["windows.0", "windows.0"]),
        (SUNDAY, SpecialSession("x", (EVENING, EVENING)), ["windows.1"]),
        (SUNDAY, SpecialSession("x", segments=frozenset({"equity", "gold"})), ["segments"]),
        (
            date(2026, 11, 19),
            SpecialSession("x", (EVENING, EVENING), frozenset({"gold"})),
            ["date", "windows.1", "segments"],
        ),
    ],
    ids=["past", "not covered", "end before start", "overlap", "segment", "all problems"],
)
def test_wrong_day_is_refused_with_its_places_and_changes_nothing(
    desk: Desk, day: date, wanted: str | SpecialSession, fields: list[str]
) -> None:
    with pytest.raises(InvalidBody) as refused:
        calendar_changes.set_day(desk, day, wanted, CAUSE)
    assert problems(refused) == fields
    assert (calendar_entries.read(desk.database), audited(desk)) == ({}, [])


def test_today_can_be_changed_and_yesterday_cannot(desk: Desk) -> None:
    today = desk.clock().date()
    calendar_changes.set_day(desk, today, "Sudden closure", CAUSE)
    entry = {"value": stored("Old"), "changed_at": desk.clock(), "changed_by": "x"}
    yesterday = today - timedelta(days=1)
    desk.writer.run(
        lambda connection: connection.execute(insert(table), {"entry": yesterday.isoformat(), **entry})
    )
    with pytest.raises(InvalidBody, match="in the past"):
        calendar_changes.delete_day(desk, yesterday, CAUSE)


def test_day_that_was_not_set_cannot_be_deleted(desk: Desk) -> None:
    with pytest.raises(NotFound, match="nothing was set for 2026-12-25"):
        calendar_changes.delete_day(desk, date(2026, 12, 25), CAUSE)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (date(2026, 12, 31), "must be after 2026-12-31"),
        (date(2026, 1, 1), "must be after 2026-12-31"),
        (date(2072, 12, 31), "more than 800 days ahead"),
    ],
)
def test_wrong_end_is_refused_and_changes_nothing(desk: Desk, end: date, words: str) -> None:
    with pytest.raises(InvalidBody, match=words):
        calendar_changes.set_end(desk, end, CAUSE)
    assert calendar_entries.read(desk.database) == {}


def test_day_beyond_the_packaged_end_can_be_set_once_the_end_is_moved(desk: Desk, source: Source) -> None:
    calendar_changes.set_end(desk, date(2027, 12, 31), CAUSE)
    calendar_changes.set_day(desk, date(2027, 1, 26), "Republic Day", CAUSE)
    assert source.calendar.phase("equity", True, exchange("2027-01-25")) is Phase.CONTINUOUS
    assert source.calendar.phase("equity", True, exchange("2027-01-26")) is Phase.CLOSED


@pytest.mark.parametrize("day", ["Election", SpecialSession("Budget"), MUHURAT])
def test_stored_day_is_read_back(day: str | SpecialSession) -> None:
    changes = changes_in({"2026-12-01": stored(day)})
    assert {**changes.holidays, **changes.special} == {TUESDAY: day}


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("2026-13-01", {"kind": "holiday", "name": "x"}),
        ("2026-12-01", {"kind": "holiday"}),
        (
            "2026-12-01",
            {"kind": "special_session", "name": "x", "windows": [["dusk", "18:00", "19:00", None]]},
        ),
        ("valid_through", 7),
        ("later", "idea"),
    ],
)
def test_entry_of_another_release_is_skipped(entry: str, value: Any) -> None:
    changes = changes_in({entry: value, "2026-12-02": stored("Election")})
    assert changes.applied(packaged()) == packaged().extended(holidays={date(2026, 12, 2): "Election"})


def test_market_that_is_always_open_has_no_exchange_calendar(settings: Settings, database: Database) -> None:
    assert isinstance(calendar_of(settings.algosat, settings.algosat.accounts[0], database), AlwaysOpen)


def test_days_of_currency_pairs_are_those_of_utc(database: Database, tmp_path: Path) -> None:
    pairs = account_data(name="coins", currency="USDT", charges__brokerage="none", paper__listings="coins")
    data = algosat_data(tmp_path, accounts=[account_data(), pairs])
    settings = load(write_configuration(tmp_path, data)).algosat
    zones = [calendar_of(settings, each, database).zone for each in settings.accounts]
    assert zones == [EXCHANGE_TIME, UTC]


def test_inventory_text_and_store_are_both_in_the_calendar(desk: Desk, tmp_path: Path) -> None:
    text = "covers: {valid_through: 2027-12-31}\nholidays: {2027-01-26: Republic Day}\n"
    data = algosat_data(tmp_path, calendar=text, accounts__0__calendar="exchange")
    settings = load(write_configuration(tmp_path, data))
    calendar_changes.set_day(desk, TUESDAY, "Election", CAUSE)
    calendar = calendar_of(settings.algosat, settings.algosat.accounts[0], desk.database)
    days: dict[str, datetime] = {day: exchange(day) for day in ("2026-12-01", "2027-01-25", "2027-01-26")}
    found = {day: calendar.phase("equity", True, at) for day, at in days.items()}
    assert found == {
        "2026-12-01": Phase.CLOSED,
        "2027-01-25": Phase.CONTINUOUS,
        "2027-01-26": Phase.CLOSED,
    }
