"""Answers that acknowledge a request without the order's state: only a report of the broker tells that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from algosat.brokers.faults.faulty_broker import FaultyBroker
from algosat.brokers.faults.plan import AdjustablePlan, Fault, FaultPlan
from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, ModifyRequest, Order, OrderType, PendingRequest, Status
from algosat.domain.reason_codes import EngineCode
from algosat.store import history
from algosat.trading import cancel, modify
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, buy, order_now
from tests.app.engine.rig import EngineRig, build_rig
from tests.app.fake_exchange import FakeExchange

CHANGE = ModifyRequest(Decimal(20), Decimal(101), None)


@dataclass
class Requests:
    """Counts the requests that reach the exchange."""

    sent: list[str]

    def __call__(self, request: str) -> None:
        self.sent.append(request)


@pytest.fixture
def rig(desk: Desk, exchange: FakeExchange, settings: Settings) -> EngineRig:
    """Return a rig whose broker acknowledges every request without the order's state."""
    return acknowledging(desk, exchange, settings)


def acknowledging(desk: Desk, exchange: FakeExchange, settings: Settings) -> EngineRig:
    plan = AdjustablePlan(FaultPlan(rates={Fault.ACKNOWLEDGED: 1.0}))
    return build_rig(desk, exchange, settings.algosat.engine, broker=FaultyBroker(exchange, plan))


def wait(rig: EngineRig, seconds: float) -> None:
    """Let the reconciler notice the order, and do what is due after this time."""
    rig.components.reconciler.step()
    rig.exchange.clock.forward(seconds=seconds)
    rig.components.reconciler.step()
    rig.route()


def test_acknowledged_order_stays_submitting_until_the_book_shows_it(rig: EngineRig) -> None:
    rig.exchange.lags = True
    order = rig.send(buy(rig.desk))
    assert (order.status, order.broker_order_id, order.is_acknowledged) == (Status.SUBMITTING, "B1", False)
    rig.exchange.lags = False
    wait(rig, 0.6)
    assert order_now(rig.desk, order).status is Status.OPEN


