"""Slices of one order: sent at the pace of the rate limits, whatever their age."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from algosat.config.settings import Settings
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import Order, Side, Status
from algosat.domain.reason_codes import EngineCode
from algosat.errors import BrokerNotReached, BrokerRejected
from algosat.store.tables import alerts
from algosat.trading import halts, slicing
from algosat.trading.desk import Desk
from tests.app.desks import (
    CAUSE,
    SECOND,
    buy,
    hold,
    instruments,
    open_desk,
    order_now,
    replace_instruments,
    terms_of,
)
from tests.app.engine.rig import EngineRig, build_rig, failing, no_fault
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

DEADLINE = 10  # seconds, of the settings


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock) as desk:
        replace_instruments(desk, [replace(each, freeze_quantity=Decimal(50)) for each in instruments()])
        yield desk


def rig_of(desk: Desk, exchange: FakeExchange, settings: Settings, **rates: int) -> EngineRig:
    rules = settings.algosat.engine.model_copy(update={"orders_per_second": 1, **rates})
    return build_rig(desk, exchange, rules)


@pytest.fixture
def rig(desk: Desk, exchange: FakeExchange, settings: Settings) -> EngineRig:
    return rig_of(desk, exchange, settings)


def sliced(desk: Desk, number: int, **differences: Any) -> tuple[Order, ...]:
    """Place an order of this many slices, the last one smaller."""
    return slicing.place_sliced(desk, terms_of(str(50 * number - 20), **differences), CAUSE).orders


def run(rig: EngineRig, seconds: int) -> None:
    for _ in range(seconds):
        rig.route()
        rig.exchange.clock.forward(seconds=1)


def statuses(rig: EngineRig, orders: tuple[Order, ...]) -> list[Status]:
    return [order_now(rig.desk, order).status for order in orders]


def alerts_of(desk: Desk) -> list[Any]:
    with desk.database.read() as connection:
        return list(connection.execute(select(alerts)))


def test_all_slices_are_sent_although_pacing_takes_longer_than_the_deadline(rig: EngineRig) -> None:
    slices = sliced(rig.desk, 15)
    run(rig, 15)
    assert rig.exchange.sent == [order.id for order in slices]
    assert set(statuses(rig, slices)) == {Status.OPEN}


def test_other_orders_are_sent_between_the_slices_of_an_entry(rig: EngineRig) -> None:
    slices = sliced(rig.desk, 4)
    run(rig, 2)
    other = buy(rig.desk, symbol=SECOND)
    run(rig, 3)
    ids = [order.id for order in slices]
    assert rig.exchange.sent == [*ids[:2], other.id, *ids[2:]]


def test_slices_of_an_exit_are_sent_before_entries(rig: EngineRig) -> None:
    for _ in range(3):
        hold(rig.desk, "50")
    entry = buy(rig.desk, symbol=SECOND)
    exits = sliced(rig.desk, 3, side=Side.SELL, reduce_only=True)
    run(rig, 4)
    assert rig.exchange.sent == [*(order.id for order in exits), entry.id]


def test_slices_wait_for_the_next_minute(desk: Desk, exchange: FakeExchange, settings: Settings) -> None:
    rig = rig_of(desk, exchange, settings, orders_per_minute=6)
    slices = sliced(desk, 8)
    run(rig, 59)
    assert len(exchange.sent) == 5
    run(rig, 10)
    assert exchange.sent == [order.id for order in slices]


def test_engine_that_restarts_while_slices_wait_for_the_next_minute_sends_them(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    slices = sliced(desk, 8)
    run(rig_of(desk, exchange, settings, orders_per_minute=6), 20)
    exchange.clock.forward(seconds=20)  # without an engine
    run(rig_of(desk, exchange, settings, orders_per_minute=6), 30)
    assert exchange.sent == [order.id for order in slices]


def test_engine_that_restarts_sends_the_remaining_slices(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    slices = sliced(desk, 20)
    run(rig_of(desk, exchange, settings), 13)
    exchange.clock.forward(seconds=DEADLINE - 2)
    run(rig_of(desk, exchange, settings), 10)
    assert exchange.sent == [order.id for order in slices]


def test_slices_whose_turn_has_passed_are_rejected_and_say_so(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    slices = sliced(desk, 6)
    run(rig_of(desk, exchange, settings), 3)
    exchange.clock.forward(seconds=DEADLINE + 1)
    rig = rig_of(desk, exchange, settings)
    run(rig, 3)
    assert statuses(rig, slices) == [Status.OPEN] * 3 + [Status.REJECTED] * 3
    assert {order_now(desk, each).code for each in slices[3:]} == {EngineCode.SEND_DEADLINE}
    assert len(exchange.sent) == 3
    (alert,) = alerts_of(desk)
    assert (alert.kind, alert.subject) == (AlertKind.ORDER_INCOMPLETE, slices[0].id)
    assert alert.detail.startswith("3 of 6 slices were rejected, 130 of 280 ALPHA-EQ: the order could not")


def test_slice_that_the_broker_rejects_raises_an_alert_and_the_others_are_sent(rig: EngineRig) -> None:
    slices = sliced(rig.desk, 4)
    run(rig, 1)
    rig.exchange.before = failing(BrokerRejected("not enough margin"), "place")
    run(rig, 1)
    rig.exchange.before = no_fault
    run(rig, 2)
    assert statuses(rig, slices) == [Status.OPEN, Status.REJECTED, Status.OPEN, Status.OPEN]
    (alert,) = alerts_of(rig.desk)
    assert alert.detail == "1 of 4 slices were rejected, 50 of 180 ALPHA-EQ: not enough margin"


def test_rejected_order_without_slices_raises_no_alert(rig: EngineRig) -> None:
    buy(rig.desk)
    rig.exchange.before = failing(BrokerRejected("not enough margin"), "place")
    run(rig, 1)
    assert alerts_of(rig.desk) == []


def test_slices_wait_for_an_unavailable_broker_until_their_deadline(rig: EngineRig) -> None:
    slices = sliced(rig.desk, 4)
    run(rig, 2)
    rig.exchange.active = False
    run(rig, DEADLINE)
    assert statuses(rig, slices)[2:] == [Status.CREATED] * 2
    run(rig, 3)
    assert {order_now(rig.desk, each).code for each in slices[2:]} == {EngineCode.BROKER_UNAVAILABLE}


def test_late_slice_whose_request_was_not_sent_is_sent_again(rig: EngineRig) -> None:
    slices = sliced(rig.desk, 14)
    run(rig, 12)
    rig.exchange.before = failing(BrokerNotReached("no route"), "place")
    rig.route()
    rig.exchange.before = no_fault
    rig.exchange.clock.forward(seconds=1)
    run(rig, 3)
    assert set(statuses(rig, slices)) == {Status.OPEN}


def test_halt_cancels_the_slices_that_were_not_sent(rig: EngineRig) -> None:
    slices = sliced(rig.desk, 4)
    run(rig, 2)
    halts.halt_trading(rig.desk, CAUSE, "enough")
    run(rig, 1)
    assert statuses(rig, slices)[2:] == [Status.CANCELLED] * 2
    assert len(rig.exchange.sent) == 2


def test_day_limit_of_requests_rejects_slices_at_their_deadline(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    rig = rig_of(desk, exchange, settings, orders_per_day=2)
    slices = sliced(desk, 4)
    run(rig, DEADLINE + 4)
    assert statuses(rig, slices) == [Status.OPEN] * 2 + [Status.REJECTED] * 2
