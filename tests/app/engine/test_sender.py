from __future__ import annotations

import pytest
from sqlalchemy import Connection

from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, Order, Status
from algosat.domain.reason_codes import EngineCode
from algosat.errors import (
    BrokerError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUncertain,
)
from algosat.store import audit
from algosat.store.leader_lock import NotLeading
from algosat.trading import cancel, halts
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, buy, order_now
from tests.app.engine.rig import EngineRig, build_rig, failing
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock


def quiet(_request: str) -> None:
    return


def test_a_rejection_carries_the_brokers_code_and_words(rig: EngineRig) -> None:
    rig.exchange.before = failing(BrokerRejected("no margin", code="margin"), "place")
    order = rig.sent(buy(rig.desk))
    assert (order.status, order.code, order.reason) == (Status.REJECTED, "margin", "no margin")


@pytest.mark.parametrize(
    "error", [BrokerUncertain("timed out"), KeyError("a field the adapter did not expect"), TimeoutError()]
)
def test_whatever_leaves_the_outcome_open_makes_the_order_unknown(rig: EngineRig, error: Exception) -> None:
    rig.exchange.after = failing(error, "place")
    order = rig.sent(buy(rig.desk))
    assert (order.status, order.code) == (Status.UNKNOWN, "broker_uncertain")
    rig.route()
    assert rig.exchange.sent == [order.id]


@pytest.mark.parametrize("error", [BrokerNotReached("refused"), BrokerSessionExpired("log in")])
def test_what_surely_did_not_leave_is_sent_again(
    rig: EngineRig, clock: FakeClock, error: BrokerError
) -> None:
    rig.exchange.before = failing(error, "place")
    order = rig.sent(buy(rig.desk))
    assert order.status is Status.SUBMITTING
    rig.exchange.before = quiet
    clock.forward(seconds=0.3)
    assert rig.sent(order).status is Status.OPEN
    assert rig.exchange.sent == [order.id]


def test_what_could_not_leave_in_time_is_refused_with_the_reason(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.before = failing(BrokerNotReached("connection refused"), "place")
    order = buy(rig.desk)
    for _ in range(12):
        rig.route()
        clock.forward(seconds=1)
    refused = order_now(rig.desk, order)
    assert (refused.status, refused.code) == (Status.REJECTED, "broker_unreachable")
    assert rig.exchange.sent == []


def test_what_waits_to_be_sent_again_is_refused_when_the_engine_stops(rig: EngineRig) -> None:
    rig.exchange.before = failing(BrokerNotReached("refused"), "place")
    order = rig.sent(buy(rig.desk))
    rig.components.router.stop()
    refused = order_now(rig.desk, order)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.INTERRUPTED)


def test_a_call_that_does_not_get_through_while_the_engine_stops_is_refused_too(rig: EngineRig) -> None:
    def stop_then_fail(_request: str) -> None:
        rig.components.router.stop()
        raise BrokerNotReached("refused")

    rig.exchange.before = stop_then_fail
    refused = rig.sent(buy(rig.desk))
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.INTERRUPTED)


def test_a_broker_that_asks_for_fewer_requests_gets_none_for_a_second(
    rig: EngineRig, clock: FakeClock
) -> None:
    rig.exchange.before = failing(BrokerRateLimited("429"), "place")
    buy(rig.desk)
    rig.route()
    rig.exchange.before = quiet
    other = buy(rig.desk)
    clock.forward(seconds=0.2)
    rig.route()
    assert order_now(rig.desk, other).status is Status.CREATED
    clock.forward(seconds=1)
    rig.route()
    assert order_now(rig.desk, other).status is Status.OPEN


def waiting(rig: EngineRig, clock: FakeClock) -> Order:
    """An order that could not leave, and whose next try has come: the broker can be reached again."""
    rig.exchange.before = failing(BrokerNotReached("refused"), "place")
    order = rig.sent(buy(rig.desk))
    rig.exchange.before = quiet
    clock.forward(seconds=0.3)
    return order


