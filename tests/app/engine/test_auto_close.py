"""Flattening and square-off on a day of the exchange's calendar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from algosat.config.settings import Settings
from algosat.domain import market_phases
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.closing import CloseReason, CloseState
from algosat.domain.orders import EventKind, OrderType, PendingRequest, Product, Side, Status
from algosat.store import queries
from algosat.trading import alerts, close, close_records, halts
from algosat.trading.close import CloseTerms
from algosat.trading.close_records import Close
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import (
    CAUSE,
    FUTURE,
    SHARE,
    accepted,
    advance,
    buy,
    hold,
    open_desk,
    order_now,
    sell,
    set_prices,
)
from tests.app.engine.rig import EngineRig, build_rig
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

LAST_DAY, NEW_YEAR = datetime(2026, 12, 31, 5, 30, tzinfo=UTC), datetime(2027, 1, 2, 6, 0, tzinfo=UTC)


def at(hour: int, minute: int, day: int = 20) -> datetime:
    """Return a time of November 2026 in UTC. Shares trade until 10:00, futures until 10:10."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def closes(rig: EngineRig) -> list[Close]:
    """Return the closes under way."""
    with rig.desk.database.read() as connection:
        return close_records.unfinished(connection, rig.desk.account)


def missed(rig: EngineRig) -> list[str]:
    """Return the subjects of the alerts about a missed square-off."""
    with rig.desk.database.read() as connection:
        return sorted(alerts.open_subjects(connection, rig.desk, AlertKind.CLOSE_SQUARE_OFF_MISSED))


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock, stale_quote_seconds=60.0) as desk:
        yield replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))


def test_intraday_positions_are_closed_at_the_square_off(rig: EngineRig) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    hold(rig.desk, "7")
    rig.do_duties(at(9, 44))
    assert rig.working() == []
    rig.do_duties(at(9, 45))
    (exit_order,) = rig.working()
    assert (exit_order.terms.side, exit_order.terms.quantity) == (Side.SELL, Decimal(30))
    assert (exit_order.terms.reduce_only, exit_order.terms.type) == (True, OrderType.MARKET)


def test_each_segment_is_squared_off_before_its_own_close(rig: EngineRig) -> None:
    hold(rig.desk, "50", symbol=FUTURE, product=Product.INTRADAY)
    rig.do_duties(at(9, 50))
    assert rig.working() == []
    rig.do_duties(at(9, 55))
    assert [order.terms.symbol for order in rig.working()] == [FUTURE]


def test_intraday_entries_are_cancelled_and_denied_from_the_square_off_on(rig: EngineRig) -> None:
    entry = accepted(rig.desk, buy(rig.desk, product=Product.INTRADAY))
    rig.do_duties(at(9, 45))
    assert order_now(rig.desk, entry).pending is PendingRequest.PENDING_CANCEL
    assert buy(rig.desk, product=Product.INTRADAY).code == "after_square_off"
    assert buy(rig.desk).status is Status.CREATED


def test_exit_that_is_not_filled_is_cancelled_after_30_seconds(rig: EngineRig, clock: FakeClock) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    rig.do_duties(at(9, 45))
    (first,) = rig.working()
    accepted(rig.desk, first)
    clock.forward(seconds=20)
    rig.do_duties(clock())
    assert order_now(rig.desk, first).pending is None
    clock.forward(seconds=20)
    rig.do_duties(clock())
    assert order_now(rig.desk, first).pending is PendingRequest.PENDING_CANCEL


def test_nothing_is_squared_off_on_a_day_without_trading(rig: EngineRig) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    rig.do_duties(at(9, 50, day=21))
    assert rig.working() == []


def test_intraday_position_is_closed_past_the_calendars_end(rig: EngineRig) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    rig.do_duties(datetime(2027, 6, 1, 9, 50, tzinfo=UTC))
    (exit_order,) = rig.working()
    assert exit_order.terms.quantity == 30
    assert missed(rig) == [f"{SHARE}/intraday"]


def test_flattening_halt_cancels_orders_past_the_calendars_end(rig: EngineRig, clock: FakeClock) -> None:
    clock.at = LAST_DAY
    set_prices(rig.desk)
    hold(rig.desk, "30")
    entry = accepted(rig.desk, buy(rig.desk))
    halts.halt_trading(rig.desk, CAUSE, "over", cancel_orders=False, flatten=True)
    rig.do_duties(NEW_YEAR)
    assert order_now(rig.desk, entry).pending is PendingRequest.PENDING_CANCEL


def test_flattening_is_repeated_until_no_position_is_left(rig: EngineRig, clock: FakeClock) -> None:
    hold(rig.desk, "30")
    exit_order = accepted(rig.desk, sell(rig.desk, "30", limit="104"))
    clock.forward(seconds=1)
    halts.halt_trading(rig.desk, CAUSE, "stop", cancel_orders=False, flatten=True)
    rig.do_duties(clock())
    assert order_now(rig.desk, exit_order).pending is PendingRequest.PENDING_CANCEL
    advance(rig.desk, exit_order, EventKind.CANCELLED)
    clock.forward(seconds=6)
    rig.do_duties(clock())
    (exit_order,) = rig.working()
    assert (exit_order.terms.quantity, exit_order.terms.reduce_only) == (Decimal(30), True)