def test_pushed_report_opens_an_acknowledged_order(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    rig.components.report_processor.process([rig.exchange.book["B1"]])
    assert order_now(rig.desk, order).status is Status.OPEN


def test_report_without_a_tag_opens_the_order_that_was_acknowledged_with_its_number(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    rig.components.report_processor.process([replace(rig.exchange.book["B1"], tag=None)])
    assert order_now(rig.desk, order).status is Status.OPEN
    assert [each.id for each in rig.working()] == [order.id]


def test_acknowledgement_that_comes_after_the_push_changes_nothing(rig: EngineRig) -> None:
    def push(_request: str) -> None:
        rig.components.report_processor.process([rig.exchange.book["B1"]])

    rig.exchange.after = push
    order = rig.send(buy(rig.desk))
    assert order.status is Status.OPEN
    assert EventKind.ACKNOWLEDGED not in kinds(rig, order)


def test_rejection_after_the_acknowledgement_rejects_the_order(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    rig.exchange.end(order, Status.REJECTED, "margin")
    wait(rig, 0.6)
    rejected = order_now(rig.desk, order)
    assert (rejected.status, rejected.reason) == (Status.REJECTED, "margin")


def test_order_that_the_broker_never_shows_becomes_unknown_and_is_never_sent_again(rig: EngineRig) -> None:
    rig.exchange.lags = True
    order = rig.send(buy(rig.desk))
    for _ in range(25):
        wait(rig, 2)
    unknown = order_now(rig.desk, order)
    assert unknown.status is Status.UNKNOWN
    assert "acknowledged" in str(unknown.reason)
    assert rig.exchange.sent == [order.id]
    rig.exchange.lags = False
    wait(rig, 31)
    assert order_now(rig.desk, order).status is Status.OPEN


def test_restarted_engine_searches_for_an_acknowledged_order(
    rig: EngineRig, exchange: FakeExchange, settings: Settings
) -> None:
    rig.exchange.lags = True
    order = rig.send(buy(rig.desk))
    after = acknowledging(rig.desk, exchange, settings)
    after.components.reconciler.mark_interrupted()
    assert order_now(rig.desk, order).status is Status.SUBMITTING
    exchange.lags = False
    wait(after, 0.6)
    assert order_now(rig.desk, order).status is Status.OPEN
    assert exchange.sent == [order.id]


def test_stop_that_is_acknowledged_waits_for_its_trigger_once_it_is_shown(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk, limit=None, type=OrderType.STOP, trigger_price=Decimal(102)))
    wait(rig, 0.6)
    assert order_now(rig.desk, order).status is Status.TRIGGER_PENDING


def test_first_answer_is_the_report_and_not_the_acknowledgement(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    with rig.desk.database.read() as connection:
        assert history.as_acknowledged(connection, order.id) is None
    wait(rig, 0.6)
    with rig.desk.database.read() as connection:
        answered = history.as_acknowledged(connection, order.id)
    assert answered is not None
    assert answered.status is Status.OPEN


def test_cancel_waits_until_the_acknowledged_order_is_shown(rig: EngineRig) -> None:
    rig.exchange.lags = True
    order = rig.send(buy(rig.desk))
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    rig.route()
    assert rig.exchange.book["B1"].status is Status.OPEN
    rig.exchange.lags = False
    wait(rig, 0.6)
    assert order_now(rig.desk, order).status is Status.CANCELLED


def test_acknowledged_cancel_is_confirmed_by_the_book(rig: EngineRig) -> None:
    order = opened(rig)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    assert rig.send(order).status is Status.CANCELLED


def test_acknowledged_cancel_is_read_before_it_is_sent_again(rig: EngineRig) -> None:
    order = opened(rig)
    rig.exchange.lags = True
    requests = rig.exchange.before = Requests([])
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    rig.route()
    assert (requests.sent, order_now(rig.desk, order).pending) == (
        ["cancel", "find"],
        PendingRequest.PENDING_CANCEL,
    )
    rig.exchange.clock.forward(seconds=1)
    rig.route()
    assert requests.sent == ["cancel", "find", "find"]
    rig.exchange.clock.forward(seconds=2)
    rig.route()
    assert requests.sent[3:] == ["cancel", "find"]


def test_acknowledged_change_is_not_sent_again(rig: EngineRig) -> None:
    order = opened(rig)
    rig.exchange.lags = True
    requests = rig.exchange.before = Requests([])
    modify.modify_order(rig.desk, order.id, CHANGE, CAUSE)
    for _ in range(3):
        rig.route()
        rig.exchange.clock.forward(seconds=5)
    assert requests.sent.count("modify") == 1
    rig.exchange.lags = False
    changed = rig.send(order)
    assert changed.pending is None
    assert changed.terms.quantity == 20


def test_second_change_is_sent_although_the_first_was_acknowledged(rig: EngineRig) -> None:
    order = opened(rig)
    for quantity in (20, 30):
        modify.modify_order(rig.desk, order.id, ModifyRequest(Decimal(quantity)), CAUSE)
        rig.route()
    assert order_now(rig.desk, order).terms.quantity == 30


def test_change_that_the_book_never_shows_fails(rig: EngineRig) -> None:
    order = opened(rig)
    rig.exchange.lags = True
    modify.modify_order(rig.desk, order.id, CHANGE, CAUSE)
    for _ in range(10):
        rig.route()
        rig.exchange.clock.forward(seconds=5)
    changed = order_now(rig.desk, order)
    assert changed.pending is None
    assert changed.code == EngineCode.CHANGE_UNCONFIRMED
    assert changed.terms.quantity == 10


def opened(rig: EngineRig) -> Order:
    order = rig.send(buy(rig.desk))
    wait(rig, 0.6)
    return order_now(rig.desk, order)


def kinds(rig: EngineRig, order: Order) -> list[EventKind]:
    with rig.desk.database.read() as connection:
        return [kind for kind in EventKind if history.number_of(connection, order.id, kind)]
