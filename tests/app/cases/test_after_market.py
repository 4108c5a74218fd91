"""After-market orders: placed while the market is closed, kept here, and sent when it opens."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from algosat.domain.instruments import Quote
from algosat.domain.orders import (
    ModifyRequest,
    Order,
    OrderTerms,
    OrderType,
    Product,
    Side,
    Status,
    TradingSession,
    Validity,
)
from algosat.store.verify.verify import verify
from algosat.trading import activity, calendar_changes, cancel, halts, live_calendar, modify, place
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist
from tests.app.desks import CAUSE, order_now

MONDAY = ist(2026, 11, 23, 18, 0)  # after the day's last phase; Tuesday is a holiday
PRE_OPEN, OPENING = ist(2026, 11, 25, 9, 0), ist(2026, 11, 25, 9, 15)
AFTER_MARKET = TradingSession.AFTER_MARKET


FUTURES = {"max_order_value": 1_000_000}  # one lot is worth more than the default for shares


def after_market(world: World, symbol: str = "ALPHA-EQ", quantity: int = 5, **options: Any) -> Order:
    options = {"session": AFTER_MARKET, "type": OrderType.MARKET, "side": Side.BUY, **options}
    terms = OrderTerms(world.desk.account, symbol, quantity=Decimal(quantity), **options)
    return place.place_order(world.desk, terms, CAUSE).order


def at_limit(world: World, percent: int, **options: Any) -> Order:
    """Place an after-market limit order this far from the last price."""
    last = world.quote("ALPHA-EQ").last
    price = (last * (100 + percent) / 100).quantize(Decimal(1))
    return after_market(world, type=OrderType.LIMIT, limit_price=price, **options)


def now(world: World, order: Order) -> Order:
    return order_now(world.desk, order)


def findings(world: World) -> list[str]:
    with world.desk.database.read() as connection:
        return verify(connection).findings


@pytest.mark.parametrize(
    ("symbol", "options", "send_at"),
    [
        ("ALPHA-EQ", {}, PRE_OPEN),
        ("NOVA-EQ", {"product": Product.INTRADAY}, PRE_OPEN),
        ("ALPHA-EQ", {"validity": Validity.IOC}, OPENING),
        ("NOVA-FUT", {"product": Product.CARRY, "quantity": 500}, OPENING),  # no pre-open session
    ],
    ids=["share", "intraday", "immediate or cancel", "future"],
)
def test_after_market_order_is_kept_until_its_market_opens_and_is_sent_once(
    world_at: WorldAt, symbol: str, options: dict[str, Any], send_at: datetime
) -> None:
    world = world_at(MONDAY, **FUTURES)
    order = after_market(world, symbol, **options)
    assert (order.status, order.terms.send_at) == (Status.CREATED, send_at), order.reason
    world.jump(ist(2026, 11, 25, 8, 59))
    assert now(world, order).status is Status.CREATED
    world.run_until(ist(2026, 11, 25, 9, 16), step=30)
    assert now(world, order).status is Status.FILLED, now(world, order).reason
    assert [report.tag for report in world.broker.reports()] == [order.id]
    assert findings(world) == []


def test_stop_is_sent_when_continuous_trading_begins(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    trigger = (world.quote("ALPHA-EQ").last * Decimal("1.01")).quantize(Decimal(1))
    order = after_market(world, type=OrderType.STOP, trigger_price=trigger)
    world.jump(ist(2026, 11, 25, 9, 14))
    assert (order.terms.send_at, now(world, order).status) == (OPENING, Status.CREATED)
    world.run_until(ist(2026, 11, 25, 9, 15, 5), step=1)
    assert now(world, order).status is Status.TRIGGER_PENDING


def test_regular_order_is_told_when_the_market_opens_and_how_to_wait(world_at: WorldAt) -> None:
    order = world_at(MONDAY).place("ALPHA-EQ", Side.BUY, 5)
    assert (order.status, order.code) == (Status.DENIED, "market_closed")
    assert "before 25 Nov 09:00 IST" in (order.reason or "")
    assert "after_market" in (order.reason or "")


@pytest.mark.parametrize(
    "at",
    [ist(2026, 11, 25, 9, 1), ist(2026, 11, 25, 11, 0)],
    ids=["pre-open", "continuous"],
)
def test_after_market_order_is_denied_while_the_market_takes_orders(world_at: WorldAt, at: datetime) -> None:
    order = after_market(world_at(at))
    assert (order.status, order.code) == (Status.DENIED, "market_open")


def test_after_market_order_counts_as_working_exposure(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    orders = [after_market(world, quantity=quantity) for quantity in (2000, 1900, 1800)]
    assert [order.code for order in orders] == [None, None, "position_value"]
    assert [order.id for order in world.working()] == [order.id for order in orders[:2]]


def test_order_is_judged_again_when_it_is_sent(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    order = at_limit(world, -4)
    quote = world.quote("ALPHA-EQ")
    world.jump(ist(2026, 11, 25, 8, 59, 58))
    gapped = quote.last * Decimal("1.10")
    world.clock.forward(seconds=2)
    world.receive(_moved(world, gapped))
    world.send()
    ended = now(world, order)
    assert (ended.status, ended.code) == (Status.REJECTED, "outside_price_band"), ended.reason
    assert world.broker.reports() == []
    assert findings(world) == []


def test_protection_price_is_set_anew_when_the_order_is_sent(world_at: WorldAt) -> None:
    world = world_at(MONDAY, **FUTURES)
    order = after_market(world, "NOVA-FUT", 500, product=Product.CARRY)
    world.jump(ist(2026, 11, 25, 9, 14, 58))
    world.clock.forward(seconds=3)
    world.receive(_moved(world, world.quote("NOVA-FUT").last + 10, "NOVA-FUT"))
    world.send()
    sent = now(world, order)
    assert sent.terms.protection_price is not None
    assert order.terms.protection_price is not None
    assert sent.terms.protection_price > order.terms.protection_price
    assert findings(world) == []


def test_waiting_order_is_changed_and_cancelled_here(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    order = at_limit(world, -1)
    price = (order.terms.limit_price or Decimal(0)) - 1
    changed = modify.modify_order(world.desk, order.id, ModifyRequest(Decimal(7), price), CAUSE)
    assert (changed.status, changed.pending) == (Status.CREATED, None)
    assert (changed.terms.quantity, changed.terms.limit_price) == (Decimal(7), price)
    assert changed.terms.send_at == PRE_OPEN
    assert cancel.cancel_order(world.desk, order.id, CAUSE).status is Status.CANCELLED
    world.jump(ist(2026, 11, 25, 9, 0, 1))
    assert world.broker.reports() == []
    assert findings(world) == []


def test_waiting_stop_stays_a_stop_when_it_is_changed_while_another_phase_takes_orders(
    world_at: WorldAt,
) -> None:
    world = world_at(MONDAY)
    trigger = (world.quote("ALPHA-EQ").last * Decimal("1.01")).quantize(Decimal(1))
    order = after_market(world, type=OrderType.STOP, trigger_price=trigger)
    world.jump(ist(2026, 11, 25, 9, 1))
    changed = modify.modify_order(world.desk, order.id, ModifyRequest(trigger_price=trigger - 1), CAUSE)
    assert (changed.terms.trigger_price, changed.terms.send_at) == (trigger - 1, OPENING)


def test_sent_order_is_changed_at_the_broker(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    order = at_limit(world, -2)
    world.jump(ist(2026, 11, 25, 9, 0, 1))
    assert now(world, order).status is Status.OPEN, now(world, order).reason
    modify.modify_order(world.desk, order.id, ModifyRequest(quantity=Decimal(9)), CAUSE)
    world.send()
    assert (now(world, order).terms.quantity, now(world, order).pending) == (Decimal(9), None)


def test_next_engine_sends_what_the_one_before_kept(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    order = after_market(world)
    world.clock.at = ist(2026, 11, 25, 9, 3)  # the engine was away when the market opened
    world.components.reconciler.mark_interrupted()
    world.tick()
    assert now(world, order).status is Status.OPEN, now(world, order).reason


def test_engine_that_was_away_during_the_opening_rejects_the_order(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    order = after_market(world)
    world.jump(ist(2026, 11, 25, 9, 21))
    ended = now(world, order)
    assert (ended.status, ended.code) == (Status.REJECTED, "send_deadline")
    assert "within 1200 s" in (ended.reason or "")


def test_order_whose_market_stays_closed_is_rejected_with_that_reason(
    world_at: WorldAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_calendar, "_REFRESH_INTERVAL", 0.0)
    world = world_at(MONDAY)
    order = after_market(world)
    calendar_changes.set_day(world.desk, date(2026, 11, 25), "Day of mourning", CAUSE)
    world.jump(PRE_OPEN)
    assert now(world, order).status is Status.CREATED
    world.jump(ist(2026, 11, 25, 9, 19, 59))
    ended = now(world, order)
    assert (ended.status, ended.code) == (Status.REJECTED, "market_closed")
    assert "26 Nov 09:00" in (ended.reason or "")


def test_order_does_not_count_against_the_days_limit_twice(world_at: WorldAt) -> None:
    world = world_at(MONDAY, max_orders_per_day=1)
    order = after_market(world)
    world.jump(PRE_OPEN)
    assert now(world, order).status is Status.OPEN, now(world, order).reason


def test_halt_rejects_the_order_at_the_opening(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    order = after_market(world)
    halts.halt_trading(world.desk, CAUSE, "the test halts", cancel_orders=False)
    world.jump(PRE_OPEN)
    assert now(world, order).code == "halted_before_sending"


def test_day_of_the_order_is_the_day_on_which_it_is_sent(world_at: WorldAt) -> None:
    """Expiry counted from Monday evening would end the order in the middle of its own day."""
    world = world_at(MONDAY)
    order = at_limit(world, -4)
    world.run_until(ist(2026, 11, 25, 9, 0, 10), step=3600 * 6)
    world.jump(ist(2026, 11, 25, 13, 0))
    assert now(world, order).status is Status.OPEN
    world.jump(ist(2026, 11, 25, 16, 31))
    assert now(world, order).status is Status.EXPIRED


def test_waiting_order_does_not_delay_a_restart(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    after_market(world)
    assert list(activity.requests_under_way(world.working(), world.clock())) == []


def test_engine_wakes_up_when_the_market_opens(world_at: WorldAt) -> None:
    world = world_at(MONDAY)
    assert world.components.send_due() is None
    after_market(world)
    assert world.components.send_due() == (PRE_OPEN - world.clock()).total_seconds()


def _moved(world: World, price: Decimal, symbol: str = "ALPHA-EQ") -> Quote:
    return replace(world.quote(symbol), last=price, at=world.clock(), high=price, upper_circuit=price * 2)


def test_position_with_an_after_market_exit_is_closed_once(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10))
    world.hold("ALPHA-EQ", 10)
    world.jump(ist(2026, 11, 23, 15, 29, 50)).jump(MONDAY)
    exit_order = after_market(world, side=Side.SELL, quantity=10)
    assert exit_order.status is Status.CREATED, exit_order.reason
    world.halt_and_flatten()
    world.run(3)
    world.jump(ist(2026, 11, 25, 9, 0)).run_until(ist(2026, 11, 25, 9, 16), step=30)
    assert world.held() == {}
    sold = [report.filled_quantity for report in world.broker.reports() if report.terms.side is Side.SELL]
    assert sum(sold) == 10


def test_shares_that_an_after_market_order_sells_cannot_be_sold_twice(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 23, 15, 10), duplicate_window_seconds=0)
    world.hold("ALPHA-EQ", 10)
    world.jump(ist(2026, 11, 23, 15, 29, 50)).jump(ist(2026, 11, 23, 15, 51))
    exit_order = after_market(world, side=Side.SELL, quantity=10)
    assert exit_order.status is Status.CREATED, exit_order.reason
    second = world.place("ALPHA-EQ", Side.SELL, 10)
    assert (second.status, second.code) == (Status.DENIED, "no_holdings")
    cancel.cancel_order(world.desk, exit_order.id, CAUSE)
    assert world.place("ALPHA-EQ", Side.SELL, 10).status is Status.FILLED


@pytest.fixture
def future_exit(world_at: WorldAt) -> tuple[World, Order]:
    """Hold a future overnight, with an after-market exit that is due now. The feed is silent since."""
    world = world_at(ist(2026, 11, 23, 15, 10), **FUTURES)
    world.hold("NOVA-FUT", 500, product=Product.CARRY)
    world.jump(ist(2026, 11, 23, 15, 39, 50)).jump(MONDAY)
    order = after_market(world, "NOVA-FUT", 500, side=Side.SELL, product=Product.CARRY, reduce_only=True)
    assert order.status is Status.CREATED, order.reason
    world.clock.at = OPENING
    world.tick(feed=False)
    assert now(world, order).status is Status.CREATED
    return world, order


def test_market_exit_waits_at_the_opening_for_the_first_price(future_exit: tuple[World, Order]) -> None:
    world, order = future_exit
    world.tick()
    assert now(world, order).status is Status.FILLED
    assert "exit.old_price" not in {alert.kind for alert in world.alerts()}


def test_market_exit_is_sent_at_the_opening_without_a_price(future_exit: tuple[World, Order]) -> None:
    world, order = future_exit
    world.run(2, feed=False)
    assert now(world, order).status in (Status.FILLED, Status.OPEN)
    assert "exit.old_price" in {alert.kind for alert in world.alerts()}
