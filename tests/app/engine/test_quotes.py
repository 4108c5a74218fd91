from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.brokers.base import Feed, FeedChange, FeedState
from algosat.domain.orders import Status
from algosat.engine.quotes import FeedWatch, QuoteBoard
from algosat.errors import BrokerNotReached
from algosat.live import manage
from algosat.store import queries
from algosat.trading.desk import Desk
from tests.app.desks import (
    CAUSE,
    SECOND,
    SHARE,
    buy,
    hold,
    instruments,
    open_alerts,
    other_account,
    quote_of,
    replace_instruments,
)
from tests.app.engine.rig import EngineRig, failing
from tests.app.fakes import FakeClock


def stored_prices(desk: Desk) -> dict[str, Decimal]:
    with desk.database.read() as connection:
        kept = {symbol: queries.quote(connection, "paper", symbol) for symbol in (SHARE, SECOND)}
    return {symbol: quote.last for symbol, quote in kept.items() if quote}


def test_only_the_latest_quote_of_each_symbol_is_written(desk: Desk, clock: FakeClock) -> None:
    board = QuoteBoard(desk)
    board.update([quote_of(SHARE, clock(), "101"), quote_of(SECOND, clock(), "50")])
    board.update([quote_of(SHARE, clock(), "102")])
    assert board.flush() == 2
    assert stored_prices(desk) == {SHARE: 102, SECOND: 50}


@pytest.mark.parametrize("unfit", ["0.1234567891", "NaN", "Infinity", "1e30"])
def test_quote_that_the_store_cannot_hold_is_dropped_and_the_others_are_written(
    desk: Desk, clock: FakeClock, unfit: str
) -> None:
    board = QuoteBoard(desk)
    board.update([quote_of(SHARE, clock(), "101"), quote_of(SECOND, clock(), "51")])
    board.flush()
    odd = replace(quote_of(SECOND, clock(), "52"), bid=Decimal(unfit))
    board.update([quote_of(SHARE, clock(), "102"), odd])
    assert board.flush() == 1
    assert stored_prices(desk) == {SHARE: 102, SECOND: 51}


@pytest.mark.parametrize(
    ("volume", "stored"), [("0.123456789", "0.12345679"), ("1e30", "9e10"), ("NaN", "0")]
)
def test_quantities_of_a_quote_are_rounded_to_what_the_store_holds(
    desk: Desk, clock: FakeClock, volume: str, stored: str
) -> None:
    board = QuoteBoard(desk)
    board.update([replace(quote_of(SHARE, clock(), "101"), volume=Decimal(volume))])
    assert board.flush() == 1
    with desk.database.read() as connection:
        quote = queries.quote(connection, "paper", SHARE)
    assert quote is not None
    assert quote.volume == Decimal(stored)


def test_flush_without_new_quotes_writes_nothing(desk: Desk) -> None:
    assert QuoteBoard(desk).flush() == 0


def test_instruments_no_longer_listed_are_deleted(desk: Desk) -> None:
    replace_instruments(desk, instruments()[:1])
    with desk.database.read() as connection:
        assert [each.symbol for each in queries.all_instruments(connection, "paper")] == [SHARE]


def test_venues_share_neither_instruments_nor_prices(desk: Desk, clock: FakeClock) -> None:
    other = replace(desk, account="dollars", venue="dollars")
    replace_instruments(other, instruments()[1:])
    board = QuoteBoard(other)
    board.update([quote_of(SECOND, clock(), "7")])
    board.flush()
    with desk.database.read() as connection:
        ours, theirs = (queries.listed(connection, venue, SECOND) for venue in ("paper", "dollars"))
        assert queries.listed(connection, "dollars", SHARE) == (None, None)
        assert queries.listed(connection, "paper", SHARE) != (None, None)
    assert (ours[1].last, theirs[1].last) == (100, 7)  # type: ignore[union-attr]


# --- feeds -------------------------------------------------------------------------------------------------


@pytest.fixture
def feeds(rig: EngineRig) -> FeedWatch:
    """Return the watch of a broker that has just been started."""
    rig.components.feeds.begin()
    return rig.components.feeds


def look(rig: EngineRig, seconds: float) -> set[tuple[str, str]]:
    """Let time pass, and return the open alerts."""
    rig.exchange.clock.forward(seconds=seconds)
    rig.components.feeds.step()
    return open_alerts(rig.desk)


def change(rig: EngineRig, state: FeedState, *feeds: Feed) -> None:
    for feed in feeds or Feed:
        rig.components.feed_changed(FeedChange(feed, state))


