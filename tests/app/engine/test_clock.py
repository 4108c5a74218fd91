"""What time asks for: losses, square-off, flattening, expiry. On a day of the real calendar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from algosat.config.settings import Settings
from algosat.domain import sessions
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.orders import EventKind, Order, OrderType, Overlay, Product, Side, Status
from algosat.engine.codes import EngineCode
from algosat.store import queries
from algosat.trading import cancel, halt, halts, limits
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
from tests.app.engine.floor import Floor, open_floor
from tests.app.exchange import FakeExchange, elsewhere
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
        yield replace(desk, calendar=ExchangeCalendar(sessions.packaged()))


def working(desk: Desk) -> list[Order]:
    with desk.database.read() as connection:
        return queries.working(connection, desk.account)


def halted(desk: Desk) -> list[tuple[str, str]]:
    with desk.database.read() as connection:
        return [(each.scope, each.actor) for each in halts.in_force(connection)]


def move_to(floor: Floor, moment: datetime) -> None:
    """Go to a moment, with prices of then, and let the clock do what is due."""
    floor.exchange.clock.at = moment
    set_prices(floor.desk)
    floor.parts.clock.step(floor.parts.reconciler.read_at)


def test_a_clock_that_is_put_back_stops_no_watch(
    desk: Desk, floor: Floor, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[datetime] = []
    monkeypatch.setattr(floor.parts.clock.losses, "watch", lambda desk: watched.append(desk.clock()))
    floor.parts.clock.step(None)
    floor.parts.clock.step(None)
    clock.forward(hours=-1)
    floor.parts.clock.step(None)
    assert watched == [MORNING, clock()]


def test_intraday_positions_are_closed_before_the_close(floor: Floor) -> None:
    hold(floor.desk, "30", product=Product.INTRADAY)
    hold(floor.desk, "7")
    move_to(floor, at(9, 44))
    assert working(floor.desk) == []
    move_to(floor, at(9, 45))
    (leaving,) = working(floor.desk)
    assert (leaving.intent.side, leaving.intent.quantity) == (Side.SELL, Decimal(30))
    assert (leaving.intent.reduce_only, leaving.intent.type) == (True, OrderType.MARKET)


def test_each_segment_is_squared_off_at_its_own_close(floor: Floor) -> None:
    hold(floor.desk, "50", symbol=FUTURE, product=Product.INTRADAY)
    move_to(floor, at(9, 50))
    assert working(floor.desk) == []
    move_to(floor, at(9, 55))
    assert [order.intent.symbol for order in working(floor.desk)] == [FUTURE]


def test_intraday_entries_are_cancelled_and_denied_from_then_on(floor: Floor) -> None:
    entry = accepted(floor.desk, buy(floor.desk, product=Product.INTRADAY))
    move_to(floor, at(9, 45))
    assert order_now(floor.desk, entry).overlay is Overlay.PENDING_CANCEL
    assert buy(floor.desk, product=Product.INTRADAY).code == "after_square_off"
    assert buy(floor.desk).status is Status.CREATED


def test_an_exit_that_rests_is_cancelled_and_priced_anew(floor: Floor, clock: FakeClock) -> None:
    hold(floor.desk, "30", product=Product.INTRADAY)
    move_to(floor, at(9, 45))
    (first,) = working(floor.desk)
    accepted(floor.desk, first)
    clock.forward(seconds=20)
    move_to(floor, clock())
    assert order_now(floor.desk, first).overlay is None
    clock.forward(seconds=20)
    move_to(floor, clock())
    assert order_now(floor.desk, first).overlay is Overlay.PENDING_CANCEL


def test_nothing_is_squared_off_on_a_day_without_trading(floor: Floor) -> None:
    hold(floor.desk, "30", product=Product.INTRADAY)
    move_to(floor, at(9, 50, day=21))
    assert working(floor.desk) == []


def test_past_its_validity_the_calendar_stops_the_clock_without_harm(floor: Floor) -> None:
    hold(floor.desk, "30", product=Product.INTRADAY)
    move_to(floor, datetime(2027, 6, 1, 9, 50, tzinfo=UTC))
    assert working(floor.desk) == []


LAST_DAY, NEW_YEAR = datetime(2026, 12, 31, 5, 30, tzinfo=UTC), datetime(2027, 1, 2, 6, 0, tzinfo=UTC)


def test_orders_of_the_calendars_last_day_expire_although_today_is_unknown(
    floor: Floor, clock: FakeClock
) -> None:
    clock.at = LAST_DAY
    set_prices(floor.desk)
    order = accepted(floor.desk, buy(floor.desk))
    clock.at = NEW_YEAR
    floor.look()
    move_to(floor, clock())
    assert order_now(floor.desk, order).status is Status.EXPIRED


def test_a_halt_that_flattens_cancels_past_the_calendars_end_too(floor: Floor, clock: FakeClock) -> None:
    clock.at = LAST_DAY
    set_prices(floor.desk)
    hold(floor.desk, "30")
    entry = accepted(floor.desk, buy(floor.desk))
    halt.halt(floor.desk, CAUSE, "over", cancel_orders=False, flatten=True)
    move_to(floor, NEW_YEAR)
    assert order_now(floor.desk, entry).overlay is Overlay.PENDING_CANCEL


def test_a_halt_goes_on_flattening_until_nothing_is_left(floor: Floor, clock: FakeClock) -> None:
    hold(floor.desk, "30")
    resting = accepted(floor.desk, sell(floor.desk, "30", limit="104"))
    clock.forward(seconds=1)
    halt.halt(floor.desk, CAUSE, "stop", cancel_orders=False, flatten=True)
    move_to(floor, clock())
    assert order_now(floor.desk, resting).overlay is Overlay.PENDING_CANCEL
    advance(floor.desk, resting, EventKind.CANCELLED)
    clock.forward(seconds=6)
    move_to(floor, clock())
    (leaving,) = working(floor.desk)
    assert (leaving.intent.quantity, leaving.intent.reduce_only) == (Decimal(30), True)


def test_flattening_waits_for_a_market_that_takes_orders(floor: Floor) -> None:
    hold(floor.desk, "30")
    move_to(floor, at(14, 0))
    halt.halt(floor.desk, CAUSE, "stop")
    with floor.desk.database.read() as connection:
        before = queries.orders_page(connection, limit=100).rows
    halt.halt(floor.desk, CAUSE, "flat", flatten=True, cancel_orders=False)
    for minute in range(1, 5):
        move_to(floor, at(14, minute))
    with floor.desk.database.read() as connection:
        denied_at_once = queries.orders_page(connection, limit=100).rows
    assert len(denied_at_once) == len(before) + 1


def test_a_lost_day_halts_the_account(floor: Floor, clock: FakeClock) -> None:
    hold(floor.desk, "1000")
    move_to(floor, clock())
    limits.change(floor.desk, limits.ACCOUNT, {"max_daily_loss": "500"}, CAUSE)
    set_prices(floor.desk, ALPHA="99.50")
    floor.parts.clock.losses.watch(floor.desk)
    assert halted(floor.desk) == [(halts.ALL, "clock")]
    floor.parts.clock.losses.watch(floor.desk)
    assert len(halted(floor.desk)) == 1


def test_a_strategy_that_lost_its_day_is_halted_alone(floor: Floor) -> None:
    limits.change(floor.desk, "trend", {"max_daily_loss": "500"}, CAUSE)
    hold(floor.desk, "1000", strategy="trend")
    floor.parts.clock.losses.watch(floor.desk)
    set_prices(floor.desk, ALPHA="99.40")
    floor.parts.clock.losses.watch(floor.desk)
    assert halted(floor.desk) == [("trend", "clock")]


def test_a_new_day_is_measured_from_where_it_begins(floor: Floor) -> None:
    hold(floor.desk, "1000")
    floor.parts.clock.losses.watch(floor.desk)
    limits.change(floor.desk, limits.ACCOUNT, {"max_daily_loss": "500"}, CAUSE)
    floor.exchange.clock.at = at(4, 0, day=23)
    set_prices(floor.desk, ALPHA="99.00")
    floor.parts.clock.losses.watch(floor.desk)
    assert halted(floor.desk) == []


def test_a_day_order_expires_once_the_book_was_read_after_its_day(floor: Floor) -> None:
    order = accepted(floor.desk, buy(floor.desk))
    move_to(floor, at(12, 0))
    assert order_now(floor.desk, order).status is Status.OPEN
    floor.look()
    move_to(floor, at(12, 1))
    expired = order_now(floor.desk, order)
    assert (expired.status, expired.code) == (Status.EXPIRED, EngineCode.DAY_ENDED)


def test_what_was_placed_elsewhere_on_a_sunday_expires_with_its_first_day(
    floor: Floor, clock: FakeClock
) -> None:
    clock.at = at(6, 0, day=22)
    floor.exchange.book["X1"] = elsewhere("X1")
    floor.look()
    (order,) = working(floor.desk)
    floor.exchange.book.clear()
    for moment, status in ((at(10, 30, day=23), Status.OPEN), (at(11, 1, day=23), Status.EXPIRED)):
        clock.at = moment
        floor.look()
        move_to(floor, clock())
        assert order_now(floor.desk, order).status is status


def test_an_order_of_today_does_not_expire_while_its_market_is_open(floor: Floor) -> None:
    order = accepted(floor.desk, buy(floor.desk))
    floor.look()
    move_to(floor, at(9, 59))
    assert order_now(floor.desk, order).status is Status.OPEN


def test_a_market_that_never_closes_expires_and_squares_off_nothing(
    settings: Settings, exchange: FakeExchange, clock: FakeClock
) -> None:
    with open_desk(settings, clock) as desk:
        floor = open_floor(desk, exchange, settings.algosat.engine)
        hold(desk, "30", product=Product.INTRADAY)
        order = accepted(desk, buy(desk))
        for day in (20, 21, 23):
            clock.at = at(9, 50, day=day)
            floor.look()
            move_to(floor, at(18, 25, day=day))
        assert [each.id for each in working(desk)] == [order.id]
        assert order_now(desk, order).status is Status.OPEN
        assert cancel.cancel(desk, order.id, CAUSE).overlay is Overlay.PENDING_CANCEL
