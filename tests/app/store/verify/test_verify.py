from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Connection, text

from algosat.domain.orders import Side
from algosat.store import ledger
from algosat.store.database import Database
from algosat.store.verify.verify import VerifyResult, verify
from algosat.store.writer import Writer
from tests.app.store.conftest import CAUSE, fill, order_of, place, trade_of


@pytest.fixture
def filled(writer: Writer, database: Database) -> Database:
    fill(writer, order_of(1), trade_of(1, "4"), trade_of(2, "6", "101.35"))
    fill(writer, order_of(2, side=Side.SELL, quantity="13"), trade_of(3, "13", "99.95"))
    place(writer, order_of(3))
    return database


def result_of(database: Database) -> VerifyResult:
    with database.read() as connection:
        return verify(connection)


def test_store_written_through_the_ledger_is_clean(filled: Database) -> None:
    found = result_of(filled)
    assert found.clean, found.findings
    assert (found.orders, found.trades) == (3, 3)


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        ("UPDATE events SET data = replace(data, '99.95', '89.95') WHERE data LIKE '%99.95%'", "was changed"),
        ("DELETE FROM events WHERE seq = 2", "does not follow"),
        ("UPDATE orders SET status = 'cancelled' WHERE seq = 1", "differs from its events: status"),
        ("DELETE FROM orders WHERE seq = 3", "have events but no row"),
        ("UPDATE trades SET quantity = quantity + 100000000 WHERE seq = 1", "its trades sum to"),
        ("UPDATE positions SET cost = cost + 1", "its fills give"),
        ("UPDATE balances SET realised = realised + 1", "balances of paper"),
        ("DELETE FROM balances", "balances of paper"),
        ("UPDATE days SET fees = fees + 1", "days of paper"),
        ("UPDATE days SET trades = trades + 1", "days of paper"),
        ("UPDATE days SET strategy = 'trend'", "days of paper/trend"),
        ("UPDATE days SET orders = orders - 1", "days of paper//2026-11-20: 2 orders, but 3 passed the gate"),
        ("UPDATE days SET orders = 0", "0 orders, but 3 passed the gate"),
        ("UPDATE days SET day = '2026-11-23'", "days of paper//2026-11-23: 3 orders, but 0 passed the gate"),
        ("DELETE FROM days", "days of paper"),
        ("UPDATE contract_notes SET sold = sold + 1", "contract note paper 2026-11-20 nse/equity ALPHA-EQ"),
        ("UPDATE contract_notes SET delivered_sold = 0", "delivered_sold 299.85"),
        ("DELETE FROM contract_notes", "stored nothing, its fills give bought 1008.1"),
        ("UPDATE trades SET note = NULL", "its fills give nothing"),
        ("UPDATE trades SET realised = realised + 1 WHERE seq = 3", "trade T3: realised"),
    ],
)
def test_tampering_is_found_and_named(filled: Database, tampering: str, finding: str) -> None:
    with filled.engine.begin() as connection:
        connection.execute(text(tampering))
    assert any(finding in sentence for sentence in result_of(filled).findings), result_of(filled).findings


def counted(writer: Writer, number: int, at: datetime, day: date) -> None:
    """Place an order, and count it on a day."""
    order = replace(order_of(number), created_at=at, updated_at=at)

    def work(connection: Connection) -> None:
        ledger.count_order(connection, order, day)
        ledger.add(connection, order, CAUSE)

    writer.run(work)


@pytest.mark.parametrize(("day", "clean"), [(19, False), (20, True), (21, True), (22, False)])
def test_order_counts_on_its_date_in_utc_or_in_exchange_time(
    writer: Writer, database: Database, day: int, clean: bool
) -> None:
    evening = datetime(2026, 11, 20, 20, tzinfo=UTC)  # the 21st, exchange time
    for number in range(2):
        counted(writer, number, evening, date(2026, 11, day))
    assert result_of(database).clean is clean


def test_orders_with_two_dates_count_once(writer: Writer, database: Database) -> None:
    for number, day in enumerate((20, 20, 21)):
        counted(writer, number, datetime(2026, 11, 20, 20, tzinfo=UTC), date(2026, 11, day))
    counted(writer, 3, datetime(2026, 11, 21, 9, tzinfo=UTC), date(2026, 11, 21))
    assert result_of(database).clean
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE days SET orders = orders + 1"))
    assert result_of(database).findings == [
        "days of paper//2026-11-21: 3 orders, but 1 passed the gate",
    ]


def test_price_changed_in_trades_and_positions_is_found(writer: Writer, database: Database) -> None:
    fill(writer, order_of(1), trade_of(1, "4"))
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE trades SET price = price + 100000000"))
        connection.execute(text("UPDATE positions SET cost = cost + 400000000"))
    note, order = sorted(result_of(database).findings)
    assert "stored bought 400" in note
    assert "filled 4 for 400, its trades sum to 4 for 404" in order
