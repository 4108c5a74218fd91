from __future__ import annotations

from decimal import Decimal

import pytest

from algosat.domain.orders import EventKind, Side, Status
from algosat.errors import IllegalTransition, NotFound, Overfill
from algosat.store import audit, ledger, queries
from algosat.store.database import Database
from algosat.store.writer import Writer
from tests.app.store.conftest import BOOKS, CAUSE, NOW, event_of, fill, order_of, place, record, trade_of


def test_stored_order_is_read_back_equal(writer: Writer, database: Database) -> None:
    order = place(writer, order_of(1))
    with database.read() as connection:
        assert ledger.get(connection, order.id) == order


def test_unknown_order_is_not_found(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound, match="a404"):
        ledger.get(connection, "a404")


def test_fill_changes_order_trade_position_balance_and_day_together(
    writer: Writer, database: Database
) -> None:
    writer.run(lambda connection: ledger.deposit(connection, "paper", Decimal(1000)))
    fill(writer, order_of(1), trade_of(1, "10", "100"))
    order = fill(writer, order_of(2, side=Side.SELL, quantity="4"), trade_of(2, "4", "110"))
    with database.read() as connection:
        (position,) = queries.open_positions(connection, "paper")
        balance = queries.balance(connection, "paper")
        page = queries.trades_page(connection, limit=10)
    assert order.status is Status.FILLED
    assert (position.quantity, position.cost, position.realised) == (Decimal(6), Decimal(600), Decimal(40))
    assert balance is not None
    assert (balance.deposited, balance.realised, balance.fees) == (1000, 40, Decimal("1.65"))
    assert [(row.trade_id, row.realised) for row in page.rows] == [("T2", 40), ("T1", 0)]


def test_trade_seen_twice_is_booked_once(writer: Writer, database: Database) -> None:
    order = fill(writer, order_of(1), trade_of(1, "4"))
    again = record(writer, order.id, event_of(EventKind.FILLED, trade=trade_of(1, "4")))
    assert again == order
    assert again.filled_quantity == 4


def test_overfill_is_refused_and_changes_nothing(writer: Writer, database: Database) -> None:
    order = fill(writer, order_of(1), trade_of(1, "9"))
    with pytest.raises(Overfill):
        record(writer, order.id, event_of(EventKind.FILLED, trade=trade_of(2, "2")))
    with database.read() as connection:
        assert ledger.get(connection, order.id) == order


def test_illegal_event_is_refused_and_not_logged(writer: Writer, database: Database) -> None:
    order = place(writer, order_of(1))
    with pytest.raises(IllegalTransition):
        record(writer, order.id, event_of(EventKind.TRIGGERED))
    with database.read() as connection:
        assert [event.kind for event in audit.events_of(connection, order.id)] == [EventKind.CREATED]


def test_working_orders_exclude_final_ones(writer: Writer, database: Database) -> None:
    fill(writer, order_of(1), trade_of(1, "10"))
    place(writer, order_of(2))
    with database.read() as connection:
        assert [order.id for order in queries.working(connection, "paper")] == [order_of(2).id]


def test_pages_follow_one_another_without_gap_or_overlap(writer: Writer, database: Database) -> None:
    for number in range(5):
        place(writer, order_of(number))
    seen: list[str] = []
    cursor: int | None = None
    with database.read() as connection:
        while True:
            page = queries.orders_page(connection, limit=2, cursor=cursor)
            seen += [row.id for row in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert seen == [order_of(number).id for number in reversed(range(5))]


def test_page_is_filtered_by_column(writer: Writer, database: Database) -> None:
    fill(writer, order_of(1), trade_of(1, "10"))
    place(writer, order_of(2))
    with database.read() as connection:
        page = queries.orders_page(connection, limit=10, status="filled", symbol=None)
    assert [row.id for row in page.rows] == [order_of(1).id]


def test_orders_of_a_day_are_counted(writer: Writer, database: Database) -> None:
    for _ in range(3):
        writer.run(lambda connection: ledger.count_order(connection, order_of(1), NOW.date()))
    with database.read() as connection:
        row = connection.exec_driver_sql("SELECT orders FROM days").one()
    assert row.orders == 3
    assert BOOKS.trading_day(NOW) == NOW.date()
    assert CAUSE.actor == "tester"
