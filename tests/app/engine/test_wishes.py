from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from algosat.config.settings import Settings
from algosat.domain.orders import Order, Overlay, Revision, Status
from algosat.engine.codes import EngineCode
from algosat.errors import BrokerNotReached, BrokerRateLimited, BrokerRejected, BrokerUncertain
from algosat.trading import cancel, halt, modify
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, buy, hold, order_now, sell
from tests.app.engine.floor import Floor, failing, open_floor
from tests.app.engine.test_sender import quiet
from tests.app.exchange import FakeExchange
from tests.app.fakes import FakeClock

CHANGE = Revision(Decimal(20), Decimal(101), None)


def wished_away(floor: Floor) -> Order:
    order = floor.sent(buy(floor.desk))
    return cancel.cancel(floor.desk, order.id, CAUSE)


def to_be_changed(floor: Floor) -> Order:
    order = floor.sent(buy(floor.desk))
    return modify.modify(floor.desk, order.id, CHANGE, CAUSE)


def test_a_cancel_is_carried_out(floor: Floor) -> None:
    order = floor.sent(wished_away(floor))
    assert (order.status, order.overlay) == (Status.CANCELLED, None)


def test_a_change_holds_once_the_broker_confirms_it(floor: Floor) -> None:
    order = floor.sent(to_be_changed(floor))
    assert order.overlay is None
    assert order.intent.quantity == 20
    assert order.intent.limit_price == 101