def test_flattening_waits_until_the_market_accepts_orders(rig: EngineRig) -> None:
    hold(rig.desk, "30")
    rig.do_duties(at(14, 0))
    halts.halt_trading(rig.desk, CAUSE, "stop")
    with rig.desk.database.read() as connection:
        before = queries.orders_page(connection, limit=100).rows
    halts.halt_trading(rig.desk, CAUSE, "flat", flatten=True, cancel_orders=False)
    for minute in range(1, 4):
        rig.do_duties(at(14, minute))
    with rig.desk.database.read() as connection:
        after = queries.orders_page(connection, limit=100).rows
    assert len(after) == len(before)
    (close,) = closes(rig)
    assert (close.state, close.reason) == (CloseState.WAITING, CloseReason.HALT)
    assert "the next open, 2026-11-23 03:45 UTC" in close.lines[0].detail
    rig.do_duties(at(3, 46, day=23))
    assert [order.terms.quantity for order in rig.working()] == [30]


def test_position_kept_over_night_is_closed_at_the_next_open_with_an_alert(rig: EngineRig) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY, strategy="trend")
    hold(rig.desk, "7")
    rig.do_duties(at(3, 0, day=23))
    (close,) = closes(rig)
    assert (close.state, close.reason) == (CloseState.WAITING, CloseReason.SQUARE_OFF)
    assert missed(rig) == [f"{SHARE}/intraday/trend"]
    rig.do_duties(at(3, 46, day=23))
    (exit_order,) = rig.working()
    assert (exit_order.terms.strategy, exit_order.terms.quantity) == ("trend", Decimal(30))


def test_position_kept_beyond_the_close_of_its_day_is_missed_on_the_same_day(rig: EngineRig) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    rig.do_duties(at(10, 30))
    assert missed(rig) == [f"{SHARE}/intraday"]


def test_square_off_that_is_not_filled_in_time_is_alerted_and_goes_on(rig: EngineRig) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    rig.do_duties(at(9, 45))
    (exit_order,) = rig.working()
    rig.send(exit_order)
    rig.do_duties(at(10, 30))
    assert missed(rig) == [f"{SHARE}/intraday"]
    assert len(closes(rig)) == 1


def test_position_of_a_session_that_was_called_off_is_closed_on_the_next_day(
    rig: EngineRig, settings: Settings
) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    today = rig.desk.clock().date()
    called_off = market_phases.packaged().extended(holidays={today: "called off at noon"})
    desk = replace(rig.desk, calendar=ExchangeCalendar(called_off))
    rig = build_rig(desk, rig.exchange, settings.algosat.engine)
    rig.do_duties(at(9, 50))
    assert missed(rig) == []
    rig.do_duties(at(4, 0, day=23))
    assert missed(rig) == [f"{SHARE}/intraday"]
    assert [each.terms.quantity for each in rig.working()] == [Decimal(30)]


def test_position_traded_today_waits_for_the_square_off_of_today(rig: EngineRig) -> None:
    rig.do_duties(at(5, 0, day=23))
    hold(rig.desk, "30", product=Product.INTRADAY)
    rig.do_duties(at(5, 1, day=23))
    assert (closes(rig), missed(rig)) == ([], [])


def test_close_of_a_strategy_waits_for_the_open_as_in_a_back_test(rig: EngineRig) -> None:
    rig.do_duties(at(5, 0))
    hold(rig.desk, "30", strategy="trend")
    rig.do_duties(at(10, 15))  # market orders are taken at the closing price
    key = IdempotencyKey("strategy:trend", "k", "b")
    close.close_for_strategy(rig.desk, SHARE, CAUSE, strategy="trend", product=Product.DELIVERY, key=key)
    assert rig.working() == []
    rig.do_duties(at(3, 46, day=23))
    assert [order.terms.quantity for order in rig.working()] == [30]


def test_halt_over_a_close_at_a_limit_closes_at_the_market(rig: EngineRig) -> None:
    rig.do_duties(at(5, 0))
    hold(rig.desk, "30")
    terms = CloseTerms(type=OrderType.LIMIT, limit_price=Decimal(103))
    patient = close.close_position(rig.desk, SHARE, CAUSE, terms=terms).order
    rig.send(patient)
    halts.halt_trading(rig.desk, CAUSE, "stop", flatten=True)
    rig.send(patient)
    rig.do_duties(at(5, 0, day=20) + timedelta(seconds=6))
    (exit_order,) = rig.working()
    assert exit_order.terms.type is OrderType.MARKET


def test_confirmed_cancel_is_followed_by_the_exit_within_a_second(rig: EngineRig, clock: FakeClock) -> None:
    rig.do_duties(at(5, 0))
    hold(rig.desk, "30")
    stop = rig.send(sell(rig.desk, "30", limit="104", reduce_only=True))
    close.close_position(rig.desk, SHARE, CAUSE)
    rig.send(stop)
    rig.do_duties(clock() + timedelta(seconds=1))
    assert [order.terms.type for order in rig.working()] == [OrderType.MARKET]


def test_close_survives_a_restart_between_the_cancel_and_the_exit(
    rig: EngineRig, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    rig.do_duties(at(5, 0))
    hold(rig.desk, "30")
    stop = rig.send(sell(rig.desk, "30", limit="104", reduce_only=True))
    close.close_position(rig.desk, SHARE, CAUSE)
    rig.send(stop)
    rig = build_rig(rig.desk, exchange, settings.algosat.engine)
    rig.do_duties(clock() + timedelta(seconds=1))
    (exit_order,) = rig.working()
    rig.send(exit_order)
    rig.components.report_processor.process([exchange.fill(exit_order, "30")])
    rig = build_rig(rig.desk, exchange, settings.algosat.engine)
    rig.do_duties(clock() + timedelta(seconds=1))
    assert closes(rig) == []
    assert len(exchange.sent) == 2
