"""What time asks for: losses, square-off, flattening, expiry. On a day of the real calendar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from algosat.config.settings import Settings
from algosat.domain import market_phases
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.orders import EventKind, Order, OrderType, PendingRequest, Product, Side, Status
from algosat.domain.reason_codes import EngineCode
from algosat.domain.scope import ACCOUNT, Scope
from algosat.store import queries
from algosat.trading import cancel, halts, limits
from algosat.trading.desk import Desk
from tests.app.desks import (
    CAUSE,
    FUTURE,
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
from tests.app.fake_exchange import FakeExchange, elsewhere
from tests.app.fakes import FakeClock

# Friday 20 November 2026 in UTC: shares trade until 10:00, futures until 10:10.
MORNING = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)


def at(hour: int, minute: int, day: int = 20) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(MORNING)


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock, stale_quote_seconds=60.0) as desk:
        yield replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))


def working(desk: Desk) -> list[Order]:
    with desk.database.read() as connection:
        return queries.working(connection, desk.account)


def halted(desk: Desk) -> list[tuple[Scope, str]]:
    with desk.database.read() as connection:
        return [(each.scope, each.actor) for each in halts.in_force(connection)]


def move_to(rig: EngineRig, moment: datetime) -> None:
    """Go to a moment, with prices of then, and let the clock do what is due."""
    rig.exchange.clock.at = moment
    set_prices(rig.desk)
    rig.components.duties.step(rig.components.reconciler.read_at)


def test_a_clock_that_is_put_back_stops_no_watch(
    desk: Desk, rig: EngineRig, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[datetime] = []
    monkeypatch.setattr(rig.components.duties.daily_loss, "check", lambda desk: watched.append(desk.clock()))
    rig.components.duties.step(None)
    rig.components.duties.step(None)
    clock.forward(hours=-1)
    rig.components.duties.step(None)
    assert watched == [MORNING, clock()]


def test_intraday_positions_are_closed_before_the_close(rig: EngineRig) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    hold(rig.desk, "7")
    move_to(rig, at(9, 44))
    assert working(rig.desk) == []
    move_to(rig, at(9, 45))
    (leaving,) = working(rig.desk)
    assert (leaving.terms.side, leaving.terms.quantity) == (Side.SELL, Decimal(30))
    assert (leaving.terms.reduce_only, leaving.terms.type) == (True, OrderType.MARKET)


def test_each_segment_is_squared_off_at_its_own_close(rig: EngineRig) -> None:
    hold(rig.desk, "50", symbol=FUTURE, product=Product.INTRADAY)
    move_to(rig, at(9, 50))
    assert working(rig.desk) == []
    move_to(rig, at(9, 55))
    assert [order.terms.symbol for order in working(rig.desk)] == [FUTURE]


def test_intraday_entries_are_cancelled_and_denied_from_then_on(rig: EngineRig) -> None:
    entry = accepted(rig.desk, buy(rig.desk, product=Product.INTRADAY))
    move_to(rig, at(9, 45))
    assert order_now(rig.desk, entry).pending is PendingRequest.PENDING_CANCEL
    assert buy(rig.desk, product=Product.INTRADAY).code == "after_square_off"
    assert buy(rig.desk).status is Status.CREATED


def test_an_exit_that_rests_is_cancelled_and_priced_anew(rig: EngineRig, clock: FakeClock) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    move_to(rig, at(9, 45))
    (first,) = working(rig.desk)
    accepted(rig.desk, first)
    clock.forward(seconds=20)
    move_to(rig, clock())
    assert order_now(rig.desk, first).pending is None
    clock.forward(seconds=20)
    move_to(rig, clock())
    assert order_now(rig.desk, first).pending is PendingRequest.PENDING_CANCEL


def test_nothing_is_squared_off_on_a_day_without_trading(rig: EngineRig) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    move_to(rig, at(9, 50, day=21))
    assert working(rig.desk) == []


def test_past_its_validity_the_calendar_stops_the_clock_without_harm(rig: EngineRig) -> None:
    hold(rig.desk, "30", product=Product.INTRADAY)
    move_to(rig, datetime(2027, 6, 1, 9, 50, tzinfo=UTC))
    assert working(rig.desk) == []


LAST_DAY, NEW_YEAR = datetime(2026, 12, 31, 5, 30, tzinfo=UTC), datetime(2027, 1, 2, 6, 0, tzinfo=UTC)


def test_orders_of_the_calendars_last_day_expire_although_today_is_unknown(
    rig: EngineRig, clock: FakeClock
) -> None:
    clock.at = LAST_DAY
    set_prices(rig.desk)
    order = accepted(rig.desk, buy(rig.desk))
    clock.at = NEW_YEAR
    rig.look()
    move_to(rig, clock())
    assert order_now(rig.desk, order).status is Status.EXPIRED


def test_a_halt_that_flattens_cancels_past_the_calendars_end_too(rig: EngineRig, clock: FakeClock) -> None:
    clock.at = LAST_DAY
    set_prices(rig.desk)
    hold(rig.desk, "30")
    entry = accepted(rig.desk, buy(rig.desk))
    halts.halt_trading(rig.desk, CAUSE, "over", cancel_orders=False, flatten=True)
    move_to(rig, NEW_YEAR)
    assert order_now(rig.desk, entry).pending is PendingRequest.PENDING_CANCEL


def test_a_halt_goes_on_flattening_until_nothing_is_left(rig: EngineRig, clock: FakeClock) -> None:
    hold(rig.desk, "30")
    resting = accepted(rig.desk, sell(rig.desk, "30", limit="104"))
    clock.forward(seconds=1)
    halts.halt_trading(rig.desk, CAUSE, "stop", cancel_orders=False, flatten=True)
    move_to(rig, clock())
    assert order_now(rig.desk, resting).pending is PendingRequest.PENDING_CANCEL
    advance(rig.desk, resting, EventKind.CANCELLED)
    clock.forward(seconds=6)
    move_to(rig, clock())
    (leaving,) = working(rig.desk)
    assert (leaving.terms.quantity, leaving.terms.reduce_only) == (Decimal(30), True)


def test_flattening_waits_for_a_market_that_takes_orders(rig: EngineRig) -> None:
    hold(rig.desk, "30")
    move_to(rig, at(14, 0))
    halts.halt_trading(rig.desk, CAUSE, "stop")
    with rig.desk.database.read() as connection:
        before = queries.orders_page(connection, limit=100).rows
    halts.halt_trading(rig.desk, CAUSE, "flat", flatten=True, cancel_orders=False)
    for minute in range(1, 5):
        move_to(rig, at(14, minute))
    with rig.desk.database.read() as connection:
        denied_at_once = queries.orders_page(connection, limit=100).rows
    assert len(denied_at_once) == len(before) + 1


def test_a_lost_day_halts_the_account(rig: EngineRig, clock: FakeClock) -> None:
    hold(rig.desk, "1000")
    move_to(rig, clock())
    limits.change(rig.desk, ACCOUNT, {"max_daily_loss": "500"}, CAUSE)
    set_prices(rig.desk, ALPHA="99.50")
    rig.components.duties.daily_loss.check(rig.desk)
    assert halted(rig.desk) == [(ACCOUNT, "clock")]
    rig.components.duties.daily_loss.check(rig.desk)
    assert len(halted(rig.desk)) == 1


def test_a_strategy_that_lost_its_day_is_halted_alone(rig: EngineRig) -> None:
    limits.change(rig.desk, Scope("trend"), {"max_daily_loss": "500"}, CAUSE)
    hold(rig.desk, "1000", strategy="trend")
    rig.components.duties.daily_loss.check(rig.desk)
    set_prices(rig.desk, ALPHA="99.40")
    rig.components.duties.daily_loss.check(rig.desk)
    assert halted(rig.desk) == [(Scope("trend"), "clock")]


def test_a_new_day_is_measured_from_where_it_begins(rig: EngineRig) -> None:
    hold(rig.desk, "1000")
    rig.components.duties.daily_loss.check(rig.desk)
    limits.change(rig.desk, ACCOUNT, {"max_daily_loss": "500"}, CAUSE)
    rig.exchange.clock.at = at(4, 0, day=23)
    set_prices(rig.desk, ALPHA="99.00")
    rig.components.duties.daily_loss.check(rig.desk)
    assert halted(rig.desk) == []


def test_a_day_order_expires_once_the_book_was_read_after_its_day(rig: EngineRig) -> None:
    order = accepted(rig.desk, buy(rig.desk))
    move_to(rig, at(12, 0))
    assert order_now(rig.desk, order).status is Status.OPEN
    rig.look()
    move_to(rig, at(12, 1))
    expired = order_now(rig.desk, order)
    assert (expired.status, expired.code) == (Status.EXPIRED, EngineCode.DAY_ENDED)


def test_what_was_placed_elsewhere_on_a_sunday_expires_with_its_first_day(
    rig: EngineRig, clock: FakeClock
) -> None:
    clock.at = at(6, 0, day=22)
    rig.exchange.book["X1"] = elsewhere("X1")
    rig.look()
    (order,) = working(rig.desk)
    rig.exchange.book.clear()
    for moment, status in ((at(10, 30, day=23), Status.OPEN), (at(11, 1, day=23), Status.EXPIRED)):
        clock.at = moment
        rig.look()
        move_to(rig, clock())
        assert order_now(rig.desk, order).status is status


def test_an_order_of_today_does_not_expire_while_its_market_is_open(rig: EngineRig) -> None:
    order = accepted(rig.desk, buy(rig.desk))
    rig.look()
    move_to(rig, at(9, 59))
    assert order_now(rig.desk, order).status is Status.OPEN


def test_a_market_that_never_closes_expires_and_squares_off_nothing(
    settings: Settings, exchange: FakeExchange, clock: FakeClock
) -> None:
    with open_desk(settings, clock) as desk:
        rig = build_rig(desk, exchange, settings.algosat.engine)
        hold(desk, "30", product=Product.INTRADAY)
        order = accepted(desk, buy(desk))
        for day in (20, 21, 23):
            clock.at = at(9, 50, day=day)
            rig.look()
            move_to(rig, at(18, 25, day=day))
        assert [each.id for each in working(desk)] == [order.id]
        assert order_now(desk, order).status is Status.OPEN
        assert cancel.cancel_order(desk, order.id, CAUSE).pending is PendingRequest.PENDING_CANCEL
