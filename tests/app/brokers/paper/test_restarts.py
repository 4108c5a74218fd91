from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from algosat.brokers.paper.broker import PaperBroker
from algosat.brokers.paper.persistence import paper_orders, paper_state, paper_trades
from algosat.domain.orders import Status
from algosat.errors import BrokerNotReached, BrokerUncertain, StoreBusy
from algosat.store.database import Database
from algosat.store.writer import Writer
from tests.app.brokers.paper.paper_brokers import (
    SYMBOL,
    BusyStore,
    Clock,
    FastClock,
    book_of,
    broker_on,
    order_of,
    quote,
    reopened,
    running,
)
from tests.app.events import wait_for
from tests.app.exchange.manual_exchange import rules_of


def test_killed_exchange_continues_from_its_last_write(writer: Writer) -> None:
    clock = Clock()
    first = broker_on(writer, clock)
    resting = order_of(1, quantity=5000, limit_price=quote(first).ask)
    partial = first.place(resting)
    first.place(order_of(2))
    second = reopened(writer, clock)
    assert book_of(second) == book_of(first)
    assert second.quotes() == first.quotes()
    assert partial.status is Status.PARTIALLY_FILLED
    assert second.place(order_of(3)).broker_order_id > book_of(first)[-1].broker_order_id


def test_reopened_exchange_gives_the_same_prices_and_fills(writer: Writer, database: Database) -> None:
    clock = Clock()
    first = broker_on(writer, clock)
    first.place(order_of(1, quantity=50_000, limit_price=quote(first).ask))
    second = reopened(ReadOnlyStore(database), clock)
    for _ in range(5):
        clock.at += timedelta(milliseconds=250)
        assert second.step() == first.step()
        assert book_of(second) == book_of(first)


def test_order_filled_across_restarts_is_not_overfilled(writer: Writer, database: Database) -> None:
    clock = Clock()
    broker = broker_on(writer, clock)
    broker.place(order_of(1, quantity=50_000, limit_price=quote(broker).ask))
    for _ in range(20):
        clock.at += timedelta(milliseconds=250)
        broker = reopened(writer, clock)
        broker.step()
    with database.read() as connection:
        row = connection.execute(select(paper_orders)).one()
        trades = connection.execute(select(paper_trades.c.quantity)).scalars().all()
    assert sum(trades) == row.filled_quantity <= 50_000
    assert len(trades) > 1


def test_unwritten_order_is_not_published(writer: Writer) -> None:
    store = BusyStore(writer)
    broker = broker_on(store)
    store.fails = True
    with pytest.raises(BrokerUncertain):
        broker.place(order_of())
    store.fails = False
    assert broker.find(order_of()) is None
    broker.place(order_of(2))  # also writes the first order
    found = broker.find(order_of())
    assert found is not None
    assert found.status is Status.FILLED


def test_order_between_snapshots_stores_its_own_symbol_only(writer: Writer, database: Database) -> None:
    clock = Clock()
    broker = broker_on(writer, clock)
    step_later(broker, clock, 0.25)
    broker.place(order_of(1))
    assert stored_at(database, clock) == {SYMBOL}
    step_later(broker, clock, 5)
    assert stored_at(database, clock) == {each.symbol for each in broker.quotes()}
    assert reopened(writer, clock).quotes() == broker.quotes()


def test_snapshot_that_could_not_be_written_is_written_with_the_next_order(
    writer: Writer, database: Database
) -> None:
    clock, store = Clock(), BusyStore(writer)
    broker = broker_on(store, clock)
    store.fails = True
    with pytest.raises(StoreBusy):
        step_later(broker, clock, 5)
    store.fails = False
    broker.place(order_of(1))
    assert stored_at(database, clock) == {each.symbol for each in broker.quotes()}


def test_orders_of_earlier_days_are_found_but_not_listed(writer: Writer) -> None:
    clock = Clock()
    broker = broker_on(writer, clock)
    old = broker.place(order_of(1))
    clock.at += timedelta(days=1)
    broker.step()
    assert book_of(broker) == []
    assert broker.find(order_of(1)) == replace(old, trades=old.trades)


def test_day_order_of_yesterday_expires_after_a_restart(writer: Writer) -> None:
    clock = Clock()
    broker = broker_on(writer, clock)
    broker.place(order_of(1, limit_price=quote(broker).bid - 20))
    clock.at += timedelta(days=1)
    second = reopened(writer, clock)
    second.step()
    found = second.find(order_of(1))
    assert found is not None
    assert found.status is Status.EXPIRED


def test_replaced_engine_cannot_place_orders(writer: Writer, database: Database) -> None:
    clock = Clock()
    first = broker_on(writer, clock)
    second = reopened(writer, clock)
    with pytest.raises(BrokerNotReached, match="another engine"):
        first.place(order_of(1))
    second.place(order_of(2))
    with database.read() as connection:
        assert connection.execute(select(paper_orders.c.tag)).scalars().all() == [order_of(2).id]


def test_market_that_was_taken_over_stops(writer: Writer) -> None:
    broker = PaperBroker(rules_of(), writer, speed=1, now=FastClock())
    with running(broker, lambda report: None, lambda quotes: None):
        assert broker.session().active
        reopened(writer, Clock())
        wait_for(lambda: not broker.session().active)
    with pytest.raises(BrokerNotReached):
        broker.place(order_of())


def step_later(broker: PaperBroker, clock: Clock, seconds: float) -> None:
    clock.at += timedelta(seconds=seconds)
    broker.step()


def stored_at(database: Database, clock: Clock) -> set[str]:
    """Return the symbols whose state was stored at the clock's present time."""
    with database.read() as connection:
        found = connection.execute(select(paper_state.c.name).where(paper_state.c.at == clock.at))
        return {name for name in found.scalars() if name.isupper()}


class ReadOnlyStore:
    """A store that is read once, and discards all writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._opened = False

    def run(self, work: Callable[[Connection], Any], *, durable: bool = True) -> Any:  # noqa: ARG002
        if self._opened:
            return None
        self._opened = True
        with self._database.read() as connection, connection.begin_nested() as written:
            result = work(connection)
            written.rollback()
        return result


def test_accounts_on_one_store_have_exchanges_of_their_own(writer: Writer) -> None:
    clock = Clock()
    first, second = (
        PaperBroker(rules_of(), writer, speed=60, account=account, now=clock)
        for account in ("paper", "other")
    )
    for broker in (first, second):
        broker.open()
        broker.step()
    first.place(order_of(1))
    second.place(order_of(2))
    second.place(order_of(3))
    assert [report.tag for report in book_of(first)] == [order_of(1).id]
    again = PaperBroker(rules_of(), writer, speed=60, account="other", now=clock)
    again.open()
    assert [report.tag for report in book_of(again)] == [order_of(2).id, order_of(3).id]
    assert book_of(again)[0].broker_order_id == book_of(first)[0].broker_order_id
    with pytest.raises(BrokerNotReached, match="another engine"):
        second.place(order_of(4))
    first.place(order_of(5))
