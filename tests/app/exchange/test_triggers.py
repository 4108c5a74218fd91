from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.domain.orders import Side, Status
from tests.app.exchange.manual_exchange import SHARE, ManualExchange, ioc, terms_of


@pytest.fixture
def exchange() -> ManualExchange:
    exchange = ManualExchange()
    exchange.quote()
    return exchange


def test_stop_order_waits_for_its_trigger(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(trigger_price="105"))
    exchange.quote(last="104.95", bid="104.90", ask="105.50")
    assert order.status is Status.TRIGGER_PENDING
    assert exchange.order(order).status is Status.TRIGGER_PENDING


def test_triggered_stop_is_reported_open_before_it_fills(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(trigger_price="105"))
    changed = exchange.quote(last="105", bid="104.95", ask="105.05")
    assert [output.order.status for output in changed] == [Status.OPEN, Status.FILLED]  # type: ignore[union-attr]
    assert exchange.trades(order) == [(100, "105.05")]


def test_sell_stop_triggers_on_a_falling_price(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(Side.SELL, trigger_price="95"))
    exchange.quote(last="94", bid="93.95", ask="94.05")
    assert exchange.trades(order) == [(100, "93.95")]


def test_triggered_stop_gets_its_protection_from_the_current_price(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=90_000, trigger_price="105"))
    exchange.quote(last="106", bid="105.95", ask="106.05")
    assert exchange.order(order).limit == Decimal("107.05")  # 1 % of 106, towards the last price


def test_stop_limit_order_rests_if_the_market_gapped_past_its_limit(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(trigger_price="105", limit_price="105.50"))
    exchange.quote(last="107", bid="106.95", ask="107.05")
    assert exchange.order(order).status is Status.OPEN
    exchange.quote(last="105.40", bid="105.35", ask="105.45")
    assert exchange.trades(order) == [(100, "105.50")]


def test_triggered_stop_that_joins_a_queue_is_reported_open_once(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(trigger_price="105", limit_price="105.50"))
    changed = exchange.quote(last="107", bid="105.50", ask="107.05")
    assert [output.order.status for output in changed] == [Status.OPEN]  # type: ignore[union-attr]
    resting = exchange.market.book(SHARE).order(order.id)
    assert resting is not None
    assert resting.queue_ahead == 1000


def test_triggered_ioc_stop_is_cancelled_if_nothing_trades(exchange: ManualExchange) -> None:
    order = exchange.place(ioc(terms_of(trigger_price="105", limit_price="105.50")))
    exchange.quote(last="107", bid="106.95", ask="107.05")
    assert exchange.order(order).status is Status.CANCELLED


@pytest.mark.parametrize(("side", "trigger"), [(Side.BUY, "100"), (Side.BUY, "99"), (Side.SELL, "100.05")])
def test_trigger_already_passed_is_refused(exchange: ManualExchange, side: Side, trigger: str) -> None:
    assert exchange.refusal(terms_of(side, trigger_price=trigger)).code == "trigger_on_wrong_side"


def test_stop_limit_order_with_limit_beyond_trigger_is_refused(exchange: ManualExchange) -> None:
    assert exchange.refusal(terms_of(trigger_price="105", limit_price="104")).code == "limit_beyond_trigger"


def test_waiting_stop_can_be_cancelled(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(trigger_price="105"))
    exchange.cancel(order)
    exchange.quote(last="106", bid="105.95", ask="106.05")
    assert exchange.order(order).status is Status.CANCELLED


def test_trigger_of_a_waiting_stop_can_be_changed(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(trigger_price="105"))
    assert exchange.modify(order, trigger_price="103").refusal is None
    exchange.quote(last="103", bid="102.95", ask="103.05")
    assert exchange.order(order).status is Status.FILLED


def test_triggered_stop_limit_is_modified_as_a_limit_order(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(trigger_price="105", limit_price="105.50"))
    exchange.quote(last="107", bid="106.95", ask="107.05")
    assert exchange.modify(exchange.order(order), limit_price="107.10").refusal is None
    assert exchange.trades(order) == [(100, "107.05")]


def test_protection_price_of_a_stop_takes_precedence(exchange: ManualExchange) -> None:
    order = exchange.place(replace(terms_of(trigger_price="105"), protection_price=Decimal("105.10")))
    exchange.quote(last="106", bid="105.95", ask="106.05")
    assert exchange.order(order).status is Status.OPEN
    assert exchange.order(order).limit == Decimal("105.10")