def test_a_day_whose_orders_are_used_up_keeps_no_wish_waiting(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    rules = settings.algosat.engine.model_copy(update={"orders_per_day": 2})
    floor = open_floor(desk, exchange, rules)
    gone, changed = wished_away(floor), to_be_changed(floor)
    floor.route()
    assert order_now(desk, gone).status is Status.CANCELLED
    assert order_now(desk, changed).intent.quantity == 20


def test_a_fill_that_was_faster_than_the_cancel_is_booked(floor: Floor) -> None:
    order = wished_away(floor)
    floor.exchange.fill(order, "10")
    filled = floor.sent(order)
    assert (filled.status, filled.overlay) == (Status.FILLED, None)


def test_a_cancel_whose_answer_is_lost_is_seen_in_the_book(floor: Floor) -> None:
    order = wished_away(floor)
    floor.exchange.after = failing(BrokerUncertain("lost"), "cancel")
    assert floor.sent(order).status is Status.CANCELLED


def test_a_cancel_that_did_not_arrive_is_tried_again_with_patience(floor: Floor, clock: FakeClock) -> None:
    order = wished_away(floor)
    attempts: list[str] = []

    def unreachable(request: str) -> None:
        attempts.append(request)
        raise BrokerNotReached("refused")

    floor.exchange.before = unreachable
    floor.route()
    floor.route()
    assert attempts == ["cancel"]
    floor.exchange.before = quiet
    clock.forward(seconds=0.6)
    assert floor.sent(order).status is Status.CANCELLED


def test_a_cancel_the_broker_refuses_has_failed(floor: Floor) -> None:
    order = wished_away(floor)
    floor.exchange.before = failing(BrokerRejected("not in this phase"), "cancel")
    kept = floor.sent(order)
    assert (kept.status, kept.overlay, kept.code) == (Status.OPEN, None, EngineCode.CANCEL_REFUSED)


def test_a_change_the_broker_refuses_leaves_the_old_terms(floor: Floor) -> None:
    order = to_be_changed(floor)
    floor.exchange.before = failing(BrokerRejected("too far", code="price"), "modify")
    kept = floor.sent(order)
    assert (kept.overlay, kept.code) == (None, "price")
    assert kept.intent.quantity == 10


def test_a_change_whose_answer_is_lost_is_seen_in_the_book(floor: Floor) -> None:
    order = to_be_changed(floor)
    floor.exchange.after = failing(BrokerUncertain("lost"), "modify")
    changed = floor.sent(order)
    assert changed.overlay is None
    assert changed.intent.quantity == 20


def test_a_change_that_is_never_confirmed_is_given_up(floor: Floor, clock: FakeClock) -> None:
    order = to_be_changed(floor)
    floor.exchange.before = failing(BrokerUncertain("lost"), "modify")
    for _ in range(8):
        floor.route()
        clock.forward(seconds=8)
    kept = order_now(floor.desk, order)
    assert (kept.overlay, kept.code) == (None, EngineCode.CHANGE_UNCONFIRMED)
    assert kept.intent.quantity == 10


def test_a_cancel_may_follow_a_change_under_way(floor: Floor) -> None:
    order = to_be_changed(floor)
    floor.exchange.before = failing(BrokerUncertain("lost"), "modify")
    floor.route()
    wished = cancel.cancel(floor.desk, order.id, CAUSE)
    assert wished.overlay is Overlay.PENDING_CANCEL
    assert floor.sent(order).status is Status.CANCELLED


def test_a_change_is_still_answered_when_the_cancel_that_outweighed_it_is_refused(
    floor: Floor, clock: FakeClock
) -> None:
    order = to_be_changed(floor)
    floor.exchange.before = failing(BrokerUncertain("lost"), "modify")
    floor.route()
    cancel.cancel(floor.desk, order.id, CAUSE)
    floor.exchange.before = failing(BrokerRejected("not in this phase"), "cancel")
    assert floor.sent(order).overlay is Overlay.PENDING_MODIFY
    floor.exchange.before = quiet
    clock.forward(seconds=1)
    changed = floor.sent(order)
    assert changed.overlay is None
    assert changed.pending_change is None
    assert changed.intent.quantity == 20


def test_a_wish_on_an_order_of_unknown_fate_waits_until_it_is_found(floor: Floor, clock: FakeClock) -> None:
    floor.exchange.after = failing(BrokerUncertain("lost"), "place")
    order = floor.sent(buy(floor.desk))
    cancel.cancel(floor.desk, order.id, CAUSE)
    floor.route()
    assert order_now(floor.desk, order).status is Status.UNKNOWN
    floor.look()
    assert floor.sent(order).status is Status.CANCELLED


def test_cancels_go_before_new_orders_when_permits_are_scarce(floor: Floor, clock: FakeClock) -> None:
    order = wished_away(floor)
    for _ in range(8):
        buy(floor.desk)
    new = buy(floor.desk)
    floor.route()
    assert order_now(floor.desk, order).status is Status.CANCELLED
    assert order_now(floor.desk, new).status is Status.CREATED


def test_a_change_that_a_halt_has_overtaken_is_not_asked_for(floor: Floor) -> None:
    order = to_be_changed(floor)
    halt.halt(floor.desk, CAUSE, "odd prices", cancel_orders=False)
    floor.exchange.before = failing(AssertionError("asked for"), "modify")
    left = floor.sent(order)
    assert (left.overlay, left.code, left.reason) == (
        None,
        EngineCode.HALTED_BEFORE_SENDING,
        "odd prices (all)",
    )
    assert left.intent.quantity == 10


def test_an_exit_is_changed_under_a_halt(floor: Floor) -> None:
    hold(floor.desk, "30")
    order = floor.sent(sell(floor.desk, reduce_only=True))
    modify.modify(floor.desk, order.id, CHANGE, CAUSE)
    halt.halt(floor.desk, CAUSE, "odd prices", cancel_orders=False)
    assert floor.sent(order).intent.quantity == 20


def test_a_clock_that_is_put_back_does_not_put_a_cancel_off(floor: Floor, clock: FakeClock) -> None:
    order = wished_away(floor)
    floor.exchange.before = failing(BrokerNotReached("refused"), "cancel")
    floor.route()
    floor.exchange.before = quiet
    clock.forward(hours=-1)
    assert floor.sent(order).status is Status.CANCELLED


def test_a_clock_that_is_put_back_does_not_put_off_giving_up_a_change(floor: Floor, clock: FakeClock) -> None:
    order = to_be_changed(floor)
    floor.exchange.before = failing(BrokerUncertain("lost"), "modify")
    clock.forward(hours=-1)
    kept = floor.sent(order)
    assert (kept.overlay, kept.code) == (None, EngineCode.CHANGE_UNCONFIRMED)


@pytest.mark.parametrize("wish", [wished_away, to_be_changed])
def test_a_broker_that_asks_for_fewer_requests_is_left_alone_by_all_wishes(
    floor: Floor, clock: FakeClock, wish: Callable[[Floor], Order]
) -> None:
    first, second = wish(floor), wish(floor)
    asked: list[str] = []

    def too_many(request: str) -> None:
        asked.append(request)
        raise BrokerRateLimited("slow down")

    floor.exchange.before = too_many
    floor.route()
    clock.forward(seconds=0.6)
    floor.route()
    assert len(asked) == 1
    floor.exchange.before = quiet
    clock.forward(seconds=1)
    floor.route()
    assert [order_now(floor.desk, each).overlay for each in (first, second)] == [None, None]
