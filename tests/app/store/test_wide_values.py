"""Fills whose value has more than eight decimal places: quantities and prices have eight each."""

from __future__ import annotations

import shutil
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.dialects.sqlite import dialect

from algosat.domain.orders import Side, Status
from algosat.domain.positions import Position
from algosat.domain.positions import fill as filled
from algosat.store import ledger, queries
from algosat.store.database import Database
from algosat.store.tables import balances, days, trades
from algosat.store.types import LowPart, split
from algosat.store.verify.verify import verify
from algosat.store.writer import Writer
from algosat.trading import account_book
from algosat.trading.funds import funds_of
from tests.app.store.conftest import fill, order_of, trade_of
from tests.app.thorough import examples

QUANTITY, PRICE = "0.00012345", "64117.99"
VALUE = Decimal("7.9153658655")


def test_value_of_more_than_eight_places_is_booked_exactly(writer: Writer, database: Database) -> None:
    order = fill(writer, order_of(1, quantity=QUANTITY), trade_of(1, QUANTITY, PRICE))
    assert (order.status, order.filled_value) == (Status.FILLED, VALUE)
    with database.read() as connection:
        assert ledger.get(connection, order.id) == order
        assert queries.open_positions(connection, "paper")[0].cost == VALUE
        assert verify(connection).findings == []


def test_realised_profit_of_more_than_eight_places_is_summed_exactly(
    writer: Writer, database: Database
) -> None:
    fill(writer, order_of(1, quantity=QUANTITY), trade_of(1, QUANTITY, PRICE))
    fill(writer, order_of(2, quantity=QUANTITY, side=Side.SELL), trade_of(2, QUANTITY, "64117.00000001"))
    realised = Decimal(QUANTITY) * Decimal("64117.00000001") - VALUE
    with database.read() as connection:
        (position,) = queries.all_positions(connection, "paper")
        book = account_book.read_book(connection, "paper", "paper")
        found = funds_of(book, queries.balance(connection, "paper"))
        equity = {account_book.equity(connection, "paper", book, of) for of in (None, "")}
        findings = verify(connection).findings
    assert position.quantity == position.cost == 0
    assert position.realised == realised
    assert (found.realised, found.fees) == (realised, position.fees)
    assert equity == {realised - position.fees}
    assert findings == []


@pytest.mark.parametrize(
    ("table", "key"), [("trades", "T2"), ("positions", "ALPHA-EQ"), ("balances", "paper"), ("days", "")]
)
def test_wrong_low_part_is_found_by_verify(writer: Writer, database: Database, table: str, key: str) -> None:
    names = {"trades": "trade_id", "positions": "symbol", "balances": "account", "days": "strategy"}
    fill(writer, order_of(1, quantity=QUANTITY), trade_of(1, QUANTITY, PRICE))
    fill(writer, order_of(2, quantity=QUANTITY, side=Side.SELL), trade_of(2, QUANTITY, "64118.12345678"))
    change = f"UPDATE {table} SET realised_low = realised_low + 1 WHERE {names[table]} = '{key}'"
    with database.engine.begin() as connection:
        assert connection.execute(text(change)).rowcount == 1
    with database.read() as connection:
        assert verify(connection).findings


def test_wrong_low_part_of_an_order_is_found_by_verify(writer: Writer, database: Database) -> None:
    fill(writer, order_of(1, quantity=QUANTITY), trade_of(1, QUANTITY, PRICE))
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE orders SET filled_value_low = 0"))
    with database.read() as connection:
        assert any("filled_value" in it for it in verify(connection).findings)


def test_release_without_low_parts_reads_the_value_up_to_its_eighth_place(
    writer: Writer, database: Database
) -> None:
    fill(writer, order_of(1, quantity=QUANTITY), trade_of(1, QUANTITY, PRICE))
    with database.read() as connection:
        assert connection.execute(text("SELECT filled_value, filled_value_low FROM orders")).one() == (
            791536586,
            55000000,
        )


def test_fill_booked_by_a_release_without_low_parts_leaves_sums_exact(
    writer: Writer, database: Database
) -> None:
    """That release adds to the columns that it knows, and leaves the low parts as they are."""
    fill(writer, order_of(1, quantity=QUANTITY), trade_of(1, QUANTITY, PRICE))
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE positions SET cost = cost + 10000000000, quantity = quantity + 1"))
    with database.read() as connection:
        assert queries.open_positions(connection, "paper")[0].cost == VALUE + 100


places = st.decimals(min_value="0.00000001", max_value=70_000, places=8)


@settings(max_examples=examples(8))
@given(st.lists(st.tuples(st.sampled_from(Side), places, places), min_size=1, max_size=6))
def test_any_fills_of_eight_places_are_booked_as_the_domain_computes_them(
    empty_store: Path, fills: list[tuple[Side, Decimal, Decimal]]
) -> None:
    expected = Position("paper", "", "ALPHA-EQ", "delivery")
    with TemporaryDirectory() as directory:
        url = f"sqlite:///{shutil.copy(empty_store, directory)}"
        with closing(Database(url)) as database, closing(Writer(database)) as writer:
            for number, (side, quantity, price) in enumerate(fills):
                trade = trade_of(number, str(quantity), str(price))
                fill(writer, order_of(number, side=side, quantity=str(quantity)), trade)
            with database.read() as connection:
                fees = connection.execute(select(trades.c.fees).order_by(trades.c.seq)).scalars()
                for (side, quantity, price), fee in zip(fills, fees, strict=True):
                    expected = filled(expected, side, quantity, price, fee)
                assert queries.all_positions(connection, "paper") == [expected]
                for table in (balances, days):
                    high, low = connection.execute(
                        select(func.sum(table.c.realised), func.sum(table.c.realised_low))
                    ).one()
                    assert high + low == expected.realised
                assert verify(connection).findings == []


@given(st.decimals(min_value=-92_000_000_000, max_value=92_000_000_000, places=16))
def test_parts_add_up_to_the_value(value: Decimal) -> None:
    high, low = split(value)
    assert high + low == value
    assert abs(low) < Decimal("0.00000001")
    assert high * low >= 0


def test_seventeenth_decimal_place_is_refused() -> None:
    with pytest.raises(ValueError, match="sixteen decimal places"):
        LowPart().bind_processor(dialect())(Decimal("1e-17"))