def test_feed_that_does_not_come_up_is_alerted_until_it_is_up(rig: EngineRig, feeds: FeedWatch) -> None:
    change(rig, FeedState.UP, Feed.ORDERS)
    assert look(rig, 50) == set()
    assert look(rig, 15) == {("broker.feed_down", "quotes")}
    assert feeds.states() == {"orders": "up", "quotes": "down"}
    change(rig, FeedState.UP, Feed.QUOTES)
    assert look(rig, 6) == set()


def test_feed_that_is_up_without_a_quote_is_not_alerted(rig: EngineRig, feeds: FeedWatch) -> None:
    change(rig, FeedState.UP)
    assert look(rig, 3600) == set()
    assert feeds.states() == {"orders": "up", "quotes": "up"}


def test_short_interruption_is_not_alerted(rig: EngineRig, feeds: FeedWatch) -> None:
    change(rig, FeedState.UP)
    for _ in range(3):
        change(rig, FeedState.DOWN)
        assert look(rig, 40) == set()
        change(rig, FeedState.GAP)
    assert feeds.states()["orders"] == "up"


def test_feeds_of_a_broker_without_a_session_are_not_alerted(rig: EngineRig, feeds: FeedWatch) -> None:
    assert feeds.states() == {"orders": "down", "quotes": "down"}
    rig.exchange.active = False
    assert look(rig, 100) == set()


def test_broker_that_pushes_no_reports_has_no_feed_of_orders(rig: EngineRig, feeds: FeedWatch) -> None:
    rig.exchange.capabilities = replace(rig.exchange.capabilities, pushes_reports=False)
    feeds.begin()
    assert look(rig, 100) == {("broker.feed_down", "quotes")}


def test_quotes_are_read_again_after_a_gap(rig: EngineRig, feeds: FeedWatch, clock: FakeClock) -> None:
    rig.exchange.priced = [quote_of(SHARE, clock(), "123")]
    change(rig, FeedState.GAP, Feed.QUOTES)
    feeds.step()
    rig.components.quotes.flush()
    with rig.desk.database.read() as connection:
        quote = queries.quote(connection, "paper", SHARE)
    assert quote is not None
    assert quote.last == 123


def test_quotes_that_cannot_be_read_are_read_at_the_next_step(rig: EngineRig, feeds: FeedWatch) -> None:
    requests: list[str] = []
    rig.exchange.before = failing(BrokerNotReached("away"), "quotes")
    change(rig, FeedState.GAP, Feed.QUOTES)
    feeds.step()
    rig.exchange.before = requests.append
    feeds.step()
    feeds.step()
    assert requests == ["quotes"]


def test_book_is_read_after_each_reconnect(rig: EngineRig, feeds: FeedWatch) -> None:
    requests: list[str] = []
    rig.components.reconciler.step()
    rig.exchange.before = requests.append
    for state, read in ((FeedState.DOWN, 0), (FeedState.UP, 1), (FeedState.GAP, 2)):
        change(rig, state, Feed.ORDERS)
        rig.components.reconciler.step()
        assert requests.count("reports") == read
    assert feeds.states()["orders"] == "up"


def test_what_is_held_or_working_is_subscribed(rig: EngineRig, feeds: FeedWatch) -> None:
    hold(rig.desk, symbol=SECOND)
    order = buy(rig.desk)
    look(rig, 6)
    assert rig.exchange.subscribed == {SHARE, SECOND}
    rig.send(order)
    rig.exchange.end(order, Status.CANCELLED)
    rig.reconcile()
    look(rig, 6)
    assert rig.exchange.subscribed == {SECOND}
    rig.exchange.subscribed = frozenset()
    feeds.begin()
    look(rig, 6)
    assert rig.exchange.subscribed == {SECOND}


def test_symbols_of_running_strategies_are_subscribed_at_their_own_account_only(
    rig: EngineRig, feeds: FeedWatch
) -> None:
    parameters = {"symbols": [SECOND], "quantity": 1}
    manage.define(other_account(rig.desk), "abroad", "moving-average-crossover", parameters, CAUSE)
    manage.define(rig.desk, "here", "moving-average-crossover", {"symbols": [SHARE], "quantity": 1}, CAUSE)
    for name in ("abroad", "here"):
        manage.start(rig.desk, name, CAUSE)
    feeds.begin()
    look(rig, 6)
    assert rig.exchange.subscribed == {SHARE}
