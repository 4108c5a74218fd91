from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.domain.orders import Side, Status
from algosat.exchange import depth
from tests.app.exchange.manual_exchange import (
    FUTURE,
    SHARE,
    UNIVERSE,
    ManualExchange,
    ioc,
    quote_of,
    rules_of,
    terms_of,
)

INSTRUMENT = UNIVERSE[SHARE].instrument


@pytest.fixture
def exchange() -> ManualExchange:
    exchange = ManualExchange()
    exchange.quote()
    return exchange


def asks() -> tuple[depth.Level, ...]:
    return depth.displayed(7, INSTRUMENT, quote_of(), Side.SELL)


def test_market_order_fills_at_the_best_ask(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=300))
    assert order.status is Status.FILLED
    assert exchange.trades(order) == [(300, "100.10")]


def test_sell_order_fills_at_the_best_bid(exchange: ManualExchange) -> None:
    assert exchange.trades(exchange.place(terms_of(Side.SELL, 300))) == [(300, "99.90")]


def test_large_order_fills_at_several_levels_best_first(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=2000))
    (first, second, *_) = asks()
    assert exchange.trades(order) == [(1000, "100.10"), (1000, str(second.price))]
    assert second.price == first.price + INSTRUMENT.tick


def test_five_levels_are_displayed_with_at_least_one_lot_each(exchange: ManualExchange) -> None:
    levels = asks()
    assert [level.price for level in levels] == [
        Decimal("100.10") + step * INSTRUMENT.tick for step in range(5)
    ]
    assert all(level.quantity >= INSTRUMENT.lot for level in levels)


def test_remainder_of_a_market_order_rests_at_its_protection_price(exchange: ManualExchange) -> None:
    displayed = sum(level.quantity for level in asks())
    order = exchange.place(terms_of(quantity=90_000))
    assert order.status is Status.PARTIALLY_FILLED
    assert order.filled_quantity == displayed
    assert order.limit == Decimal("102.00")  # 2 % above the last price of 100


def test_protection_price_of_the_sender_takes_precedence(exchange: ManualExchange) -> None:
    order = exchange.place(replace(terms_of(quantity=90_000), protection_price=Decimal("100.13")))
    assert order.limit == Decimal("100.10")
    assert order.filled_quantity == 1000


def test_limit_order_takes_only_levels_within_its_limit(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=5000, limit_price="100.10"))
    assert exchange.trades(order) == [(1000, "100.10")]
    assert order.status is Status.PARTIALLY_FILLED


def test_two_orders_cannot_take_the_same_displayed_quantity(exchange: ManualExchange) -> None:
    first = exchange.place(terms_of(quantity=800, limit_price="100.10"))
    second = exchange.place(terms_of(quantity=800, limit_price="100.10"))
    assert (int(first.filled_quantity), int(second.filled_quantity)) == (800, 200)


def test_taken_quantity_reappears_as_the_market_trades(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=5000, limit_price="100.10"))
    exchange.quote(volume="50000")
    assert exchange.order(order).filled_quantity == 1000
    exchange.quote(volume="50300")
    assert exchange.order(order).filled_quantity == 1300


def test_remainder_of_an_ioc_order_is_cancelled(exchange: ManualExchange) -> None:
    order = exchange.place(ioc(terms_of(quantity=5000, limit_price="100.10")))
    assert order.status is Status.CANCELLED
    assert order.filled_quantity == 1000


def test_ioc_order_that_fills_completely_is_filled(exchange: ManualExchange) -> None:
    assert exchange.place(ioc(terms_of(quantity=5))).status is Status.FILLED


def test_limit_order_away_from_the_market_is_unchanged(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=100, limit_price="99.00"))
    resting = exchange.market.book(SHARE).orders
    exchange.quote(volume="60000")
    assert exchange.order(order).status is Status.OPEN
    assert exchange.market.book(SHARE).orders is resting  # not copied by a tick that does not reach it


