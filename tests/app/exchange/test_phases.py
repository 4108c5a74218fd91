from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from algosat.domain.calendar import EXCHANGE_TIME, AlwaysOpen, ExchangeCalendar
from algosat.domain.market_phases import packaged
from algosat.domain.orders import Side, Status, Validity
from tests.app.exchange.manual_exchange import SHARE, UNIVERSE, ManualExchange, ioc, rules_of, terms_of

WITH_DERIVATIVES = "NOVA-EQ"  # has a future, and so a closing auction
RULES = rules_of(calendar=ExchangeCalendar(packaged()), stale_after=timedelta(days=1))


def at(clock: str, day: str = "2026-11-20") -> datetime:
    return datetime.combine(date.fromisoformat(day), time.fromisoformat(clock), EXCHANGE_TIME).astimezone(UTC)


def opened_at(clock: str, symbol: str = WITH_DERIVATIVES) -> ManualExchange:
    exchange = ManualExchange(RULES, at=at(clock))
    exchange.quote(symbol)
    return exchange


def share(side: Side = Side.BUY, quantity: int = 100, **differences: object):  # type: ignore[no-untyped-def]
    return terms_of(side, quantity, symbol=WITH_DERIVATIVES, **differences)


def test_shares_with_derivatives_are_known() -> None:
    assert {symbol for symbol, each in UNIVERSE.items() if each.instrument.has_derivatives} == {
        "NOVA-EQ",
        "GRANITE-EQ",
    }


@pytest.mark.parametrize("clock", ["08:00", "09:11", "09:13", "15:16", "15:31", "15:40", "16:00"])
def test_closed_phase_refuses_orders(clock: str) -> None:
    assert opened_at(clock).refusal(share(limit_price="99")).code == "session_closed"


@pytest.mark.parametrize("clock", ["09:01", "15:21"])
def test_auction_refuses_stop_and_ioc_orders(clock: str) -> None:
    exchange = opened_at(clock)
    assert exchange.refusal(share(trigger_price="105")).code == "session_closed"
    assert exchange.refusal(ioc(share(limit_price="100"))).code == "session_closed"


def test_second_half_of_an_auction_accepts_limit_orders_only() -> None:
    exchange = opened_at("15:26")
    assert exchange.refusal(share()).code == "session_closed"
    assert exchange.place(share(limit_price="100")).status is Status.OPEN


def test_random_close_of_order_entry_follows_the_seed() -> None:
    closes = []
    for seed in range(30):
        exchange = ManualExchange(rules_of(calendar=RULES.calendar, seed=seed), at=at("15:28"))
        exchange.quote(WITH_DERIVATIVES)
        closed = None
        for second in range(121):
            exchange.at = at("15:28") + timedelta(seconds=second)
            if exchange.rules.entry_is_over(UNIVERSE[WITH_DERIVATIVES], exchange.at):
                closed = second
                break
        closes.append(closed)
    assert all(closed is not None for closed in closes)
    assert len(set(closes)) > 10


def test_pre_open_session_matches_at_one_price_and_keeps_the_rest() -> None:
    exchange = opened_at("09:01")
    market, limit = (
        exchange.place(share(quantity=200)),
        exchange.place(share(quantity=300, limit_price="103")),
    )
    away = exchange.place(share(quantity=50, limit_price="90"))
    exchange.at = at("09:10")
    exchange.quote(WITH_DERIVATIVES, last="102", bid="101.90", ask="102.10", volume="1")
    exchange.wait()
    exchange.until(at("09:15"))
    assert exchange.trades(market) == [(200, "102")]
    assert exchange.trades(limit) == [(300, "102")]
    assert exchange.order(away).status is Status.OPEN


def test_rest_of_the_pre_open_session_trades_at_the_prices_of_continuous_trading() -> None:
    exchange = opened_at("09:01")
    order = exchange.place(share(quantity=90_000, limit_price="105"))
    exchange.until(at("09:10"))
    matched = exchange.trades(order)
    exchange.at = at("09:15")
    exchange.quote(WITH_DERIVATIVES, last="100.50", bid="100.40", ask="100.60", volume="500000")
    later = exchange.trades(order)[len(matched) :]
    assert {price for _, price in matched} == {"100"}
    assert later[0] == (1000, "100.60")


def test_remainder_of_a_market_order_gets_the_auction_price_as_limit() -> None:
    exchange = opened_at("09:01")
    order = exchange.place(share(quantity=90_000))
    exchange.until(at("09:10"))
    exchange.until(at("09:15"))
    remainder = exchange.order(order)
    assert (remainder.status, remainder.limit) == (Status.PARTIALLY_FILLED, Decimal(100))


def test_unmatched_market_order_of_an_auction_gets_a_new_version() -> None:
    exchange = opened_at("09:01")
    order = exchange.place(share())
    exchange.quote(WITH_DERIVATIVES, ask_quantity="0")
    exchange.until(at("09:10"))
    remainder = exchange.order(order)
    assert (remainder.filled_quantity, remainder.limit) == (Decimal(0), Decimal(100))
    assert remainder.version > order.version


