from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from algosat.brokers.paper.broker import PaperBroker
from algosat.brokers.paper.build import paper_rules
from algosat.brokers.paper.persistence import paper_orders, paper_trades
from algosat.config.settings import PaperSettings
from algosat.domain.calendar import AlwaysOpen, ExchangeCalendar
from algosat.domain.market_phases import packaged
from algosat.domain.orders import OrderChange, Product, Side, Status
from algosat.errors import BrokerNotReached, BrokerOrderGone, BrokerRejected
from algosat.exchange.rules import Rules
from algosat.store.database import Database
from algosat.store.writer import Writer
from tests.app.brokers.paper.paper_brokers import SYMBOL, Clock, book_of, broker_on, order_of, quote
from tests.app.exchange.manual_exchange import UNIVERSE, rules_of


def test_market_order_is_filled_and_reported_with_its_trades(broker: PaperBroker) -> None:
    report = broker.place(order_of())
    assert (report.status, report.tag, int(report.filled_quantity)) == (Status.FILLED, order_of().id, 10)
    assert [trade.price for trade in report.trades] == [quote(broker).ask]


def test_placed_order_is_in_the_store(broker: PaperBroker, database: Database) -> None:
    report = broker.place(order_of())
    with database.read() as connection:
        row = connection.execute(select(paper_orders)).one()
        trades = connection.execute(select(paper_trades)).all()
    assert (row.id, row.tag, row.status) == (report.broker_order_id, order_of().id, "filled")
    assert [(trade.id, trade.price) for trade in trades] == [(each.id, each.price) for each in report.trades]


def test_refused_order_raises_its_code_and_stays_in_the_order_book(broker: PaperBroker) -> None:
    with pytest.raises(BrokerRejected, match="lot") as refused:
        broker.place(order_of(quantity="1.5"))
    assert refused.value.reported_code == "quantity_off_lot"
    found = broker.find(order_of())
    assert found is not None
    assert found.status is Status.REJECTED


def test_positions_and_holdings_are_what_was_traded_over_days_and_restarts(writer: Writer) -> None:
    """Ten shares of the first day are a holding on the second, beside what was sold since."""
    clock = Clock()
    first = broker_on(writer, clock)
    first.place(order_of(1))
    first.place(order_of(2, product=Product.INTRADAY, side=Side.SELL, quantity=3))
    first.place(order_of(3, limit_price=quote(first).bid - 20))  # not filled
    assert stated(first) == ({(SYMBOL, "delivery"): 10, (SYMBOL, "intraday"): -3}, {})
    clock.at += timedelta(days=3)
    second = broker_on(writer, clock)
    second.place(order_of(4, side=Side.SELL, quantity=4))
    second.place(order_of(5, product=Product.INTRADAY, quantity=3))
    assert stated(second) == ({(SYMBOL, "delivery"): -4, (SYMBOL, "intraday"): 0}, {SYMBOL: 10})


def test_accounts_state_their_own_positions(writer: Writer) -> None:
    for account, quantity in (("paper", 10), ("crypto", 20), ("other", 30)):
        broker = broker_on(writer, account=account)
        broker.place(order_of(quantity=quantity))
        assert stated(broker) == ({(SYMBOL, "delivery"): quantity}, {})


def stated(broker: PaperBroker) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
    positions = {(each.symbol, each.product.value): int(each.quantity) for each in broker.positions()}
    return positions, {each.symbol: int(each.quantity) for each in broker.holdings()}


def test_order_is_modified_and_cancelled(broker: PaperBroker) -> None:
    far = quote(broker).bid - 20
    order = order_of(limit_price=far)
    assert broker.place(order).status is Status.OPEN
    changed = broker.modify(order, OrderChange(Decimal(20), limit_price=far - 1, trigger_price=None))
    assert (changed.terms.quantity, changed.terms.limit_price) == (Decimal(20), far - 1)
    assert broker.cancel(order).status is Status.CANCELLED
    with pytest.raises(BrokerOrderGone):
        broker.cancel(order)
    with pytest.raises(BrokerOrderGone):
        broker.modify(order, OrderChange(Decimal(30), limit_price=far, trigger_price=None))


def test_cancel_of_an_unknown_order_is_rejected(broker: PaperBroker) -> None:
    with pytest.raises(BrokerRejected) as refused:
        broker.cancel(order_of(9))
    assert refused.value.reported_code == "order_not_found"


def test_orders_are_found_by_tag_and_listed(broker: PaperBroker) -> None:
    assert broker.find(order_of()) is None
    placed = [broker.place(order_of(number)) for number in (1, 2)]
    assert broker.find(order_of(2)) == placed[1]
    assert list(book_of(broker)) == placed


def test_tag_sent_twice_is_two_orders_and_finds_the_first(broker: PaperBroker) -> None:
    first, second = broker.place(order_of()), broker.place(order_of())
    assert [report.tag for report in book_of(broker)] == [order_of().id] * 2
    assert broker.find(order_of()) == first != second


def test_instruments_are_those_of_the_universe(broker: PaperBroker) -> None:
    assert [each.symbol for each in broker.instruments()] == list(UNIVERSE)
    assert {each.symbol for each in broker.quotes()} == set(UNIVERSE)


def test_cross_fills_part_of_a_resting_order(broker: PaperBroker) -> None:
    order = order_of(limit_price=quote(broker).bid - 20)
    broker.place(order)
    broker.cross(order, 0.5)
    found = broker.find(order)
    assert found is not None
    assert (found.status, int(found.filled_quantity)) == (Status.PARTIALLY_FILLED, 5)


def test_sell_order_is_filled_at_the_bid(broker: PaperBroker) -> None:
    report = broker.place(order_of(side=Side.SELL))
    assert [trade.price for trade in report.trades] == [quote(broker).bid]


def test_broker_cannot_be_reached_before_its_start(writer: Writer) -> None:
    broker = PaperBroker(rules_of(), writer, speed=1)
    assert not broker.session().active
    with pytest.raises(BrokerNotReached, match="not running"):
        broker.place(order_of())


def test_exchange_has_prices_but_refuses_orders_on_a_sunday(writer: Writer) -> None:
    clock = Clock()
    clock.at = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
    broker = broker_on(writer, clock, calendar=ExchangeCalendar(packaged()))
    assert quote(broker).last == UNIVERSE[SYMBOL].price
    with pytest.raises(BrokerRejected) as refused:
        broker.place(order_of())
    assert refused.value.reported_code == "session_closed"


def test_rules_follow_the_settings() -> None:
    rules = paper_rules(
        PaperSettings(seed=11, speed=1, starting_cash=Decimal(1), latency_ms=25, listings="shares"),
        AlwaysOpen(),
    )
    assert isinstance(rules, Rules)
    assert (rules.seed, rules.latency) == (11, timedelta(milliseconds=25))


def test_quotes_are_not_dated_in_the_future_after_the_clock_was_set_back(writer: Writer) -> None:
    clock = Clock()
    broker = broker_on(writer, clock)
    clock.at -= timedelta(minutes=10)
    assert {each.at for each in broker.step()} == {clock.at}
    report = broker.place(order_of())
    assert report.status is Status.FILLED
    clock.at += timedelta(minutes=20)
    assert {each.at for each in broker.step()} == {clock.at}
