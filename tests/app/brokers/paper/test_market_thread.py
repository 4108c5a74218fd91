from __future__ import annotations

import threading
import time
from datetime import timedelta

from sqlalchemy import select

from algosat.brokers.paper.broker import PaperBroker
from algosat.brokers.paper.persistence import paper_orders
from algosat.domain.instruments import Quote
from algosat.domain.orders import Status
from algosat.domain.orders.report import OrderReport
from algosat.store.database import Database
from algosat.store.writer import Writer
from tests.app.brokers.paper.paper_brokers import BusyStore, FastClock, broker_on, order_of, quote, running
from tests.app.events import wait_for
from tests.app.exchange.manual_exchange import UNIVERSE, rules_of


def test_orders_of_many_threads_get_their_own_reports(writer: Writer, database: Database) -> None:
    broker = broker_on(writer)
    reports: list[OrderReport] = []

    def place(first: int) -> None:
        reports.extend(broker.place(order_of(first + number)) for number in range(10))

    threads = [threading.Thread(target=place, args=(100 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({report.tag for report in reports}) == len({each.broker_order_id for each in reports}) == 80
    with database.read() as connection:
        assert len(connection.execute(select(paper_orders.c.id)).all()) == 80


def test_running_market_pushes_quotes_and_fills(writer: Writer) -> None:
    broker = PaperBroker(rules_of(), writer, speed=1000)
    reports: list[OrderReport] = []
    quotes: list[Quote] = []
    with running(broker, reports.append, quotes.extend):
        assert broker.session().active
        price = quote(broker)
        placed = broker.place(order_of(1, quantity=20_000, limit_price=price.ask + 1))
        assert placed.status is Status.PARTIALLY_FILLED
        wait_for(lambda: any(report.filled_quantity > placed.filled_quantity for report in reports))
    assert not broker.session().active
    assert {each.symbol for each in quotes} == set(UNIVERSE)
    assert {report.tag for report in reports} == {order_of(1).id}


def test_answers_are_not_also_pushed(writer: Writer) -> None:
    broker = PaperBroker(rules_of(), writer, speed=1)
    reports: list[OrderReport] = []
    with running(broker, reports.append, lambda quotes: None):
        broker.place(order_of(1))
        order = order_of(2, limit_price=quote(broker).bid - 20)
        broker.place(order)
        broker.cancel(order)
        time.sleep(0.3)
    assert reports == []


def test_running_market_continues_after_the_store_was_busy(writer: Writer) -> None:
    store = BusyStore(writer)
    broker = PaperBroker(rules_of(), store, speed=1, now=FastClock())
    quotes: list[Quote] = []
    with running(broker, lambda report: None, quotes.extend):
        store.fails = True
        wait_for(lambda: store.failed > 0)
        store.fails = False
        seen = len(quotes)
        wait_for(lambda: len(quotes) > seen)
        assert broker.session().active


def test_place_returns_after_the_latency(writer: Writer) -> None:
    broker = PaperBroker(rules_of(latency=timedelta(milliseconds=40), jitter=0.0), writer, speed=1)
    broker.open()
    broker.step()
    began = time.monotonic()
    assert broker.place(order_of()).status is Status.FILLED
    assert time.monotonic() - began >= 0.04