def test_resting_order_waits_for_the_queue_ahead(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=100, limit_price="99.90"))
    assert order.queue_ahead == 1000
    exchange.quote(last="99.90", volume="50900")
    assert exchange.order(order).filled_quantity == 0
    exchange.quote(last="99.90", volume="51100")
    # 100 traded after the queue, but only a quarter of the traded 200 is available.
    assert exchange.order(order).filled_quantity == 50


def test_price_without_displayed_quantity_has_no_queue(exchange: ManualExchange) -> None:
    assert exchange.place(terms_of(limit_price="99.95")).queue_ahead == 0


def test_price_below_the_display_queues_behind_the_last_level(exchange: ManualExchange) -> None:
    bids = depth.displayed(7, INSTRUMENT, quote_of(), Side.BUY)
    assert exchange.place(terms_of(limit_price="95")).queue_ahead == bids[-1].quantity


def test_trade_through_the_price_fills_up_to_the_share_of_the_volume(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=5000, limit_price="99.90"))
    exchange.quote(last="99.85", ask="99.95", bid="99.80", volume="54000")
    assert exchange.trades(order) == [(1000, "99.90")]  # a quarter of 4,000


def test_share_of_the_volume_goes_by_price_then_time(exchange: ManualExchange) -> None:
    late_but_better = terms_of(quantity=600, limit_price="99.85")
    first = exchange.place(terms_of(quantity=600, limit_price="99.80"))
    second = exchange.place(terms_of(quantity=600, limit_price="99.80"))
    better = exchange.place(late_but_better)
    exchange.quote(last="99.70", ask="99.95", bid="99.60", volume="54000")
    filled = [int(exchange.order(order).filled_quantity) for order in (better, first, second)]
    assert filled == [600, 400, 0]


def test_resting_order_that_the_ask_reaches_fills_at_its_own_price(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=700, limit_price="99"))
    exchange.quote(last="98", bid="97.95", ask="98.05", volume="50001")
    assert exchange.trades(order) == [(700, "99")]


def test_futures_fill_in_whole_lots_only() -> None:
    exchange = ManualExchange()
    exchange.quote(FUTURE, bid_quantity="1500", ask_quantity="1500")
    order = exchange.place(replace(terms_of(quantity=20_000, limit_price="99.90"), symbol=FUTURE))
    exchange.quote(FUTURE, last="99.80", ask="99.95", volume="53999")  # a quarter is less than 1,000
    assert exchange.order(order).filled_quantity == 500


def test_zero_participation_means_no_passive_fill() -> None:
    exchange = ManualExchange(rules_of(participation=Decimal(0)))
    exchange.quote()
    order = exchange.place(terms_of(limit_price="99.90"))
    exchange.quote(last="99.80", ask="99.95", volume="90000")
    assert exchange.order(order).status is Status.OPEN


def test_volume_of_a_new_day_counts_from_zero(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(quantity=5000, limit_price="99.90"))
    exchange.quote(last="99.80", ask="99.95", volume="4000")
    assert exchange.order(order).filled_quantity == 1000


def test_buy_order_at_the_upper_circuit_limit_rests() -> None:
    exchange = ManualExchange()
    exchange.quote(last="120", bid="120", ask="120", ask_quantity="0")
    order = exchange.place(terms_of())
    assert (order.status, order.limit) == (Status.OPEN, Decimal(120))


def test_stale_quote_fills_nothing_until_the_next_tick(exchange: ManualExchange) -> None:
    exchange.wait(seconds=61)
    order = exchange.place(terms_of(quantity=300))
    assert (order.status, int(order.filled_quantity)) == (Status.OPEN, 0)
    exchange.quote(volume="50000", ask="100.15")
    assert exchange.trades(order) == [(300, "100.15")]


def test_quote_with_last_price_outside_the_range_fills_nothing() -> None:
    exchange = ManualExchange()
    exchange.quote(last="100", low="101", high="119")
    assert exchange.place(terms_of()).filled_quantity == 0


def test_tick_of_another_symbol_fills_nothing(exchange: ManualExchange) -> None:
    order = exchange.place(terms_of(limit_price="99.90"))
    exchange.quote(FUTURE, last="90", volume="90000")
    assert exchange.order(order).status is Status.OPEN
