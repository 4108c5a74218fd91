from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, select

from algosat.brokers.base import Report
from algosat.brokers.paper.broker import PaperBroker
from algosat.brokers.paper.build import paper_rules
from algosat.brokers.paper.rules import Rules
from algosat.brokers.paper.tables import paper_orders, paper_trades
from algosat.config.settings import Paper
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.instruments import Quote
from algosat.domain.orders import Change, Order, Side, Status, create
from algosat.domain.sessions import packaged
from algosat.errors import BrokerNotReached, BrokerOrderGone, BrokerRejected, BrokerUncertain, StoreBusy
from algosat.store.database import Database
from algosat.store.writer import Writer

from .exchange import UNIVERSE, intent_of, rules_of

SYMBOL = "NOVA-EQ"


class Clock:
    """Stands still until a test lets it go on."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


def broker_on(store: Any, clock: Clock | None = None, **rules: Any) -> PaperBroker:
    """A broker whose market moves only when it is stepped."""
    broker = PaperBroker(rules_of(**rules), store, speed=60, now=clock or Clock())
    broker.open()
    broker.step()
    return broker


def reopened(store: Any, clock: Clock) -> PaperBroker:
    """Another life of the exchange, not moved yet. The one before is never stopped: it has been killed."""
    broker = PaperBroker(rules_of(), store, speed=60, now=clock)
    broker.open()
    return broker


def order_of(number: int = 1, **differences: Any) -> Order:
    intent = intent_of(**{"quantity": 10, "symbol": SYMBOL, **differences})
    return create(f"a{number:017d}", intent, datetime(2026, 11, 20, 5, 0, tzinfo=UTC))


def quote(broker: PaperBroker) -> Quote:
    return next(each for each in broker.quotes() if each.symbol == SYMBOL)


@pytest.fixture
def broker(writer: Writer) -> PaperBroker:
    return broker_on(writer)


def test_a_market_order_is_filled_and_reported_with_its_trades(broker: PaperBroker) -> None:
    report = broker.place(order_of())
    assert (report.status, report.tag, int(report.filled_quantity)) == (Status.FILLED, order_of().id, 10)
    assert [trade.price for trade in report.trades] == [quote(broker).ask]


def test_what_place_returned_is_on_disk(broker: PaperBroker, database: Database) -> None:
    report = broker.place(order_of())
    with database.read() as connection:
        row = connection.execute(select(paper_orders)).one()
        trades = connection.execute(select(paper_trades)).all()
    assert (row.id, row.tag, row.status) == (report.broker_order_id, order_of().id, "filled")
    assert [(trade.id, trade.price) for trade in trades] == [(each.id, each.price) for each in report.trades]


def test_a_refused_order_raises_with_its_code_and_stays_in_the_book(broker: PaperBroker) -> None:
    with pytest.raises(BrokerRejected, match="lot") as refused:
        broker.place(order_of(quantity="1.5"))
    assert refused.value.reported_code == "quantity_off_lot"
    found = broker.find(order_of().id)
    assert found is not None
    assert found.status is Status.REJECTED


def test_an_order_is_changed_and_cancelled(broker: PaperBroker) -> None:
    far = quote(broker).bid - 20
    order = order_of(limit_price=far)
    assert broker.place(order).status is Status.OPEN
    changed = broker.modify(order, Change(Decimal(20), far - 1, None))
    assert (changed.terms.quantity, changed.terms.limit_price) == (Decimal(20), far - 1)
    assert broker.cancel(order).status is Status.CANCELLED
    with pytest.raises(BrokerOrderGone):
        broker.cancel(order)
    with pytest.raises(BrokerOrderGone):
        broker.modify(order, Change(Decimal(30), far, None))


def test_an_order_the_exchange_never_had_cannot_be_cancelled(broker: PaperBroker) -> None:
    with pytest.raises(BrokerRejected) as refused:
        broker.cancel(order_of(9))
    assert refused.value.reported_code == "order_not_found"


def test_the_book_is_found_by_tag_and_listed_whole(broker: PaperBroker) -> None:
    assert broker.find(order_of().id) is None
    placed = [broker.place(order_of(number)) for number in (1, 2)]
    assert broker.find(order_of(2).id) == placed[1]
    assert list(broker.reports()) == placed


def test_a_tag_sent_twice_is_two_orders_of_which_the_first_is_found(broker: PaperBroker) -> None:
    first, second = broker.place(order_of()), broker.place(order_of())
    assert [report.tag for report in broker.reports()] == [order_of().id] * 2
    assert broker.find(order_of().id) == first != second


def test_it_lists_its_universe(broker: PaperBroker) -> None:
    assert [each.symbol for each in broker.instruments()] == list(UNIVERSE)
    assert {each.symbol for each in broker.quotes()} == set(UNIVERSE)


def test_a_killed_exchange_goes_on_where_it_stood(writer: Writer) -> None:
    clock = Clock()
    first = broker_on(writer, clock)
    resting = order_of(1, quantity=5000, limit_price=quote(first).ask)
    partial = first.place(resting)
    first.place(order_of(2))
    again = reopened(writer, clock)
    assert again.reports() == first.reports()
    assert again.quotes() == first.quotes()
    assert partial.status is Status.PARTIALLY_FILLED
    assert again.place(order_of(3)).broker_order_id > first.reports()[-1].broker_order_id


def test_both_lives_of_a_killed_exchange_see_the_same_future(writer: Writer, database: Database) -> None:
    clock = Clock()
    first = broker_on(writer, clock)
    first.place(order_of(1, quantity=50_000, limit_price=quote(first).ask))
    again = reopened(_Reading(database), clock)
    for _ in range(5):
        clock.at += timedelta(milliseconds=250)
        assert again.step() == first.step()
        assert again.reports() == first.reports()


def test_a_partly_filled_order_of_before_the_kill_is_filled_once_only(
    writer: Writer, database: Database
) -> None:
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


def test_nothing_is_said_that_could_not_be_written(writer: Writer) -> None:
    store = _Failing(writer)
    broker = broker_on(store)
    store.fails = True
    with pytest.raises(BrokerUncertain):
        broker.place(order_of())
    store.fails = False
    assert broker.find(order_of().id) is None
    broker.place(order_of(2))  # writes what had been left
    found = broker.find(order_of().id)
    assert found is not None
    assert found.status is Status.FILLED


def test_orders_of_earlier_days_leave_the_book_but_are_found(writer: Writer) -> None:
    clock = Clock()
    broker = broker_on(writer, clock)
    old = broker.place(order_of(1))
    clock.at += timedelta(days=1)
    broker.step()
    assert broker.reports() == []
    assert broker.find(order_of(1).id) == replace(old, trades=old.trades)


def test_a_day_order_of_yesterday_expires_when_the_exchange_wakes(writer: Writer) -> None:
    clock = Clock()
    broker = broker_on(writer, clock)
    broker.place(order_of(1, limit_price=quote(broker).bid - 20))
    clock.at += timedelta(days=1)
    again = reopened(writer, clock)
    again.step()
    found = again.find(order_of(1).id)
    assert found is not None
    assert found.status is Status.EXPIRED


def test_many_threads_place_many_orders_and_each_gets_its_own(writer: Writer, database: Database) -> None:
    broker = broker_on(writer)
    reports: list[Report] = []

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


def test_a_running_market_pushes_quotes_and_the_fills_of_resting_orders(writer: Writer) -> None:
    broker = PaperBroker(rules_of(), writer, speed=1000)
    reports: list[Report] = []
    quotes: list[Quote] = []
    with running(broker, reports.append, quotes.extend):
        assert broker.session().active
        price = quote(broker)
        placed = broker.place(order_of(1, quantity=20_000, limit_price=price.ask + 1))
        assert placed.status is Status.PARTIALLY_FILLED
        _until(lambda: any(report.filled_quantity > placed.filled_quantity for report in reports))
    assert not broker.session().active
    assert {each.symbol for each in quotes} == set(UNIVERSE)
    assert {report.tag for report in reports} == {order_of(1).id}


def test_an_answer_is_not_pushed_as_well(writer: Writer) -> None:
    broker = PaperBroker(rules_of(), writer, speed=1)
    reports: list[Report] = []
    with running(broker, reports.append, lambda quotes: None):
        broker.place(order_of(1))
        order = order_of(2, limit_price=quote(broker).bid - 20)
        broker.place(order)
        broker.cancel(order)
        time.sleep(0.3)
    assert reports == []


def test_a_running_market_outlives_a_store_that_is_busy_for_a_while(writer: Writer) -> None:
    store = _Failing(writer)
    broker = PaperBroker(rules_of(), store, speed=1, now=_Racing())
    quotes: list[Quote] = []
    with running(broker, lambda report: None, quotes.extend):
        store.fails = True
        _until(lambda: store.failed > 0)
        store.fails = False
        seen = len(quotes)
        _until(lambda: len(quotes) > seen)
        assert broker.session().active


def test_latency_is_waited_for(writer: Writer) -> None:
    broker = PaperBroker(rules_of(latency=timedelta(milliseconds=40), jitter=0.0), writer, speed=1)
    broker.open()
    broker.step()
    began = time.monotonic()
    assert broker.place(order_of()).status is Status.FILLED
    assert 0.04 <= time.monotonic() - began < 1


def test_a_crossing_trade_fills_part_of_a_resting_order(broker: PaperBroker) -> None:
    order = order_of(limit_price=quote(broker).bid - 20)
    broker.place(order)
    broker.cross(order, 0.5)
    found = broker.find(order.id)
    assert found is not None
    assert (found.status, int(found.filled_quantity)) == (Status.PARTIALLY_FILLED, 5)


def test_a_sell_is_filled_at_the_bid(broker: PaperBroker) -> None:
    report = broker.place(order_of(side=Side.SELL))
    assert [trade.price for trade in report.trades] == [quote(broker).bid]


def test_an_engine_that_was_replaced_can_place_nothing_more(writer: Writer, database: Database) -> None:
    clock = Clock()
    first = broker_on(writer, clock)
    second = reopened(writer, clock)
    with pytest.raises(BrokerNotReached, match="another engine"):
        first.place(order_of(1))
    second.place(order_of(2))
    with database.read() as connection:
        assert connection.execute(select(paper_orders.c.tag)).scalars().all() == [order_of(2).id]


def test_a_market_that_was_taken_over_stops_and_its_session_ends(writer: Writer) -> None:
    broker = PaperBroker(rules_of(), writer, speed=1, now=_Racing())
    with running(broker, lambda report: None, lambda quotes: None):
        assert broker.session().active
        reopened(writer, Clock())
        _until(lambda: not broker.session().active)
    with pytest.raises(BrokerNotReached):
        broker.place(order_of())


def test_before_its_start_the_broker_cannot_be_reached(writer: Writer) -> None:
    broker = PaperBroker(rules_of(), writer, speed=1)
    assert not broker.session().active
    with pytest.raises(BrokerNotReached, match="not running"):
        broker.place(order_of())


def test_on_a_sunday_the_exchange_has_prices_but_takes_no_orders(writer: Writer) -> None:
    clock = Clock()
    clock.at = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
    broker = broker_on(writer, clock, calendar=ExchangeCalendar(packaged()))
    assert quote(broker).last == UNIVERSE[SYMBOL].price
    with pytest.raises(BrokerRejected) as refused:
        broker.place(order_of())
    assert refused.value.reported_code == "session_closed"


class _Failing:
    """A store that is busy when told so."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.fails = False
        self.failed = 0

    def run(self, work: Callable[[Connection], Any], *, durable: bool = True) -> Any:
        if self.fails:
            self.failed += 1
            raise StoreBusy("told so")
        return self._writer.run(work, durable=durable)


class _Reading:
    """A store that can be read, and keeps nothing of what is written."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._opened = False

    def run(self, work: Callable[[Connection], Any], *, durable: bool = True) -> Any:  # noqa: ARG002
        if self._opened:
            return None
        self._opened = True
        with self._database.engine.connect() as connection:
            return work(connection)  # and it is rolled back


class _Racing:
    """A clock on which a snapshot is due with every step."""

    def __init__(self) -> None:
        self._at = datetime.now(UTC)

    def __call__(self) -> datetime:
        self._at += timedelta(seconds=6)
        return self._at


@contextmanager
def running(
    broker: PaperBroker, on_report: Callable[[Report], None], on_quotes: Callable[[Any], None]
) -> Iterator[None]:
    broker.start(on_report, on_quotes)
    try:
        yield
    finally:
        broker.stop()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 5 s"
        time.sleep(0.01)


def test_rules_are_what_the_settings_say() -> None:
    rules = paper_rules(Paper(seed=11, speed=1, always_open=True, starting_cash=Decimal(1), latency_ms=25))
    assert isinstance(rules, Rules)
    assert (rules.seed, rules.latency) == (11, timedelta(milliseconds=25))
