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
from tests.app.engine.rig import EngineRig, build_rig, failing, no_fault
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

CHANGE = ModifyRequest(Decimal(20), Decimal(101), None)


def to_be_cancelled(rig: EngineRig) -> Order:
    order = rig.send(buy(rig.desk))
    return cancel.cancel_order(rig.desk, order.id, CAUSE)


def to_be_changed(rig: EngineRig) -> Order:
    order = rig.send(buy(rig.desk))
    return modify.modify_order(rig.desk, order.id, CHANGE, CAUSE)


def test_cancel_is_sent(rig: EngineRig) -> None:
    order = rig.send(to_be_cancelled(rig))
    assert (order.status, order.pending) == (Status.CANCELLED, None)


def test_change_applies_once_the_broker_confirms_it(rig: EngineRig) -> None:
    order = rig.send(to_be_changed(rig))
    assert order.pending is None
    assert order.terms.quantity == 20
    assert order.terms.limit_price == 101


def test_pending_requests_are_sent_when_the_days_orders_are_used_up(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    rules = settings.algosat.engine.model_copy(update={"orders_per_day": 2})
    rig = build_rig(desk, exchange, rules)
    gone, changed = to_be_cancelled(rig), to_be_changed(rig)
    rig.route()
    assert order_now(desk, gone).status is Status.CANCELLED
    assert order_now(desk, changed).terms.quantity == 20


def test_fill_that_overtakes_the_cancel_is_booked(rig: EngineRig) -> None:
    order = to_be_cancelled(rig)
    rig.exchange.fill(order, "10")
    filled = rig.send(order)
    assert (filled.status, filled.pending) == (Status.FILLED, None)


def test_cancel_whose_answer_is_lost_is_found_in_the_order_book(rig: EngineRig) -> None:
    order = to_be_cancelled(rig)
    rig.exchange.after = failing(BrokerUncertain("lost"), "cancel")
    assert rig.send(order).status is Status.CANCELLED


def test_cancel_that_did_not_arrive_is_resent_after_a_delay(rig: EngineRig, clock: FakeClock) -> None:
    order = to_be_cancelled(rig)
    attempts: list[str] = []

    def unreachable(request: str) -> None:
        attempts.append(request)
        raise BrokerNotReached("refused")

    rig.exchange.before = unreachable
    rig.route()
    rig.route()
    assert attempts == ["cancel"]
    rig.exchange.before = no_fault
    clock.forward(seconds=0.6)
    assert rig.send(order).status is Status.CANCELLED


def test_refused_cancel_leaves_the_order_open(rig: EngineRig) -> None:
    order = to_be_cancelled(rig)
    rig.exchange.before = failing(BrokerRejected("not in this phase"), "cancel")
    kept = rig.send(order)
    assert (kept.status, kept.pending, kept.code) == (Status.OPEN, None, EngineCode.CANCEL_REFUSED)


def test_refused_change_leaves_the_old_terms(rig: EngineRig) -> None:
    order = to_be_changed(rig)
    rig.exchange.before = failing(BrokerRejected("too far", code="price"), "modify")
    kept = rig.send(order)
    assert (kept.pending, kept.code) == (None, "price")
    assert kept.terms.quantity == 10


def test_change_whose_answer_is_lost_is_found_in_the_order_book(rig: EngineRig) -> None:
    order = to_be_changed(rig)
    rig.exchange.after = failing(BrokerUncertain("lost"), "modify")
    changed = rig.send(order)
    assert changed.pending is None
    assert changed.terms.quantity == 20


def test_unconfirmed_change_is_given_up(rig: EngineRig, clock: FakeClock) -> None:
    order = to_be_changed(rig)
    rig.exchange.before = failing(BrokerUncertain("lost"), "modify")
    for _ in range(8):
        rig.route()
        clock.forward(seconds=8)
    kept = order_now(rig.desk, order)
    assert (kept.pending, kept.code) == (None, EngineCode.CHANGE_UNCONFIRMED)
    assert kept.terms.quantity == 10


def test_cancel_replaces_a_pending_change(rig: EngineRig) -> None:
    order = to_be_changed(rig)
    rig.exchange.before = failing(BrokerUncertain("lost"), "modify")
    rig.route()
    cancelled = cancel.cancel_order(rig.desk, order.id, CAUSE)
    assert cancelled.pending is PendingRequest.PENDING_CANCEL
    assert rig.send(order).status is Status.CANCELLED


def test_change_is_pending_again_when_the_cancel_that_replaced_it_is_refused(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = to_be_changed(rig)
    rig.exchange.before = failing(BrokerUncertain("lost"), "modify")
    rig.route()
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    rig.exchange.before = failing(BrokerRejected("not in this phase"), "cancel")
    assert rig.send(order).pending is PendingRequest.PENDING_MODIFY
    rig.exchange.before = no_fault
    clock.forward(seconds=1)
    changed = rig.send(order)
    assert changed.pending is None
    assert changed.pending_change is None
    assert changed.terms.quantity == 20


def test_cancel_of_an_unknown_order_waits_until_the_order_is_found(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.after = failing(BrokerUncertain("lost"), "place")
    order = rig.send(buy(rig.desk))
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    rig.route()
    assert order_now(rig.desk, order).status is Status.UNKNOWN
    rig.reconcile()
    assert rig.send(order).status is Status.CANCELLED


def test_cancels_take_permits_before_new_orders(rig: EngineRig, clock: FakeClock) -> None:
    order = to_be_cancelled(rig)
    for _ in range(8):
        buy(rig.desk)
    new = buy(rig.desk)
    rig.route()
    assert order_now(rig.desk, order).status is Status.CANCELLED
    assert order_now(rig.desk, new).status is Status.CREATED


def test_change_is_not_sent_under_a_halt(rig: EngineRig) -> None:
    order = to_be_changed(rig)
    halts.halt_trading(rig.desk, CAUSE, "odd prices", cancel_orders=False)
    rig.exchange.before = failing(AssertionError("asked for"), "modify")
    unchanged = rig.send(order)
    assert (unchanged.pending, unchanged.code, unchanged.reason) == (
        None,
        EngineCode.HALTED_BEFORE_SENDING,
        "odd prices (all)",
    )
    assert unchanged.terms.quantity == 10


def test_exit_is_changed_under_a_halt(rig: EngineRig) -> None:
    hold(rig.desk, "30")
    order = rig.send(sell(rig.desk, reduce_only=True))
    modify.modify_order(rig.desk, order.id, CHANGE, CAUSE)
    halts.halt_trading(rig.desk, CAUSE, "odd prices", cancel_orders=False)
    assert rig.send(order).terms.quantity == 20


def test_setting_the_clock_back_does_not_delay_a_cancel(rig: EngineRig, clock: FakeClock) -> None:
    order = to_be_cancelled(rig)
    rig.exchange.before = failing(BrokerNotReached("refused"), "cancel")
    rig.route()
    rig.exchange.before = no_fault
    clock.forward(hours=-1)
    assert rig.send(order).status is Status.CANCELLED


def test_setting_the_clock_back_does_not_delay_giving_up_a_change(rig: EngineRig, clock: FakeClock) -> None:
    order = to_be_changed(rig)
    rig.exchange.before = failing(BrokerUncertain("lost"), "modify")
    clock.forward(hours=-1)
    kept = rig.send(order)
    assert (kept.pending, kept.code) == (None, EngineCode.CHANGE_UNCONFIRMED)


@pytest.mark.parametrize("ask", [to_be_cancelled, to_be_changed])
def test_rate_limit_error_pauses_all_pending_requests(
    rig: EngineRig, clock: FakeClock, ask: Callable[[EngineRig], Order]
) -> None:
    first, second = ask(rig), ask(rig)
    asked: list[str] = []

    def too_many(request: str) -> None:
        asked.append(request)
        raise BrokerRateLimited("slow down")

    rig.exchange.before = too_many
    rig.route()
    clock.forward(seconds=0.6)
    rig.route()
    assert len(asked) == 1
    rig.exchange.before = no_fault
    clock.forward(seconds=1)
    rig.route()
    assert [order_now(rig.desk, each).pending for each in (first, second)] == [None, None]
