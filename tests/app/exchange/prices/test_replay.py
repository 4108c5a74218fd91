from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algosat.domain.instruments import Quote
from algosat.errors import InvalidRequest
from algosat.exchange.exchange_events import Tick
from algosat.exchange.market import Market, step
from algosat.exchange.prices import recording, replay
from algosat.exchange.prices.recording import RecordedBar, RecordedTick
from tests.app.exchange.manual_exchange import SHARE, UNIVERSE, rules_of
from tests.app.thorough import examples

BARS = f"""at,symbol,open,high,low,close,volume
2026-11-20T09:15:00+05:30,{SHARE},340.00,342.00,339.00,341.00,4000
2026-11-20T09:16:00+05:30,{SHARE},341.00,341.50,338.00,338.50,2000
2026-11-23T09:15:00+05:30,{SHARE},350.00,350.00,350.00,350.00,1000
"""
TICKS = f"""at,symbol,last,bid,ask,bid_quantity,ask_quantity,volume
2026-11-20T09:15:00,{SHARE},340.00,339.95,340.05,100,200,1000
2026-11-20T09:15:01,{SHARE},340.10,,,,,1500
"""


def recorded(text: str) -> list[recording.Recorded]:
    return list(recording.read(text.splitlines()))


def replayed(text: str) -> list[Quote]:
    return list(replay.quotes(UNIVERSE, 7, recorded(text)))


def test_bars_and_ticks_are_recognised_by_their_columns() -> None:
    assert {type(each) for each in recorded(BARS)} == {RecordedBar}
    assert {type(each) for each in recorded(TICKS)} == {RecordedTick}


def test_time_without_an_offset_is_exchange_time() -> None:
    assert recorded(TICKS)[0].at == recorded(BARS)[0].at == datetime(2026, 11, 20, 3, 45, tzinfo=UTC)


def test_bar_trades_at_its_open_both_extremes_and_its_close() -> None:
    rising = [str(quote.last) for quote in replayed(BARS)[:4]]
    falling = [str(quote.last) for quote in replayed(BARS)[4:8]]
    assert rising == ["340.00", "339.00", "342.00", "341.00"]
    assert falling == ["341.00", "341.50", "338.00", "338.50"]


def test_trades_of_a_bar_share_its_volume_and_time() -> None:
    quotes = replayed(BARS)[:8]
    assert [int(quote.volume) for quote in quotes] == [1000, 2000, 3000, 4000, 4500, 5000, 5500, 6000]
    assert {after.at - before.at for before, after in pairwise(quotes)} == {timedelta(seconds=15)}


def test_new_day_begins_with_the_last_close_and_no_volume() -> None:
    first = replayed(BARS)[8]
    assert (first.open, int(first.volume)) == (Decimal(350), 250)
    assert (first.lower_circuit, first.upper_circuit) == (Decimal("304.65"), Decimal("372.35"))


def test_missing_fields_of_a_tick_are_made_up_around_its_price() -> None:
    complete, partial = replayed(TICKS)
    assert (complete.bid, complete.ask, int(complete.bid_quantity), int(complete.ask_quantity)) == (
        Decimal("339.95"),
        Decimal("340.05"),
        100,
        200,
    )
    assert partial.bid <= partial.last <= partial.ask
    assert partial.bid < partial.ask
    assert int(partial.volume) == 1500


def test_same_seed_gives_the_same_replay() -> None:
    assert repr(replayed(BARS)) == repr(replayed(BARS))


def test_replay_drives_the_market() -> None:
    market = Market()
    for quote in replayed(BARS):
        market, _ = step(rules_of(), market, Tick(quote), quote.at)
    assert market.book(SHARE).quote == replayed(BARS)[-1]


def test_bars_of_several_symbols_are_replayed_in_order_of_time() -> None:
    text = "at,symbol,open,high,low,close,volume\n" + "".join(
        f"2026-11-20T09:{minute}:00,{symbol},340,342,339,341,400\n"
        for minute in (15, 16)
        for symbol in (SHARE, "NOVA-EQ")
    )
    quotes = replayed(text)
    assert [quote.at for quote in quotes] == sorted(quote.at for quote in quotes)
    assert [quote.symbol for quote in quotes[:4]] == [SHARE, "NOVA-EQ"] * 2


def test_unlisted_symbol_gets_a_listing_from_its_price() -> None:
    text = "at,symbol,last\n2026-11-20T09:15:00,OTHER-EQ,1234.5\n"
    listing = replay.listing_of(next(iter(recorded(text))))
    assert listing.instrument.tick == Decimal("0.10")
    (quote,) = replay.quotes({"OTHER-EQ": listing}, 7, recorded(text))
    assert quote.last == Decimal("1234.5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("at,symbol\n", "must name the columns"),
        ("", "must name the columns"),
        ("at,symbol,last\nyesterday,A,1\n", "line 2"),
        ("at,symbol,last\n2026-11-20T09:15:00,A,x\n", "line 2"),
        ("at,symbol,last\n2026-11-20T09:15:00,A,NaN\n", "line 2"),
        ("at,symbol,last\n2026-11-20T09:15:00,A,0\n", "line 2.*above 0"),
        ("at,symbol,last\n2026-11-20T09:15:00,A,-1\n", "line 2"),
        ("at,symbol,last\n2026-11-20T09:15:00,,1\n", "line 2.*symbol is missing"),
        ("at,symbol,last\n2026-11-20T09:15:00\n", "line 2"),
        ("at,symbol,last\n2026-11-20T09:15:01,A,1\n2026-11-20T09:15:00,A,1\n", "line 3.*after"),
        ('at,symbol,last\n2026-11-20T09:15:00,"A"x,1\n', "line 2"),
        ("at,symbol,last,bid,ask\n2026-11-20T09:15:00,A,1,2,1\n", "line 2.*above the ask"),
        ("at,symbol,open,high,low,close,volume\n2026-11-20T09:15:00,A,1,2,3,4,5\n", "line 2.*between"),
    ],
)
def test_invalid_recording_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        recorded(text)


@settings(max_examples=examples(40))
@given(st.lists(st.integers(5000, 50_000), min_size=4, max_size=20))
def test_every_replayed_quote_is_valid(paise: list[int]) -> None:
    lines = ["at,symbol,open,high,low,close,volume"]
    for number, (first, last) in enumerate(pairwise(paise)):
        at = datetime.combine(date(2026, 11, 20), datetime.min.time()) + timedelta(minutes=number)
        high, low = max(first, last), min(first, last)
        lines.append(f"{at.isoformat()},{SHARE},{first / 100},{high / 100},{low / 100},{last / 100},{first}")
    for quote in replay.quotes(UNIVERSE, 7, recording.read(lines)):
        assert quote.low <= quote.last <= quote.high
        assert quote.lower_circuit <= quote.bid <= quote.last <= quote.ask <= quote.upper_circuit
        assert UNIVERSE[SHARE].instrument.takes_price(quote.last)
