from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from algosat.domain.orders import Side, Status
from algosat.exchange.exchange_events import Answered
from tests.app.exchange.manual_exchange import FUTURE, SHARE, UNIVERSE, ManualExchange, rules_of, terms_of


@pytest.fixture
def exchange() -> ManualExchange:
    exchange = ManualExchange()
    exchange.quote()
    exchange.quote(FUTURE)
    return exchange


@pytest.mark.parametrize(
    ("differences", "code"),
    [
        ({"quantity": "1.5"}, "quantity_off_lot"),
        ({"quantity": "100001"}, "above_freeze_quantity"),
        ({"limit_price": "100.03"}, "price_off_tick"),
        ({"limit_price": "120.05"}, "outside_circuit"),
        ({"limit_price": "79.95"}, "outside_circuit"),
        ({"trigger_price": "120.05"}, "outside_circuit"),
        ({"trigger_price": "105.02"}, "price_off_tick"),
        ({"protection_price": Decimal("79.95")}, "outside_circuit"),
    ],
)
def test_invalid_order_is_rejected(exchange: ManualExchange, differences: dict[str, Any], code: str) -> None:
    assert exchange.refusal(terms_of(**differences)).code == code
    assert exchange.market.book("EMBER-EQ").orders == ()


def test_rejected_order_is_reported_with_its_reason(exchange: ManualExchange) -> None:
    exchange.refusal(terms_of(quantity="1.5"))
    (rejected,) = [output.order for output in exchange.outputs if hasattr(output, "order") and output.order][
        :1
    ]
    assert (rejected.status, rejected.reason) == (Status.REJECTED, "1.5 is not a multiple of the lot of 1")


def test_order_below_the_smallest_quantity_or_notional_is_rejected(exchange: ManualExchange) -> None:
    instrument = replace(
        UNIVERSE[SHARE].instrument,
        lot=Decimal("0.001"),
        minimum_quantity=Decimal("0.01"),
        minimum_notional=Decimal(5),
    )
    listing = replace(UNIVERSE[SHARE], instrument=instrument)
    exchange.rules = replace(exchange.rules, universe={SHARE: listing})
    for quantity, price, code in (("0.009", "99", "below_minimum"), ("0.05", "99", "below_minimum")):
        assert exchange.refusal(terms_of(quantity=quantity, limit_price=price)).code == code
    assert exchange.place(terms_of(quantity="0.051", limit_price="99")).status is Status.OPEN
    assert exchange.place(terms_of(quantity="0.051")).filled_quantity == Decimal("0.051")


def test_future_off_its_lot_is_rejected(exchange: ManualExchange) -> None:
    assert exchange.refusal(replace(terms_of(quantity=501), symbol=FUTURE)).code == "quantity_off_lot"


def test_limit_order_without_a_limit_price_is_rejected(exchange: ManualExchange) -> None:
    terms = replace(terms_of(limit_price="100"), limit_price=None)
    assert exchange.refusal(terms).code == "limit_price_missing"


def test_stop_order_without_a_trigger_price_is_rejected(exchange: ManualExchange) -> None:
    terms = replace(terms_of(trigger_price="105"), trigger_price=None)
    assert exchange.refusal(terms).code == "trigger_price_missing"


def test_unknown_symbol_is_refused(exchange: ManualExchange) -> None:
    assert exchange.refusal(replace(terms_of(), symbol="NOBODY-EQ")).code == "unknown_symbol"


def test_symbol_without_a_quote_is_refused() -> None:
    assert ManualExchange().refusal(terms_of()).code == "no_market"


def test_same_tag_twice_is_two_orders(exchange: ManualExchange) -> None:
    first, second = exchange.place(terms_of(), "a1"), exchange.place(terms_of(), "a1")
    assert first.id < second.id
    assert (first.tag, second.tag) == ("a1", "a1")


def test_cancelled_order_keeps_its_fills(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=1500, limit_price="100.10"))
    answer = exchange.cancel(order)
    assert answer.order is not None
    assert (answer.order.status, int(answer.order.filled_quantity)) == (Status.CANCELLED, 1000)


def test_late_cancel_is_refused_as_gone(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of())
    refusal = exchange.cancel(order).refusal
    assert refusal is not None
    assert (refusal.code, refusal.gone) == ("order_already_complete", True)


