"""Flattening and square-off on a day of the exchange's calendar, and the delays of denied exits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from algosat.config.settings import Settings
from algosat.domain import market_phases
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import EventKind, Order, OrderType, PendingRequest, Product, Side, Status
from algosat.domain.risk import ExposureLine
from algosat.engine.auto_close import DeniedExits
from algosat.store import queries
from algosat.trading import halts
from algosat.trading.desk import Desk
from tests.app.builders import NOW
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
    terms_of,
)
from tests.app.engine.rig import EngineRig
from tests.app.fakes import FakeClock

LAST_DAY, NEW_YEAR = datetime(2026, 12, 31, 5, 30, tzinfo=UTC), datetime(2027, 1, 2, 6, 0, tzinfo=UTC)


def at(hour: int, minute: int, day: int = 20) -> datetime:
    """Return a time of November 2026 in UTC. Shares trade until 10:00, futures until 10:10."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


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


def test_duties_past_the_calendars_end_place_nothing(rig: EngineRig) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    rig.do_duties(datetime(2027, 6, 1, 9, 50, tzinfo=UTC))
    assert rig.working() == []


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
    for minute in range(1, 5):
        rig.do_duties(at(14, minute))
    with rig.desk.database.read() as connection:
        after = queries.orders_page(connection, limit=100).rows
    assert len(after) == len(before) + 1


LINE = ExposureLine(
    "trend", SHARE, Product.DELIVERY, InstrumentKind.EQUITY, Decimal(100), Decimal(100), Decimal(10)
)


def exit_with(status: Status) -> Order:
    return Order("a", terms_of(side=Side.SELL, strategy="trend", reduce_only=True), NOW, NOW, status)


def delay_of(denied: DeniedExits) -> int:
    """Return after how many seconds an exit may be placed again."""
    return next(seconds for seconds in range(100) if denied.may_try(LINE, NOW + timedelta(seconds=seconds)))


def test_each_denial_lengthens_the_delay_up_to_a_minute() -> None:
    denied, delays = DeniedExits(), []
    for _ in range(6):
        denied.record([exit_with(Status.DENIED)], NOW)
        delays.append(delay_of(denied))
    assert delays == [5, 10, 20, 40, 60, 60]


def test_exit_that_passes_ends_the_delay() -> None:
    denied = DeniedExits()
    denied.record([exit_with(Status.DENIED)], NOW)
    denied.record([exit_with(Status.CREATED)], NOW)
    assert delay_of(denied) == 0


def test_other_lines_are_not_delayed_and_setting_the_clock_back_ends_a_delay() -> None:
    denied = DeniedExits()
    denied.record([exit_with(Status.DENIED)], NOW)
    other = ExposureLine(
        "", SHARE, Product.DELIVERY, InstrumentKind.EQUITY, Decimal(100), Decimal(100), Decimal(10)
    )
    assert denied.may_try(other, NOW)
    assert denied.may_try(LINE, NOW - timedelta(hours=1))