def test_nothing_trades_during_order_entry_of_an_auction() -> None:
    exchange = opened_at("15:21")
    order = exchange.place(share())
    exchange.quote(WITH_DERIVATIVES, last="90", bid="89", ask="91", volume="90000")
    assert exchange.order(order).filled_quantity == 0


def test_closing_auction_keeps_limit_orders_within_its_band_only() -> None:
    exchange = opened_at("15:10")
    near = exchange.place(share(limit_price="99"))
    far, stop = exchange.place(share(limit_price="96")), exchange.place(share(trigger_price="110"))
    exchange.until(at("15:15"))
    assert exchange.order(near).status is Status.OPEN
    assert exchange.order(far).status is Status.CANCELLED
    assert exchange.order(stop).status is Status.CANCELLED


def test_price_outside_the_auction_band_is_refused() -> None:
    exchange = opened_at("15:10")
    exchange.until(at("15:15"))
    exchange.until(at("15:21"))
    assert exchange.refusal(share(limit_price="96.90")).code == "outside_auction_band"
    assert exchange.place(share(limit_price="97")).status is Status.OPEN


def test_closing_auction_matches_at_one_price_and_cancels_the_rest() -> None:
    exchange = opened_at("15:21")
    buy, sell = exchange.place(share(limit_price="101")), exchange.place(share(Side.SELL, limit_price="101"))
    exchange.until(at("15:30"))
    assert exchange.trades(buy) == [(100, "100")]
    exchange.until(at("15:35"))
    assert exchange.order(sell).status is Status.CANCELLED


def test_share_without_derivatives_has_no_closing_auction() -> None:
    exchange = opened_at("15:21", SHARE)
    assert exchange.place(terms_of()).status is Status.FILLED


def test_post_close_market_orders_trade_at_the_closing_price() -> None:
    exchange = opened_at("15:51")
    assert exchange.trades(exchange.place(share(quantity=10))) == [(10, "100")]
    assert exchange.trades(exchange.place(share(Side.SELL, quantity=10))) == [(10, "100")]


def test_day_orders_expire_at_the_close() -> None:
    exchange = opened_at("15:00", SHARE)
    order = exchange.place(terms_of(limit_price="90"))
    exchange.until(at("15:29"))
    assert exchange.order(order).status is Status.OPEN
    exchange.until(at("15:30"))
    assert (exchange.order(order).status, exchange.order(order).reason) == (Status.EXPIRED, "the day is over")


def test_orders_of_an_earlier_day_expire_before_anything_trades() -> None:
    exchange = opened_at("15:00", SHARE)
    order = exchange.place(terms_of(limit_price="99"))
    exchange.at = at("10:00", "2026-11-23")
    exchange.quote(SHARE, last="98", bid="97.95", ask="98.05", volume="90000")
    assert exchange.order(order).status is Status.EXPIRED
    assert exchange.order(order).filled_quantity == 0


def test_day_orders_expire_at_midnight_in_a_market_that_never_closes() -> None:
    exchange = ManualExchange(rules_of(calendar=AlwaysOpen()), at=at("23:59"))
    exchange.quote()
    order = exchange.place(terms_of(limit_price="90"))
    exchange.until(at("00:00", "2026-11-21"))
    assert exchange.order(order).status is Status.EXPIRED


def test_gtc_orders_rest_over_nights_and_auctions_until_they_trade() -> None:
    exchange = opened_at("15:10")
    orders = [
        exchange.place(share(limit_price="96", validity=Validity.GTC)),  # outside the auction's band
        exchange.place(share(trigger_price="105", validity=Validity.GTC)),
    ]
    for moment in ("15:15", "15:21", "15:30", "15:35", "15:59", "18:00"):
        exchange.until(at(moment))
        assert [exchange.order(order).filled_quantity for order in orders] == [0, 0]
    exchange.until(at("10:00", "2026-11-23"))
    assert all(exchange.order(order).is_live for order in orders)
    exchange.quote(WITH_DERIVATIVES, last="95", bid="94.90", ask="95.10", volume="50000")
    exchange.quote(WITH_DERIVATIVES, last="106", bid="105.90", ask="106.10", volume="90000")
    assert [exchange.order(order).status for order in orders] == [Status.FILLED, Status.FILLED]


def test_gtc_order_outlasts_midnight_in_a_market_that_never_closes() -> None:
    exchange = ManualExchange(rules_of(calendar=AlwaysOpen()), at=at("23:59"))
    exchange.quote()
    order = exchange.place(terms_of(limit_price="90", validity=Validity.GTC))
    exchange.until(at("00:00", "2026-11-22"))
    assert exchange.order(order).status is Status.OPEN
    exchange.cancel(order)
    assert exchange.order(order).status is Status.CANCELLED


def test_exchange_is_closed_after_the_end_of_its_calendar() -> None:
    exchange = ManualExchange(RULES, at=at("10:00", "2027-01-04"))
    exchange.quote()
    assert exchange.refusal(terms_of()).code == "session_closed"
