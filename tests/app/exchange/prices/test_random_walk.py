from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.instruments import Quote
from algosat.domain.market_phases import packaged
from algosat.exchange import contracts, listings
from algosat.exchange.listings import tick_for
from algosat.exchange.prices import random_walk, seeded
from algosat.exchange.prices.random_walk import Paths
from tests.app.exchange.manual_exchange import UNIVERSE, rules_of
from tests.app.thorough import examples

DAY = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 3, 45, tzinfo=UTC)  # 09:15 at the exchange


def run(
    seed: int, steps: int, *, span: float = 60.0, paths: Paths | None = None
) -> tuple[Paths, list[Quote]]:
    """Return the paths after `steps` steps of one day, and all quotes."""
    paths = paths or _on_day(DAY, random_walk.initial_paths(UNIVERSE))
    quotes: list[Quote] = []
    for number in range(steps):
        at = OPEN + timedelta(seconds=span * number)
        paths, more = random_walk.advance(UNIVERSE, seed, paths, UNIVERSE.keys(), span, at)
        quotes += more
    return paths, quotes


@cache
def days(seed: int, count: int) -> list[tuple[Paths, list[Quote]]]:
    """Return the paths and quotes of `count` successive days."""
    paths, found = random_walk.initial_paths(UNIVERSE), []
    for number in range(count):
        paths, quotes = run(seed, 15, span=1500.0, paths=_on_day(DAY + timedelta(days=number), paths))
        found.append((paths, quotes))
    return found


@cache
def minutes_of_a_day() -> tuple[Paths, list[Quote]]:
    return run(7, 375)


def test_same_seed_gives_the_same_quotes_byte_for_byte() -> None:
    assert repr(run(7, 50)) == repr(run(7, 50))


def test_other_seed_gives_other_quotes() -> None:
    assert run(7, 5)[1] != run(8, 5)[1]


def test_walk_continued_from_stored_paths_is_the_same() -> None:
    paths, _ = run(7, 20)
    at = OPEN + timedelta(hours=1)
    first = random_walk.advance(UNIVERSE, 7, paths, UNIVERSE.keys(), 60.0, at)
    second = random_walk.advance(UNIVERSE, 7, dict(paths), UNIVERSE.keys(), 60.0, at)
    assert first == second


@settings(max_examples=examples(15))
@given(seed=st.integers(0, 2**32), span=st.sampled_from([0.25, 15.0, 250.0]))
def test_every_quote_is_valid(seed: int, span: float) -> None:
    for quote in run(seed, 12, span=span)[1]:
        instrument = UNIVERSE[quote.symbol].instrument
        for price in (quote.last, quote.bid, quote.ask, quote.open, quote.high, quote.low):
            assert instrument.takes_price(price)
            assert quote.lower_circuit <= price <= quote.upper_circuit
        assert quote.bid <= quote.last <= quote.ask
        assert quote.low <= quote.last <= quote.high
        assert quote.bid_quantity % instrument.lot == quote.ask_quantity % instrument.lot == 0
        assert quote.bid_quantity or quote.ask_quantity


def test_volume_grows_to_about_the_daily_volume() -> None:
    _, quotes = minutes_of_a_day()
    volumes = [quote.volume for quote in quotes if quote.symbol == "NOVA-EQ"]
    assert volumes == sorted(volumes)
    assert 0.8 < float(volumes[-1]) / UNIVERSE["NOVA-EQ"].daily_volume < 1.2


def test_volume_is_higher_at_the_open_than_at_noon() -> None:
    _, quotes = minutes_of_a_day()
    volumes = [quote.volume for quote in quotes if quote.symbol == "NOVA-EQ"]
    first, middle = volumes[37], volumes[206] - volumes[169]
    assert first > Decimal("1.5") * middle


def test_open_differs_from_the_last_close() -> None:
    (yesterday, _), (_, today) = days(7, 2)
    opened = {quote.symbol: quote.open for quote in today}
    gaps = [symbol for symbol in UNIVERSE if opened[symbol] != yesterday[symbol].last]
    assert len(gaps) >= len(UNIVERSE) - 2


def test_circuit_limits_follow_the_last_close_and_are_hit_sometimes() -> None:
    hits = 0
    previous = {symbol: listing.price for symbol, listing in UNIVERSE.items()}
    for paths, quotes in days(7, 25):
        for quote in quotes:
            listing = UNIVERSE[quote.symbol]
            assert (quote.lower_circuit, quote.upper_circuit) == random_walk.circuit_limits(
                listing, previous[quote.symbol]
            )
            hits += quote.last in (quote.lower_circuit, quote.upper_circuit)
        previous = {symbol: path.last for symbol, path in paths.items()}
    assert 1 <= hits < 1000


