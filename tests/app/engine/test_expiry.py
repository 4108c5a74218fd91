"""Expiry of day orders, on days of the exchange's calendar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from algosat.config.settings import Settings
from algosat.domain import market_phases
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.orders import PendingRequest, Product, Status
from algosat.domain.reason_codes import EngineCode
from algosat.trading import cancel
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, accepted, buy, hold, open_desk, order_now, set_prices
from tests.app.engine.rig import EngineRig, build_rig
from tests.app.fake_exchange import FakeExchange, external_report
from tests.app.fakes import FakeClock

LAST_DAY, NEW_YEAR = datetime(2026, 12, 31, 5, 30, tzinfo=UTC), datetime(2027, 1, 2, 6, 0, tzinfo=UTC)


def at(hour: int, minute: int, day: int = 20) -> datetime:
    """Return a time of November 2026 in UTC. Shares trade until 10:00, futures until 10:10."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock, stale_quote_seconds=60.0) as desk:
        yield replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))


def test_orders_of_the_calendars_last_day_expire_past_its_end(rig: EngineRig, clock: FakeClock) -> None:
    clock.at = LAST_DAY
    set_prices(rig.desk)
    order = accepted(rig.desk, buy(rig.desk))
    clock.at = NEW_YEAR
    rig.reconcile()
    rig.do_duties(clock())
    assert order_now(rig.desk, order).status is Status.EXPIRED


def test_day_order_expires_when_the_order_book_is_read_after_its_day(rig: EngineRig) -> None:
    order = accepted(rig.desk, buy(rig.desk))
    rig.do_duties(at(12, 0))
    assert order_now(rig.desk, order).status is Status.OPEN
    rig.reconcile()
    rig.do_duties(at(12, 1))
    expired = order_now(rig.desk, order)
    assert (expired.status, expired.code) == (Status.EXPIRED, EngineCode.DAY_ENDED)


def test_external_order_of_a_sunday_expires_after_the_next_trading_day(
    rig: EngineRig, clock: FakeClock
) -> None:
    clock.at = at(6, 0, day=22)
    rig.exchange.book["X1"] = external_report("X1")
    rig.reconcile()
    (order,) = rig.working()
    rig.exchange.book.clear()
    for moment, status in ((at(10, 30, day=23), Status.OPEN), (at(11, 1, day=23), Status.EXPIRED)):
        clock.at = moment
        rig.reconcile()
        rig.do_duties(clock())
        assert order_now(rig.desk, order).status is status


def test_order_of_today_does_not_expire_while_its_market_is_open(rig: EngineRig) -> None:
    order = accepted(rig.desk, buy(rig.desk))
    rig.reconcile()
    rig.do_duties(at(9, 59))
    assert order_now(rig.desk, order).status is Status.OPEN


def test_market_that_never_closes_expires_and_squares_off_nothing(
    settings: Settings, exchange: FakeExchange, clock: FakeClock
) -> None:
    with open_desk(settings, clock) as desk:
        rig = build_rig(desk, exchange, settings.algosat.engine)
        hold(desk, "30", product=Product.INTRADAY)
        order = accepted(desk, buy(desk))
        for day in (20, 21, 23):
            clock.at = at(9, 50, day=day)
            rig.reconcile()
            rig.do_duties(at(18, 25, day=day))
        assert [each.id for each in rig.working()] == [order.id]
        assert order_now(desk, order).status is Status.OPEN
        assert cancel.cancel_order(desk, order.id, CAUSE).pending is PendingRequest.PENDING_CANCEL
