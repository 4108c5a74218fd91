"""Cancels of a halt when the broker refuses them, is unavailable, or has orders that were unknown here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, ModifyRequest, Order, PendingRequest, Product, Side, Status
from algosat.domain.scope import Scope
from algosat.errors import BrokerNotReached, BrokerRejected, BrokerUncertain
from algosat.store import audit, queries
from algosat.trading import cancel, halts, modify
from algosat.trading.desk import Desk
from tests.app.desks import (
    CAUSE,
    FUTURE,
    advance,
    buy,
    hold,
    instruments,
    order_now,
    replace_instruments,
    sell,
    set_prices,
)
from tests.app.engine.rig import EngineRig, build_rig, failing, no_fault, step_duties
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

REFUSED = BrokerRejected("not in this phase")


def working(rig: EngineRig) -> Order:
    return rig.send(buy(rig.desk))


def run_for(rig: EngineRig, seconds: int, step: int = 1) -> None:
    """Run everything the engine does, every `step` seconds."""
    for _ in range(seconds // step):
        rig.exchange.clock.forward(seconds=step)
        step_duties(rig.components)
        rig.components.reconciler.step()
        rig.route()


def refuse_cancels(
    rig: EngineRig, cancels: list[float], *, refused: Callable[[int], bool] = lambda _: True
) -> None:
    """Make the exchange refuse those cancels for whose number `refused` is true, and record their times."""

    def before(request: str) -> None:
        if request == "cancel":
            cancels.append(rig.exchange.clock.seconds())
            if refused(len(cancels)):
                raise REFUSED

    rig.exchange.before = before


def cancel_requests(desk: Desk, order: Order) -> int:
    with desk.database.read() as connection:
        return sum(
            event.kind == EventKind.CANCEL_REQUESTED and event.subject == order.id
            for event in audit.all_events(connection)
        )


def test_refused_cancel_is_repeated_until_the_broker_accepts_it(rig: EngineRig) -> None:
    order, cancels = working(rig), list[float]()
    refuse_cancels(rig, cancels, refused=lambda number: number < 3)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    rig.route()
    assert order_now(rig.desk, order).status is Status.OPEN
    run_for(rig, 30)
    assert order_now(rig.desk, order).status is Status.CANCELLED
    assert len(cancels) == 3


def test_cancel_is_repeated_less_often_the_longer_it_is_refused(rig: EngineRig) -> None:
    _, cancels = working(rig), list[float]()
    refuse_cancels(rig, cancels)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    run_for(rig, 600)
    waits = [later - sooner for sooner, later in pairwise(cancels)]
    assert min(waits) >= 5
    assert max(waits) <= 36
    assert waits[-1] > waits[0]
    assert cancels[-1] > rig.exchange.clock.seconds() - 40


def test_no_cancels_are_requested_after_trading_is_resumed(rig: EngineRig) -> None:
    order, cancels = working(rig), list[float]()
    refuse_cancels(rig, cancels)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    run_for(rig, 20)
    halts.resume_trading(rig.desk, CAUSE)
    before = len(cancels)
    assert before >= 2
    run_for(rig, 120)
    assert len(cancels) == before
    assert (order_now(rig.desk, order).status, order_now(rig.desk, order).pending) == (Status.OPEN, None)


def test_cancel_is_sent_when_the_broker_returns(rig: EngineRig) -> None:
    order = working(rig)
    rig.exchange.before = failing(BrokerNotReached("away"), "cancel", "find", "reports")
    halts.halt_trading(rig.desk, CAUSE, "stop")
    run_for(rig, 120)
    assert order_now(rig.desk, order).pending is PendingRequest.PENDING_CANCEL
    rig.exchange.before = no_fault
    run_for(rig, 10)
    assert order_now(rig.desk, order).status is Status.CANCELLED


@pytest.mark.parametrize("kinds", [(EventKind.SUBMITTING,), (EventKind.SUBMITTING, EventKind.UNCERTAIN)])
def test_order_that_begins_to_work_after_the_halt_is_cancelled(
    rig: EngineRig, kinds: tuple[EventKind, ...]
) -> None:
    order = advance(rig.desk, buy(rig.desk), *kinds)
    rig.exchange.place(order)
    cancels: list[float] = []
    refuse_cancels(rig, cancels, refused=lambda number: number < 2)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    assert order_now(rig.desk, order).status is not Status.OPEN
    rig.reconcile()
    run_for(rig, 20)
    assert order_now(rig.desk, order).status is Status.CANCELLED
    assert len(cancels) == 2


def test_engine_cancels_what_the_halt_could_not(rig: EngineRig, monkeypatch: pytest.MonkeyPatch) -> None:
    order = working(rig)

    def broken(*_: object) -> None:
        raise ValueError("no")

    with monkeypatch.context() as patch:
        patch.setattr(cancel, "request_all", broken)
        with pytest.raises(ValueError, match="no"):
            halts.halt_trading(rig.desk, CAUSE, "stop")
    assert order_now(rig.desk, order).pending is None
    run_for(rig, 2)
    assert order_now(rig.desk, order).status is Status.CANCELLED


def test_exit_placed_after_the_halt_is_kept_when_the_clock_is_set_back(
    rig: EngineRig, clock: FakeClock
) -> None:
    hold(rig.desk, "30")
    before = rig.send(sell(rig.desk, "10", limit="104", reduce_only=True))
    cancels: list[float] = []
    refuse_cancels(rig, cancels, refused=lambda number: number < 2)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    clock.forward(hours=-1)
    set_prices(rig.desk)
    out = rig.send(sell(rig.desk, "10", limit="104", reduce_only=True))
    run_for(rig, 20)
    assert order_now(rig.desk, before).status is Status.CANCELLED
    assert order_now(rig.desk, out).status is Status.OPEN


def test_exits_of_a_flattening_halt_are_kept_when_the_clock_is_set_back(
    rig: EngineRig, clock: FakeClock
) -> None:
    hold(rig.desk, "30")
    clock.forward(hours=1)  # the quote is stale then, and the position cannot be closed at once
    halts.halt_trading(rig.desk, CAUSE, "flat", flatten=True)
    clock.forward(hours=-1)
    for _ in range(25):
        set_prices(rig.desk)
        run_for(rig, 1)
    assert len(rig.exchange.sent) == 1


def test_halt_without_cancels_cancels_nothing(rig: EngineRig) -> None:
    order = working(rig)
    halts.halt_trading(rig.desk, CAUSE, "stop", cancel_orders=False)
    run_for(rig, 10)
    assert order_now(rig.desk, order).pending is None
    assert cancel_requests(rig.desk, order) == 0


def test_second_halt_does_not_withdraw_the_cancels_of_the_first(rig: EngineRig) -> None:
    order, cancels = working(rig), list[float]()
    refuse_cancels(rig, cancels, refused=lambda number: number < 2)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    rig.route()
    halts.halt_trading(rig.desk, CAUSE, "stay", cancel_orders=False)
    run_for(rig, 20)
    assert order_now(rig.desk, order).status is Status.CANCELLED


def test_halt_of_a_strategy_cancels_only_its_orders(rig: EngineRig) -> None:
    own, other = rig.send(buy(rig.desk, strategy="trend")), working(rig)
    cancels: list[float] = []
    refuse_cancels(rig, cancels, refused=lambda number: number < 2)
    halts.halt_trading(rig.desk, CAUSE, "stop", scope=Scope("trend"))
    run_for(rig, 20)
    assert order_now(rig.desk, own).status is Status.CANCELLED
    assert cancel_requests(rig.desk, other) == 0


def test_refused_cancel_is_repeated_although_a_change_is_pending(rig: EngineRig) -> None:
    order = working(rig)
    modify.modify_order(rig.desk, order.id, ModifyRequest(Decimal(20), None, None), CAUSE)
    cancels: list[float] = []
    refuse_cancels(rig, cancels, refused=lambda number: number < 2)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    run_for(rig, 30)
    gone = order_now(rig.desk, order)
    assert (gone.status, gone.terms.quantity) == (Status.CANCELLED, Decimal(10))


def test_cancels_are_sent_when_the_days_orders_are_used_up(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    rules = settings.algosat.engine.model_copy(update={"orders_per_day": 1})
    rig = build_rig(desk, exchange, rules)
    order, cancels = working(rig), list[float]()
    refuse_cancels(rig, cancels, refused=lambda number: number < 2)
    halts.halt_trading(desk, CAUSE, "stop")
    run_for(rig, 20)
    assert order_now(desk, order).status is Status.CANCELLED


def test_refused_cancel_of_a_flattening_halt_is_repeated_with_delays(rig: EngineRig) -> None:
    hold(rig.desk, "10", side=Side.BUY)
    order, cancels = rig.send(sell(rig.desk, "10", limit="104")), list[float]()
    refuse_cancels(rig, cancels)
    rig.exchange.clock.forward(seconds=1)
    halts.halt_trading(rig.desk, CAUSE, "flat", flatten=True)
    run_for(rig, 300)
    assert order_now(rig.desk, order).status is Status.OPEN
    assert 10 <= len(cancels) <= 20


def test_cancel_whose_answer_is_lost_is_not_requested_twice(rig: EngineRig) -> None:
    order = working(rig)
    rig.exchange.after = failing(BrokerUncertain("lost"), "cancel")
    halts.halt_trading(rig.desk, CAUSE, "stop")
    run_for(rig, 10)
    assert order_now(rig.desk, order).status is Status.CANCELLED
    assert cancel_requests(rig.desk, order) == 1


def test_denied_exit_is_retried_with_growing_delays(rig: EngineRig) -> None:
    """The position is part of a lot, as after a change of lot sizes: no order can close it."""
    hold(rig.desk, "50", symbol=FUTURE, product=Product.INTRADAY)
    larger_lots = [replace(each, lot=Decimal(75)) for each in instruments()]
    replace_instruments(rig.desk, larger_lots)
    halts.halt_trading(rig.desk, CAUSE, "flat", flatten=True)
    for _ in range(60):
        set_prices(rig.desk)
        run_for(rig, 10, step=5)
    with rig.desk.database.read() as connection:
        rows = queries.orders_page(connection, limit=1000, status="denied").rows
    assert {row.code for row in rows} == {"off_lot"}
    assert 5 <= len(rows) <= 15
