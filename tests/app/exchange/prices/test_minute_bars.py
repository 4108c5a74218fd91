"""Bars of quotes, compared with bars that are computed from all quotes at once."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

import pytest

from algosat.domain.bars import SECONDS_A_DAY, Bar, window_of
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.instruments import Quote
from algosat.exchange.prices.minute_bars import MinuteBars
from tests.app.builders import exchange
from tests.app.desks import quote_of

OPEN = exchange("2026-11-20", "09:15")
SYMBOL = "ALPHA-EQ"


def quotes(start: datetime, number: int, seed: int = 1) -> list[Quote]:
    """Return quotes at random times, about two seconds apart; the day's volume never falls."""
    draw, at, volume, found = random.Random(seed), start, 0, []
    for _ in range(number):
        at += timedelta(seconds=draw.choice((0.25, 1, 5)))
        volume += draw.randrange(1, 50)
        price = Decimal(draw.randrange(9_900, 10_100)) / 100
        found.append(quote_of(SYMBOL, at, str(price), volume=Decimal(volume)))
    return found


def recorded(*feeds: list[Quote]) -> MinuteBars:
    bars = MinuteBars()
    for feed in feeds:
        bars.add(feed)
    return bars


def expected(feed: list[Quote], seconds: int) -> list[Bar]:
    """Return the bars of the windows that the feed covers from their beginning."""
    windows: dict[datetime, list[Quote]] = {}
    for quote in feed:
        windows.setdefault(window_of(quote.at, seconds), []).append(quote)
    found, volume = [], Decimal(0)
    for start, inside in windows.items():
        prices = [each.last for each in inside]
        traded, volume = inside[-1].volume - volume, inside[-1].volume
        found.append(Bar(SYMBOL, start, seconds, prices[0], max(prices), min(prices), prices[-1], traded))
    return [bar for bar in found[1:] if bar.start > feed[0].at]


@pytest.mark.parametrize(("zone", "began"), [(EXCHANGE_TIME, "18:30"), (UTC, "00:00")])
def test_days_begin_at_midnight_of_the_venue(zone: tzinfo, began: str) -> None:
    bars, at = MinuteBars(zone), datetime(2026, 11, 20, 12, tzinfo=UTC)
    bars.add([quote_of(SYMBOL, at + timedelta(hours=hour), volume=Decimal(5)) for hour in range(60)])
    until = at + timedelta(days=3)
    found = bars.ended(SYMBOL, SECONDS_A_DAY, at - timedelta(days=1), until, until)
    assert {f"{bar.start:%H:%M}" for bar in found} == {began}
    assert len(found) > 1


@pytest.mark.parametrize("minutes", [1, 5, 15])
def test_bars_are_those_of_all_quotes_together(minutes: int) -> None:
    feed = quotes(OPEN + timedelta(seconds=20), 1_500)
    end = feed[-1].at
    found = recorded(feed[:700], feed[700:]).ended(SYMBOL, 60 * minutes, OPEN, end, end)
    whole = [bar for bar in expected(feed, 60 * minutes) if bar.end <= end]
    assert found == whole
    assert len(whole) > 1


def test_only_bars_that_began_in_the_range_and_have_ended_are_returned() -> None:
    feed = quotes(OPEN, 600)
    bars = recorded(feed)
    all_of = bars.ended(SYMBOL, 60, OPEN, feed[-1].at, feed[-1].at)
    since, until = all_of[2].start, all_of[5].start
    assert bars.ended(SYMBOL, 60, since, until, feed[-1].at) == all_of[2:5]
    assert bars.ended(SYMBOL, 60, since, until, all_of[3].end) == all_of[2:4]


def test_day_has_the_prices_of_the_whole_day_however_late_the_recording_began() -> None:
    yesterday = quote_of(SYMBOL, exchange("2026-11-19", "15:00"), "104", open="101", high="110", low="97")
    today = quote_of(SYMBOL, exchange("2026-11-20", "09:16"), "105")
    bars = recorded([yesterday], [today])
    (day,) = bars.ended(SYMBOL, 86_400, exchange("2026-11-01"), today.at, today.at)
    assert day.start == exchange("2026-11-19", "00:00")
    assert [day.open, day.high, day.low, day.close] == [101, 110, 97, 104]


def test_quotes_before_the_first_trade_of_a_day_are_in_no_bar() -> None:
    before = quote_of(SYMBOL, exchange("2026-11-20", "09:00"), "104", volume=Decimal(0))
    feed = quotes(OPEN, 200)
    found = recorded([before], feed).ended(SYMBOL, 60, before.at, feed[-1].at, feed[-1].at)
    assert found == recorded(feed).ended(SYMBOL, 60, before.at, feed[-1].at, feed[-1].at)


def test_old_minutes_are_dropped_and_the_oldest_longer_bar_is_whole() -> None:
    feed = [
        quote_of(SYMBOL, OPEN + timedelta(minutes=number), volume=Decimal(number + 1))
        for number in range(600)
    ]
    bars, end = recorded(feed), feed[-1].at
    assert len(bars.ended(SYMBOL, 60, OPEN, end, end)) == 400
    assert bars.ended(SYMBOL, 900, OPEN, end, end)[0].volume == 15
