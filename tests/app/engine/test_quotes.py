from __future__ import annotations

from dataclasses import replace

from algosat.engine.quotes import QuoteBoard, replace_instruments
from algosat.store import queries
from algosat.trading.desk import Desk
from tests.app.desks import SECOND, SHARE, instruments, quote_of
from tests.app.fakes import FakeClock


def test_only_the_latest_quote_of_each_symbol_is_written(desk: Desk, clock: FakeClock) -> None:
    board = QuoteBoard(desk)
    board.update([quote_of(SHARE, clock(), "101"), quote_of(SECOND, clock(), "50")])
    board.update([quote_of(SHARE, clock(), "102")])
    assert board.flush() == 2
    with desk.database.read() as connection:
        kept = {symbol: queries.quote(connection, "paper", symbol) for symbol in (SHARE, SECOND)}
    assert {symbol: quote.last for symbol, quote in kept.items() if quote} == {SHARE: 102, SECOND: 50}


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