def test_late_modification_is_refused_as_gone(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of())
    refusal = exchange.modify(order, quantity=200).refusal
    assert refusal is not None
    assert refusal.gone


def test_changed_price_is_matched_at_once(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(limit_price="99"))
    exchange.modify(order, limit_price="100.10")
    assert exchange.trades(order) == [(100, "100.10")]


def test_smaller_quantity_keeps_the_queue_position(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=200, limit_price="99.90"))
    exchange.quote(last="99.90", volume="50400")
    exchange.modify(order, quantity=150)
    (kept,) = exchange.market.book("EMBER-EQ").orders
    assert (int(kept.queue_ahead), int(kept.terms.quantity)) == (600, 150)


def test_larger_quantity_loses_the_queue_position(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=200, limit_price="99.90"))
    exchange.quote(last="99.90", volume="50400")
    exchange.modify(order, quantity=250)
    (moved,) = exchange.market.book("EMBER-EQ").orders
    assert moved.queue_ahead == 1000


@pytest.mark.parametrize(
    ("differences", "code"),
    [
        ({"quantity": 1000}, "below_filled_quantity"),
        ({"quantity": 100_001}, "above_freeze_quantity"),
        ({"limit_price": "100.03"}, "price_off_tick"),
        ({"limit_price": "121"}, "outside_circuit"),
    ],
)
def test_refused_modification_changes_nothing(
    exchange: ManualExchange, differences: dict[str, Any], code: str
) -> None:
    order = exchange.place(terms_of(quantity=1500, limit_price="100.10"))
    before = exchange.market
    refusal = exchange.modify(order, **differences).refusal
    assert refusal is not None
    assert (refusal.code, refusal.gone) == (code, False)
    assert exchange.market == before


def test_resting_market_order_can_get_a_limit_price(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(Side.SELL, 90_000))
    answer = exchange.modify(order, limit_price="90")
    assert answer.order is not None
    assert answer.order.limit == 90


def test_resting_market_order_can_get_a_new_protection_price(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=90_000))
    answer = exchange.modify(order, protection_price="105.02")
    assert answer.order is not None
    assert answer.order.limit == Decimal("105.00")


def test_cross_fills_regardless_of_the_display(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(limit_price="90"))
    exchange.cross(order, 40)
    exchange.cross(order, 400)
    assert exchange.trades(order) == [(40, "90"), (60, "90")]


def test_request_arrives_after_the_latency() -> None:
    exchange = ManualExchange(rules_of(latency=timedelta(milliseconds=100), jitter=0.5))
    exchange.quote()
    with pytest.raises(IndexError):  # no answer yet
        exchange.place(terms_of())
    assert exchange.wait(0.099) == []
    (_, answer) = exchange.wait(0.052)
    assert isinstance(answer, Answered)
    assert answer.order is not None
    assert answer.order.placed_at == exchange.at


def test_requests_arrive_in_the_order_they_were_sent() -> None:
    exchange = ManualExchange(rules_of(latency=timedelta(milliseconds=100), jitter=5.0))
    exchange.quote()
    for _ in range(20):
        with pytest.raises(IndexError):
            exchange.place(terms_of())
        exchange.at += timedelta(milliseconds=1)
    answers = [output for output in exchange.wait(5) if isinstance(output, Answered)]
    assert [answer.request for answer in answers] == list(range(1, 21))


def test_order_that_fills_while_its_cancel_is_on_its_way_is_filled() -> None:
    exchange = ManualExchange(rules_of(latency=timedelta(milliseconds=100), jitter=0))
    exchange.quote()
    with pytest.raises(IndexError):
        exchange.place(terms_of(limit_price="99"))
    (_, answer) = exchange.wait(0.1)
    assert isinstance(answer, Answered)
    assert answer.order is not None
    with pytest.raises(IndexError):
        exchange.cancel(answer.order)
    exchange.at += timedelta(milliseconds=50)
    exchange.quote(last="98", bid="97.95", ask="98.05")
    (late,) = exchange.wait(0.05)
    assert isinstance(late, Answered)
    assert late.refusal is not None
    assert late.refusal.gone
    assert exchange.order(answer.order).status is Status.FILLED