def test_one_side_is_empty_at_a_circuit_limit() -> None:
    at_limit = [
        quote
        for _, quotes in days(7, 25)
        for quote in quotes
        if quote.last in (quote.lower_circuit, quote.upper_circuit)
    ]
    assert at_limit
    for quote in at_limit:
        empty = quote.ask_quantity if quote.last == quote.upper_circuit else quote.bid_quantity
        assert empty == 0


def test_prices_stay_near_their_listed_price() -> None:
    final, _ = days(7, 25)[-1]
    for symbol, path in final.items():
        assert 0.3 < float(path.last / UNIVERSE[symbol].price) < 3


def test_future_follows_its_underlying() -> None:
    paths, _ = minutes_of_a_day()
    share, future = paths["NOVA-EQ"], paths["NOVA-FUT"]
    moved = share.fair / float(UNIVERSE["NOVA-EQ"].price)
    assert abs(future.fair / float(UNIVERSE["NOVA-FUT"].price) / moved - 1) < 0.001


def test_new_day_starts_at_the_close_and_moves_at_the_opening_match() -> None:
    rules = rules_of(calendar=ExchangeCalendar(packaged()))
    paths = random_walk.initial_paths(UNIVERSE)
    paths, waiting = random_walk.follow_day(rules, paths, 15.0, OPEN - timedelta(minutes=14))
    assert {quote.symbol: quote.last for quote in waiting}["NOVA-EQ"] == UNIVERSE["NOVA-EQ"].price
    paths, nothing = random_walk.follow_day(rules, paths, 15.0, OPEN - timedelta(minutes=12))
    assert nothing == ()
    paths, opening = random_walk.follow_day(rules, paths, 15.0, OPEN - timedelta(minutes=4))
    assert {quote.symbol for quote in opening} == {s for s, each in UNIVERSE.items() if not each.underlying}
    _, still = random_walk.follow_day(rules, paths, 15.0, OPEN - timedelta(minutes=3))
    assert still == ()


def test_every_option_is_quoted_while_its_underlying_is_in_the_closing_auction() -> None:
    """Options are quoted by turns; without a price of their own the gate would deny them until the close."""
    calendar, universe = ExchangeCalendar(packaged()), listings.packaged()
    closes = {symbol: listing.price for symbol, listing in universe.items()}
    listed = contracts.listed_contracts(contracts.packaged_chains(), calendar, DAY, closes)
    rules = rules_of(calendar=calendar, universe={**universe, **listed})
    before = OPEN + timedelta(minutes=359)
    paths, _ = random_walk.follow_day(rules, random_walk.initial_paths(rules.universe), 60.0, before)
    quoted: set[str] = set()
    for minute in range(366, 374):  # the eight steps from 15:21 on
        paths, quotes = random_walk.follow_day(rules, paths, 60.0, OPEN + timedelta(minutes=minute))
        quoted |= {quote.symbol for quote in quotes}
    assert listed.keys() <= quoted


def test_closed_market_is_quoted_once() -> None:
    rules = rules_of(calendar=ExchangeCalendar(packaged()))
    saturday = OPEN + timedelta(days=1)
    paths, first = random_walk.follow_day(rules, random_walk.initial_paths(UNIVERSE), 15.0, saturday)
    assert [quote.last for quote in first] == [UNIVERSE[symbol].price for symbol in sorted(UNIVERSE)]
    assert random_walk.follow_day(rules, paths, 15.0, saturday)[1] == ()


def test_tick_follows_the_price_bands_of_the_exchange() -> None:
    shares = {
        "249.99": "0.01",
        "250": "0.05",
        "1000": "0.10",
        "5000": "0.50",
        "10000": "1.00",
        "20000": "5.00",
    }
    for price, tick in shares.items():
        assert tick_for(Decimal(price)) == Decimal(tick)
    for price, tick in {"15000": "0.05", "15000.05": "0.10", "30000": "0.10", "30001": "0.20"}.items():
        assert tick_for(Decimal(price), index=True) == Decimal(tick)


def test_draws_depend_on_their_keys_only() -> None:
    assert seeded.uniform(1, "a", 2) == seeded.uniform(1, "a", 2) != seeded.uniform(1, "a", 3)
    draws = [seeded.normal(1, number) for number in range(2000)]
    mean = sum(draws) / len(draws)
    deviation = (sum((draw - mean) ** 2 for draw in draws) / len(draws)) ** 0.5
    assert abs(mean) < 0.1
    assert 0.9 < deviation < 1.1


def _on_day(day: date, paths: Paths) -> Paths:
    for symbol in UNIVERSE:
        paths = random_walk.start_day(paths, symbol, day)
    return paths
