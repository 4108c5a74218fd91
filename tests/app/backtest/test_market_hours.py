from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from algosat.backtest.market_hours import calendar_for
from algosat.domain.calendar import AlwaysOpen, ExchangeCalendar
from algosat.domain.market_phases import Phase
from algosat.errors import ConfigurationError, InvalidRequest

OPENS = datetime(2019, 11, 20, 3, 45, tzinfo=UTC)  # 09:15 in exchange time
WHERE = ("equity", False)


def test_market_is_open_between_two_times_every_day() -> None:
    calendar = calendar_for("09:15-15:30")
    closes = OPENS + timedelta(hours=6, minutes=15)
    phases = [calendar.phase(*WHERE, at) for at in (OPENS - timedelta(seconds=1), OPENS, closes)]
    assert phases == [Phase.CLOSED, Phase.CONTINUOUS, Phase.CLOSED]
    assert calendar.closes_at(*WHERE, OPENS) == closes
    assert calendar.opens_at(*WHERE, closes) == OPENS
    assert calendar.next_open(*WHERE, OPENS - timedelta(hours=1)) == OPENS
    assert str(calendar.trading_day(OPENS)) == "2019-11-20"


def test_always_and_exchange_are_calendars_of_the_domain() -> None:
    assert isinstance(calendar_for("always"), AlwaysOpen)
    assert isinstance(calendar_for("exchange"), ExchangeCalendar)


@pytest.mark.parametrize("text", ["", "9-15", "15:30-09:15", "09:15-09:15", "25:00-26:00", "sometimes"])
def test_other_market_hours_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="09:15-15:30"):
        calendar_for(text)


def test_calendar_of_the_exchange_is_extended_by_a_file() -> None:
    opens = datetime(2027, 3, 3, 3, 45, tzinfo=UTC)
    text = "covers: {valid_through: 2027-12-31}\nholidays: {2027-03-04: A holiday}\n"
    calendar = calendar_for("exchange", text)
    assert calendar.phase(*WHERE, opens) is Phase.CONTINUOUS
    assert calendar.phase(*WHERE, opens + timedelta(days=1)) is Phase.CLOSED


def test_wrong_extension_names_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"holidays\.2028-03-04"):
        calendar_for("exchange", "holidays: {2028-03-04: A holiday}\n")


def test_extension_of_other_hours_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="extends the market hours 'exchange'"):
        calendar_for("always", "holidays: {2026-03-04: A holiday}\n")
