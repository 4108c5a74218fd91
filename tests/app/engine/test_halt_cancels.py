"""A halt's cancels against a broker that refuses them, is away, or has orders that nobody knew of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, ModifyRequest, Order, PendingRequest, Product, Side, Status
from algosat.domain.scope import Scope
from algosat.engine.quotes import replace_instruments
from algosat.errors import BrokerNotReached, BrokerRejected, BrokerUncertain
from algosat.store import audit, queries
from algosat.trading import cancel, halts, modify
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, FUTURE, advance, buy, hold, instruments, order_now, sell, set_prices
from tests.app.engine.rig import EngineRig, build_rig, failing
from tests.app.engine.test_sender import quiet
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

REFUSED = BrokerRejected("not in this phase")


def working(rig: EngineRig) -> Order:
    return rig.sent(buy(rig.desk))


def live_through(rig: EngineRig, seconds: int) -> None:
    """Second by second, everything the engine does then."""
    for _ in range(seconds):
        rig.exchange.clock.forward(seconds=1)
        rig.components.duties.step(rig.components.reconciler.read_at)
        rig.components.reconciler.step()
        rig.route()


def refusing(rig: EngineRig, asked: list[float], *, after: Callable[[int], bool] = lambda _: True) -> None:
    """Have it refuse cancels, and note when each came; `after` says of its number whether it is refused."""

    def before(request: str) -> None:
        if request == "cancel":
            asked.append(rig.exchange.clock.seconds())
            if after(len(asked)):
                raise REFUSED

    rig.exchange.before = before


def requests(desk: Desk, order: Order) -> int:
    with desk.database.read() as connection:
        return sum(
            event.kind == EventKind.CANCEL_REQUESTED and event.subject == order.id
            for event in audit.all_events(connection)
        )


def test_a_refused_cancel_is_asked_for_again_until_the_broker_gives_in(rig: EngineRig) -> None:
    order, asked = working(rig), list[float]()
    refusing(rig, asked, after=lambda number: number < 3)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    rig.route()
    assert order_now(rig.desk, order).status is Status.OPEN
    live_through(rig, 30)
    assert order_now(rig.desk, order).status is Status.CANCELLED
    assert len(asked) == 3


def test_refused_again_and_again_it_is_asked_for_less_often_but_for_ever(rig: EngineRig) -> None:
    _, asked = working(rig), list[float]()
    refusing(rig, asked)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    live_through(rig, 600)
    waits = [later - sooner for sooner, later in pairwise(asked)]
    assert min(waits) >= 5
    assert max(waits) <= 36
    assert waits[-1] > waits[0]
    assert asked[-1] > rig.exchange.clock.seconds() - 40


def test_a_halt_that_is_lifted_asks_no_more(rig: EngineRig) -> None:
    order, asked = working(rig), list[float]()
    refusing(rig, asked)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    live_through(rig, 20)
    halts.resume_trading(rig.desk, CAUSE)
    before = len(asked)
    assert before >= 2
    live_through(rig, 120)
    assert len(asked) == before
    assert (order_now(rig.desk, order).status, order_now(rig.desk, order).pending) == (Status.OPEN, None)


def test_a_broker_that_was_away_cancels_once_it_is_back(rig: EngineRig) -> None:
    order = working(rig)
    rig.exchange.before = failing(BrokerNotReached("away"), "cancel", "find", "reports")
    halts.halt_trading(rig.desk, CAUSE, "stop")
    live_through(rig, 120)
    assert order_now(rig.desk, order).pending is PendingRequest.PENDING_CANCEL
    rig.exchange.before = quiet
    live_through(rig, 10)
    assert order_now(rig.desk, order).status is Status.CANCELLED


@pytest.mark.parametrize("kinds", [(EventKind.SUBMITTING,), (EventKind.SUBMITTING, EventKind.UNCERTAIN)])
def test_an_order_that_comes_to_work_after_the_halt_is_cancelled(
    rig: EngineRig, kinds: tuple[EventKind, ...]
) -> None:
    order = advance(rig.desk, buy(rig.desk), *kinds)
    rig.exchange.place(order)
    asked: list[float] = []
    refusing(rig, asked, after=lambda number: number < 2)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    assert order_now(rig.desk, order).status is not Status.OPEN
    rig.look()
    live_through(rig, 20)
    assert order_now(rig.desk, order).status is Status.CANCELLED
    assert len(asked) == 2


def test_what_a_halt_could_not_cancel_is_cancelled_by_the_engine(
    rig: EngineRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = working(rig)

    def broken(*_: object) -> None:
        raise ValueError("no")

    with monkeypatch.context() as patch:
        patch.setattr(cancel, "request_all", broken)
        with pytest.raises(ValueError, match="no"):
            halts.halt_trading(rig.desk, CAUSE, "stop")
    assert order_now(rig.desk, order).pending is None
    live_through(rig, 2)
    assert order_now(rig.desk, order).status is Status.CANCELLED


def test_a_way_out_taken_while_halted_is_not_recalled_whatever_the_clock(
    rig: EngineRig, clock: FakeClock
) -> None:
    hold(rig.desk, "30")
    before = rig.sent(sell(rig.desk, "10", limit="104", reduce_only=True))
    asked: list[float] = []
    refusing(rig, asked, after=lambda number: number < 2)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    clock.forward(hours=-1)
    set_prices(rig.desk)
    out = rig.sent(sell(rig.desk, "10", limit="104", reduce_only=True))
    live_through(rig, 20)
    assert order_now(rig.desk, before).status is Status.CANCELLED
    assert order_now(rig.desk, out).status is Status.OPEN


def test_exits_of_a_flattening_halt_survive_a_clock_that_is_put_back(
    rig: EngineRig, clock: FakeClock
) -> None:
    hold(rig.desk, "30")
    clock.forward(hours=1)  # by which its price is stale: it cannot be closed at once
    halts.halt_trading(rig.desk, CAUSE, "flat", flatten=True)
    clock.forward(hours=-1)
    for _ in range(25):
        set_prices(rig.desk)
        live_through(rig, 1)
    assert len(rig.exchange.sent) == 1


def test_a_halt_that_leaves_orders_working_recalls_none(rig: EngineRig) -> None:
    order = working(rig)
    halts.halt_trading(rig.desk, CAUSE, "stop", cancel_orders=False)
    live_through(rig, 10)
    assert order_now(rig.desk, order).pending is None
    assert requests(rig.desk, order) == 0


def test_a_second_halt_does_not_call_off_the_first_ones_cancels(rig: EngineRig) -> None:
    order, asked = working(rig), list[float]()
    refusing(rig, asked, after=lambda number: number < 2)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    rig.route()
    halts.halt_trading(rig.desk, CAUSE, "stay", cancel_orders=False)
    live_through(rig, 20)
    assert order_now(rig.desk, order).status is Status.CANCELLED


def test_a_strategys_halt_recalls_its_orders_alone(rig: EngineRig) -> None:
    own, other = rig.sent(buy(rig.desk, strategy="trend")), working(rig)
    asked: list[float] = []
    refusing(rig, asked, after=lambda number: number < 2)
    halts.halt_trading(rig.desk, CAUSE, "stop", scope=Scope("trend"))
    live_through(rig, 20)
    assert order_now(rig.desk, own).status is Status.CANCELLED
    assert requests(rig.desk, other) == 0


def test_a_change_that_the_cancel_outweighed_does_not_keep_it_from_being_asked_again(rig: EngineRig) -> None:
    order = working(rig)
    modify.modify_order(rig.desk, order.id, ModifyRequest(Decimal(20), None, None), CAUSE)
    asked: list[float] = []
    refusing(rig, asked, after=lambda number: number < 2)
    halts.halt_trading(rig.desk, CAUSE, "stop")
    live_through(rig, 30)
    gone = order_now(rig.desk, order)
    assert (gone.status, gone.terms.quantity) == (Status.CANCELLED, Decimal(10))


def test_a_used_up_day_keeps_no_recall_waiting(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    rules = settings.algosat.engine.model_copy(update={"orders_per_day": 1})
    rig = build_rig(desk, exchange, rules)
    order, asked = working(rig), list[float]()
    refusing(rig, asked, after=lambda number: number < 2)
    halts.halt_trading(desk, CAUSE, "stop")
    live_through(rig, 20)
    assert order_now(desk, order).status is Status.CANCELLED


def test_a_refused_cancel_of_a_flattening_halt_is_not_asked_for_every_time(rig: EngineRig) -> None:
    hold(rig.desk, "10", side=Side.BUY)
    order, asked = rig.sent(sell(rig.desk, "10", limit="104")), list[float]()
    refusing(rig, asked)
    rig.exchange.clock.forward(seconds=1)
    halts.halt_trading(rig.desk, CAUSE, "flat", flatten=True)
    live_through(rig, 300)
    assert order_now(rig.desk, order).status is Status.OPEN
    assert 10 <= len(asked) <= 20


def test_a_lost_answer_is_looked_up_and_asks_no_second_time(rig: EngineRig) -> None:
    order = working(rig)
    rig.exchange.after = failing(BrokerUncertain("lost"), "cancel")
    halts.halt_trading(rig.desk, CAUSE, "stop")
    live_through(rig, 10)
    assert order_now(rig.desk, order).status is Status.CANCELLED
    assert requests(rig.desk, order) == 1


def test_an_exit_that_is_denied_is_not_tried_every_few_seconds(rig: EngineRig) -> None:
    """A part of a lot is left, as when lots have changed: no order takes it off."""
    hold(rig.desk, "50", symbol=FUTURE, product=Product.INTRADAY)
    unwieldy = [replace(each, lot=Decimal(75)) for each in instruments()]
    replace_instruments(rig.desk, unwieldy)
    halts.halt_trading(rig.desk, CAUSE, "flat", flatten=True)
    for _ in range(600):
        set_prices(rig.desk)
        live_through(rig, 1)
    with rig.desk.database.read() as connection:
        rows = queries.orders_page(connection, limit=1000, status="denied").rows
    assert {row.code for row in rows} == {"off_lot"}
    assert 5 <= len(rows) <= 15
