from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

import pytest

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.instruments import Quote
from algosat.strategies.bars import SECONDS_A_DAY, Bar, Bars, bar_data, bar_from, window_of
from tests.app.desks import quote_of
from tests.app.strategies.fakes import MORNING


def quote(seconds: float, last: str, volume: int = 0) -> Quote:
    at = MORNING + timedelta(seconds=seconds)
    return replace(quote_of("ALPHA-EQ", at, last), volume=Decimal(volume))


def bars_of(*quotes: Quote, since: datetime | None = None, until: float = 600) -> list[Bar]:
    bars, ended = Bars("ALPHA-EQ", 60, watching_since=since), []
    for each in quotes:
        ended.append(bars.ended(each.at))
        bars.add(each)
    ended.append(bars.ended(MORNING + timedelta(seconds=until)))
    return [bar for bar in ended if bar is not None]


def test_bar_has_first_highest_lowest_and_last_price_of_its_window() -> None:
    (bar,) = bars_of(quote(0, "100", 10), quote(20, "103", 15), quote(40, "99", 25), quote(59.9, "101", 30))
    assert [bar.open, bar.high, bar.low, bar.close] == [100, 103, 99, 101]
    assert (bar.start, bar.end) == (MORNING, MORNING + timedelta(seconds=60))
    assert bar.volume == 30


def test_bar_is_not_known_before_its_window_has_ended() -> None:
    bars = Bars("ALPHA-EQ", 60)
    bars.add(quote(0, "100"))
    assert bars.ended(MORNING + timedelta(seconds=59.999)) is None
    assert bars.ended(MORNING + timedelta(seconds=60)) is not None


def test_quote_on_the_boundary_belongs_to_the_next_bar() -> None:
    first, second = bars_of(quote(0, "100"), quote(60, "105"))
    assert [first.close, second.open] == [100, 105]


def test_window_without_a_quote_gives_no_bar() -> None:
    assert [bar.start.minute for bar in bars_of(quote(0, "100"), quote(185, "101"))] == [45, 48]


def test_window_that_was_not_watched_from_its_start_gives_no_bar() -> None:
    since = MORNING + timedelta(seconds=30)
    (bar,) = bars_of(quote(40, "100"), quote(70, "101"), since=since)
    assert bar.start == MORNING + timedelta(seconds=60)


def test_quote_after_the_bar_of_its_window_is_ignored() -> None:
    bars = Bars("ALPHA-EQ", 60)
    bars.add(quote(0, "100"))
    assert bars.ended(MORNING + timedelta(seconds=61)) is not None
    bars.add(quote(59, "200"))
    assert bars.ended(MORNING + timedelta(seconds=200)) is None


def test_volume_restarts_with_the_trading_day() -> None:
    first, second = bars_of(quote(0, "100", 500), quote(30, "100", 800), quote(60, "100", 40))
    assert [first.volume, second.volume] == [800, 40]


def test_volume_before_the_first_watched_quote_is_not_counted() -> None:
    (bar,) = bars_of(quote(0, "100", 9000), quote(30, "100", 9100), since=MORNING)
    assert bar.volume == 100


def test_windows_are_counted_from_midnight_in_exchange_time() -> None:
    at = datetime(2026, 11, 20, 4, 10, tzinfo=UTC)  # 09:40
    assert window_of(at, 3600) == datetime(2026, 11, 20, 3, 30, tzinfo=UTC)  # 09:00
    assert window_of(at, 86_400) == datetime(2026, 11, 19, 18, 30, tzinfo=UTC)
    assert window_of(at, 3600, UTC) == datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
    assert window_of(at, 86_400, UTC) == datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(("zone", "ended"), [(EXCHANGE_TIME, "18:30"), (UTC, "00:00")])
def test_daily_bar_ends_at_midnight_of_the_venue(zone: tzinfo, ended: str) -> None:
    bars, at, found = Bars("BTC-USDT", SECONDS_A_DAY, zone=zone), datetime(2026, 11, 20, 12, tzinfo=UTC), []
    for _ in range(48):
        found += [bar for bar in (bars.ended(at),) if bar is not None]
        bars.add(quote_of("BTC-USDT", at))
        at += timedelta(minutes=30)
    assert [f"{bar.end:%H:%M}" for bar in found] == [ended]


def test_bar_survives_json() -> None:
    (bar,) = bars_of(quote(0, "100.05", 10))
    assert bar_from(bar_data(bar)) == bar


def test_bar_in_whose_window_trading_ends_is_complete_then() -> None:
    """The closing auction's price and the night belong to no bar."""
    close = MORNING + timedelta(hours=6)
    bars = Bars("ALPHA-EQ", SECONDS_A_DAY, closes_at=lambda _at: close)
    bars.add(quote(0, "100"))
    assert bars.ended(close - timedelta(seconds=1)) is None
    bar = bars.ended(close)
    assert bar is not None
    assert bar.end == close
    bars.add(quote(6 * 3600 + 60, "200"))
    assert bars.ended(close + timedelta(hours=5)) is None
    assert bar_from(bar_data(bar)) == bar


def test_quote_after_the_end_of_trading_begins_no_bar() -> None:
    bars = Bars("ALPHA-EQ", SECONDS_A_DAY, closes_at=lambda _at: MORNING + timedelta(hours=6))
    bars.add(quote(6 * 3600, "100"))
    assert bars.ended(MORNING + timedelta(days=1)) is None


def test_window_that_ends_with_trading_is_unchanged() -> None:
    bars = Bars("ALPHA-EQ", 60, closes_at=lambda _at: MORNING + timedelta(minutes=1))
    bars.add(quote(0, "100"))
    bar = bars.ended(MORNING + timedelta(minutes=1))
    assert bar is not None
    assert bar.trading_ended is None
    assert "trading_ended" not in bar_data(bar)


def test_end_of_trading_is_asked_for_once_a_day() -> None:
    asked: list[datetime] = []
    bars = Bars("ALPHA-EQ", 60, closes_at=asked.append)
    for minute in (0, 1, 2, 24 * 60):
        bars.ended(MORNING + timedelta(minutes=minute))
        bars.add(quote(minute * 60, "100"))
    assert asked == [MORNING, MORNING + timedelta(days=1)]
