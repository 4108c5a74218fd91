from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from algosat.config.settings import Settings
from algosat.domain.orders import ModifyRequest, Order, PendingRequest, Status
from algosat.domain.reason_codes import EngineCode
from algosat.errors import BrokerNotReached, BrokerRateLimited, BrokerRejected, BrokerUncertain
from algosat.trading import cancel, halts, modify
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, buy, hold, order_now, sell
from tests.app.engine.rig import EngineRig, build_rig, failing
from tests.app.engine.test_sender import quiet
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

CHANGE = ModifyRequest(Decimal(20), Decimal(101), None)


def wished_away(rig: EngineRig) -> Order:
    order = rig.sent(buy(rig.desk))
    return cancel.cancel_order(rig.desk, order.id, CAUSE)


def to_be_changed(rig: EngineRig) -> Order:
    order = rig.sent(buy(rig.desk))
    return modify.modify_order(rig.desk, order.id, CHANGE, CAUSE)


def test_a_cancel_is_carried_out(rig: EngineRig) -> None:
    order = rig.sent(wished_away(rig))
    assert (order.status, order.pending) == (Status.CANCELLED, None)


def test_a_change_holds_once_the_broker_confirms_it(rig: EngineRig) -> None:
    order = rig.sent(to_be_changed(rig))
    assert order.pending is None
    assert order.terms.quantity == 20
    assert order.terms.limit_price == 101


