"""Currency pairs: fractions of a coin, fees in what a trade brings or in a third currency."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.brokers.paper import codec
from algosat.domain.orders import OrderTerms, Side, Status, Trade
from algosat.exchange import depth, listings
from algosat.exchange.order_book import BookOrder
from algosat.exchange.prices import random_walk
from tests.app.exchange.manual_exchange import NOW, ManualExchange, rules_of, terms_of

COINS = listings.packaged_coins()
RULES = rules_of(universe=COINS)


@pytest.fixture
def exchange() -> ManualExchange:
    exchange = ManualExchange(RULES)
    for symbol in COINS:
        exchange.quote(symbol)
    return exchange


def coins(quantity: str, symbol: str, side: Side = Side.BUY) -> OrderTerms:
    return replace(terms_of(side, quantity), symbol=symbol)


def only_trade(exchange: ManualExchange, terms: OrderTerms) -> Trade:
    order = exchange.place(terms)
    assert order.status is Status.FILLED
    (trade,) = order.trades
    return trade


@pytest.mark.parametrize(
    ("symbol", "side", "fee", "currency"),
    [
        ("BTC-USDT", Side.BUY, "0.00012345", "BTC"),
        ("BTC-USDT", Side.SELL, "0.01233266", "USDT"),  # 0.12345 at 99.90, a thousandth, rounded up
        ("SOL-USDT", Side.BUY, "0.00001593", "BNB"),  # of 0.123 at 100.10
        ("DOGE-USDT", Side.BUY, "1.2012", "USDT"),
    ],
)
def test_trade_states_its_fee_and_the_currency(
    exchange: ManualExchange, symbol: str, side: Side, fee: str, currency: str
) -> None:
    quantity = {"BTC-USDT": "0.12345", "SOL-USDT": "0.123", "DOGE-USDT": "12"}[symbol]
    trade = only_trade(exchange, coins(quantity, symbol, side))
    assert (trade.fee, trade.fee_currency) == (Decimal(fee), currency)


def test_shares_state_no_fee() -> None:
    exchange = ManualExchange(rules_of())
    exchange.quote()
    assert only_trade(exchange, terms_of(quantity=10)).fee is None


def test_fees_outlast_a_restart_of_the_exchange(exchange: ManualExchange) -> None:
    order = exchange.place(coins("0.5", "BTC-USDT"))
    row = codec.order_row(order)
    trades = tuple(codec.trade_from(each) for each in codec.trade_rows(order))  # type: ignore[arg-type]
    read: BookOrder = codec.order_from(row, trades)  # type: ignore[arg-type]
    assert read.trades == order.trades
    assert read.trades[0].fee == Decimal("0.0005")


@pytest.mark.parametrize("symbol", COINS)
def test_generated_market_trades_steps_of_the_pair_on_its_tick(symbol: str) -> None:
    paths, listing = random_walk.initial_paths(COINS), COINS[symbol]
    for _ in range(40):
        paths, quotes = random_walk.follow_day(RULES, paths, 60, NOW)
        quote = next(each for each in quotes if each.symbol == symbol)
        assert listing.instrument.takes_price(quote.last)
        levels = depth.displayed(7, listing.instrument, quote, Side.BUY)
        assert all(listing.instrument.takes_quantity(level.quantity) for level in levels)
        assert quote.volume % listing.instrument.lot == 0
    assert quote.volume > 0