def test_the_order_itself_is_not_sent_again_before_a_pause_is_over(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.before = failing(BrokerRateLimited("429"), "place")
    order = rig.sent(buy(rig.desk))
    rig.exchange.before = quiet
    clock.forward(seconds=0.3)
    assert rig.sent(order).status is Status.SUBMITTING
    clock.forward(seconds=1)
    assert rig.sent(order).status is Status.OPEN


def test_what_is_sent_again_needs_a_permit_too(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    rules = settings.algosat.engine.model_copy(update={"orders_per_second": 2})
    rig = build_rig(desk, exchange, rules)
    exchange.before = failing(BrokerNotReached("refused"), "place")
    for _ in range(2):
        buy(desk)
    rig.route()
    clock.forward(seconds=1)
    for _ in range(2):
        buy(desk)
    rig.route()
    exchange.before = quiet
    clock.forward(seconds=1)
    rig.route()
    assert len(exchange.sent) == 2
    clock.forward(seconds=1)
    rig.route()
    assert len(exchange.sent) == 4


def test_a_halt_stops_what_waits_to_be_sent_again(rig: EngineRig, clock: FakeClock) -> None:
    order = waiting(rig, clock)
    halts.halt_trading(rig.desk, CAUSE, "enough", cancel_orders=False)
    stopped = rig.sent(order)
    assert (stopped.status, stopped.code) == (Status.REJECTED, EngineCode.HALTED_BEFORE_SENDING)
    assert rig.exchange.sent == []


def test_what_was_cancelled_while_it_waited_is_not_sent_again(rig: EngineRig, clock: FakeClock) -> None:
    order = waiting(rig, clock)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    assert rig.sent(order).status is Status.CANCELLED
    assert rig.exchange.sent == []


def test_an_engine_that_lost_the_lead_sends_nothing_again(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    lost: list[str] = []

    def fence(_connection: Connection) -> None:
        if lost:
            raise NotLeading("another one leads")

    rig = build_rig(desk, exchange, settings.algosat.engine, fence)
    waiting(rig, clock)
    lost.append("lead")
    with pytest.raises(NotLeading):
        rig.route()
    assert exchange.sent == []


def test_a_call_that_hangs_makes_the_order_unknown_and_its_late_answer_counts(
    rig: EngineRig, clock: FakeClock
) -> None:
    during: list[Status] = []

    def hang(_request: str) -> None:
        clock.forward(seconds=16)
        rig.route()
        during.append(order_now(rig.desk, order).status)

    order = buy(rig.desk)
    rig.exchange.after = hang
    assert rig.sent(order).status is Status.OPEN
    assert during == [Status.UNKNOWN]


def test_a_report_that_overtakes_the_answer_wins(rig: EngineRig) -> None:
    def push_then_fail(_request: str) -> None:
        rig.components.report_processor.process(list(rig.exchange.book.values()))
        raise BrokerUncertain("the answer was lost")

    rig.exchange.after = push_then_fail
    order = rig.sent(buy(rig.desk))
    assert order.status is Status.OPEN
    with rig.desk.database.read() as connection:
        kinds = [event.kind for event in audit.events_of(connection, order.id)]
    assert EventKind.UNCERTAIN not in kinds


def test_what_waits_to_be_sent_again_when_the_clock_is_put_back_is_refused(
    rig: EngineRig, clock: FakeClock
) -> None:
    rig.exchange.before = failing(BrokerNotReached("refused"), "place")
    order = rig.sent(buy(rig.desk))
    rig.exchange.before = quiet
    clock.forward(hours=-1)
    assert rig.sent(order).status is Status.REJECTED
    assert rig.exchange.sent == []


def test_a_call_that_hangs_while_the_clock_is_put_back_is_given_up(rig: EngineRig, clock: FakeClock) -> None:
    order = buy(rig.desk)
    seen: list[Status] = []

    def hang(_request: str) -> None:
        clock.forward(hours=-1)
        rig.components.router.step(has_created=False)
        seen.append(order_now(rig.desk, order).status)

    rig.exchange.before = hang
    rig.route()
    assert seen == [Status.UNKNOWN]