def test_a_day_whose_orders_are_used_up_keeps_no_wish_waiting(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    rules = settings.algosat.engine.model_copy(update={"orders_per_day": 2})
    rig = build_rig(desk, exchange, rules)
    gone, changed = wished_away(rig), to_be_changed(rig)
    rig.route()
    assert order_now(desk, gone).status is Status.CANCELLED
    assert order_now(desk, changed).terms.quantity == 20


def test_a_fill_that_was_faster_than_the_cancel_is_booked(rig: EngineRig) -> None:
    order = wished_away(rig)
    rig.exchange.fill(order, "10")
    filled = rig.sent(order)
    assert (filled.status, filled.pending) == (Status.FILLED, None)


def test_a_cancel_whose_answer_is_lost_is_seen_in_the_book(rig: EngineRig) -> None:
    order = wished_away(rig)
    rig.exchange.after = failing(BrokerUncertain("lost"), "cancel")
    assert rig.sent(order).status is Status.CANCELLED


def test_a_cancel_that_did_not_arrive_is_tried_again_with_patience(rig: EngineRig, clock: FakeClock) -> None:
    order = wished_away(rig)
    attempts: list[str] = []

    def unreachable(request: str) -> None:
        attempts.append(request)
        raise BrokerNotReached("refused")

    rig.exchange.before = unreachable
    rig.route()
    rig.route()
    assert attempts == ["cancel"]
    rig.exchange.before = quiet
    clock.forward(seconds=0.6)
    assert rig.sent(order).status is Status.CANCELLED


def test_a_cancel_the_broker_refuses_has_failed(rig: EngineRig) -> None:
    order = wished_away(rig)
    rig.exchange.before = failing(BrokerRejected("not in this phase"), "cancel")
    kept = rig.sent(order)
    assert (kept.status, kept.pending, kept.code) == (Status.OPEN, None, EngineCode.CANCEL_REFUSED)


def test_a_change_the_broker_refuses_leaves_the_old_terms(rig: EngineRig) -> None:
    order = to_be_changed(rig)
    rig.exchange.before = failing(BrokerRejected("too far", code="price"), "modify")
    kept = rig.sent(order)
    assert (kept.pending, kept.code) == (None, "price")
    assert kept.terms.quantity == 10


def test_a_change_whose_answer_is_lost_is_seen_in_the_book(rig: EngineRig) -> None:
    order = to_be_changed(rig)
    rig.exchange.after = failing(BrokerUncertain("lost"), "modify")
    changed = rig.sent(order)
    assert changed.pending is None
    assert changed.terms.quantity == 20


def test_a_change_that_is_never_confirmed_is_given_up(rig: EngineRig, clock: FakeClock) -> None:
    order = to_be_changed(rig)
    rig.exchange.before = failing(BrokerUncertain("lost"), "modify")
    for _ in range(8):
        rig.route()
        clock.forward(seconds=8)
    kept = order_now(rig.desk, order)
    assert (kept.pending, kept.code) == (None, EngineCode.CHANGE_UNCONFIRMED)
    assert kept.terms.quantity == 10


def test_a_cancel_may_follow_a_change_under_way(rig: EngineRig) -> None:
    order = to_be_changed(rig)
    rig.exchange.before = failing(BrokerUncertain("lost"), "modify")
    rig.route()
    wished = cancel.cancel_order(rig.desk, order.id, CAUSE)
    assert wished.pending is PendingRequest.PENDING_CANCEL
    assert rig.sent(order).status is Status.CANCELLED


def test_a_change_is_still_answered_when_the_cancel_that_outweighed_it_is_refused(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = to_be_changed(rig)
    rig.exchange.before = failing(BrokerUncertain("lost"), "modify")
    rig.route()
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    rig.exchange.before = failing(BrokerRejected("not in this phase"), "cancel")
    assert rig.sent(order).pending is PendingRequest.PENDING_MODIFY
    rig.exchange.before = quiet
    clock.forward(seconds=1)
    changed = rig.sent(order)
    assert changed.pending is None
    assert changed.pending_change is None
    assert changed.terms.quantity == 20


def test_a_wish_on_an_order_of_unknown_fate_waits_until_it_is_found(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.after = failing(BrokerUncertain("lost"), "place")
    order = rig.sent(buy(rig.desk))
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    rig.route()
    assert order_now(rig.desk, order).status is Status.UNKNOWN
    rig.look()
    assert rig.sent(order).status is Status.CANCELLED


def test_cancels_go_before_new_orders_when_permits_are_scarce(rig: EngineRig, clock: FakeClock) -> None:
    order = wished_away(rig)
    for _ in range(8):
        buy(rig.desk)
    new = buy(rig.desk)
    rig.route()
    assert order_now(rig.desk, order).status is Status.CANCELLED
    assert order_now(rig.desk, new).status is Status.CREATED


def test_a_change_that_a_halt_has_overtaken_is_not_asked_for(rig: EngineRig) -> None:
    order = to_be_changed(rig)
    halts.halt_trading(rig.desk, CAUSE, "odd prices", cancel_orders=False)
    rig.exchange.before = failing(AssertionError("asked for"), "modify")
    left = rig.sent(order)
    assert (left.pending, left.code, left.reason) == (
        None,
        EngineCode.HALTED_BEFORE_SENDING,
        "odd prices (all)",
    )
    assert left.terms.quantity == 10


def test_an_exit_is_changed_under_a_halt(rig: EngineRig) -> None:
    hold(rig.desk, "30")
    order = rig.sent(sell(rig.desk, reduce_only=True))
    modify.modify_order(rig.desk, order.id, CHANGE, CAUSE)
    halts.halt_trading(rig.desk, CAUSE, "odd prices", cancel_orders=False)
    assert rig.sent(order).terms.quantity == 20


def test_a_clock_that_is_put_back_does_not_put_a_cancel_off(rig: EngineRig, clock: FakeClock) -> None:
    order = wished_away(rig)
    rig.exchange.before = failing(BrokerNotReached("refused"), "cancel")
    rig.route()
    rig.exchange.before = quiet
    clock.forward(hours=-1)
    assert rig.sent(order).status is Status.CANCELLED


def test_a_clock_that_is_put_back_does_not_put_off_giving_up_a_change(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = to_be_changed(rig)
    rig.exchange.before = failing(BrokerUncertain("lost"), "modify")
    clock.forward(hours=-1)
    kept = rig.sent(order)
    assert (kept.pending, kept.code) == (None, EngineCode.CHANGE_UNCONFIRMED)


@pytest.mark.parametrize("wish", [wished_away, to_be_changed])
def test_a_broker_that_asks_for_fewer_requests_is_left_alone_by_all_wishes(
    rig: EngineRig, clock: FakeClock, wish: Callable[[EngineRig], Order]
) -> None:
    first, second = wish(rig), wish(rig)
    asked: list[str] = []

    def too_many(request: str) -> None:
        asked.append(request)
        raise BrokerRateLimited("slow down")

    rig.exchange.before = too_many
    rig.route()
    clock.forward(seconds=0.6)
    rig.route()
    assert len(asked) == 1
    rig.exchange.before = quiet
    clock.forward(seconds=1)
    rig.route()
    assert [order_now(rig.desk, each).pending for each in (first, second)] == [None, None]
