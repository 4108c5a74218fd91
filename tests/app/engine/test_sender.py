from __future__ import annotations

import pytest
from sqlalchemy import Connection

from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, Order, Status
from algosat.engine.codes import EngineCode
from algosat.engine.leadership import NotLeading
from algosat.errors import (
    BrokerError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUncertain,
)
from algosat.store import audit
from algosat.trading import cancel, halt
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, buy, order_now
from tests.app.engine.floor import Floor, failing, open_floor
from tests.app.exchange import FakeExchange
from tests.app.fakes import FakeClock


def quiet(_request: str) -> None:
    return


def test_a_rejection_carries_the_brokers_code_and_words(floor: Floor) -> None:
    floor.exchange.before = failing(BrokerRejected("no margin", code="margin"), "place")
    order = floor.sent(buy(floor.desk))
    assert (order.status, order.code, order.reason) == (Status.REJECTED, "margin", "no margin")


@pytest.mark.parametrize(
    "error", [BrokerUncertain("timed out"), KeyError("a field the adapter did not expect"), TimeoutError()]
)
def test_whatever_leaves_the_outcome_open_makes_the_order_unknown(floor: Floor, error: Exception) -> None:
    floor.exchange.after = failing(error, "place")
    order = floor.sent(buy(floor.desk))
    assert (order.status, order.code) == (Status.UNKNOWN, "broker_uncertain")
    floor.route()
    assert floor.exchange.sent == [order.id]


@pytest.mark.parametrize("error", [BrokerNotReached("refused"), BrokerSessionExpired("log in")])
def test_what_surely_did_not_leave_is_sent_again(floor: Floor, clock: FakeClock, error: BrokerError) -> None:
    floor.exchange.before = failing(error, "place")
    order = floor.sent(buy(floor.desk))
    assert order.status is Status.SUBMITTING
    floor.exchange.before = quiet
    clock.forward(seconds=0.3)
    assert floor.sent(order).status is Status.OPEN
    assert floor.exchange.sent == [order.id]


def test_what_could_not_leave_in_time_is_refused_with_the_reason(floor: Floor, clock: FakeClock) -> None:
    floor.exchange.before = failing(BrokerNotReached("connection refused"), "place")
    order = buy(floor.desk)
    for _ in range(12):
        floor.route()
        clock.forward(seconds=1)
    refused = order_now(floor.desk, order)
    assert (refused.status, refused.code) == (Status.REJECTED, "broker_unreachable")
    assert floor.exchange.sent == []


def test_what_waits_to_be_sent_again_is_refused_when_the_engine_stops(floor: Floor) -> None:
    floor.exchange.before = failing(BrokerNotReached("refused"), "place")
    order = floor.sent(buy(floor.desk))
    floor.parts.router.stop()
    refused = order_now(floor.desk, order)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.INTERRUPTED)


def test_a_call_that_does_not_get_through_while_the_engine_stops_is_refused_too(floor: Floor) -> None:
    def stop_then_fail(_request: str) -> None:
        floor.parts.router.stop()
        raise BrokerNotReached("refused")

    floor.exchange.before = stop_then_fail
    refused = floor.sent(buy(floor.desk))
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.INTERRUPTED)


def test_a_broker_that_asks_for_fewer_requests_gets_none_for_a_second(floor: Floor, clock: FakeClock) -> None:
    floor.exchange.before = failing(BrokerRateLimited("429"), "place")
    buy(floor.desk)
    floor.route()
    floor.exchange.before = quiet
    other = buy(floor.desk)
    clock.forward(seconds=0.2)
    floor.route()
    assert order_now(floor.desk, other).status is Status.CREATED
    clock.forward(seconds=1)
    floor.route()
    assert order_now(floor.desk, other).status is Status.OPEN


def waiting(floor: Floor, clock: FakeClock) -> Order:
    """An order that could not leave, and whose next try has come: the broker can be reached again."""
    floor.exchange.before = failing(BrokerNotReached("refused"), "place")
    order = floor.sent(buy(floor.desk))
    floor.exchange.before = quiet
    clock.forward(seconds=0.3)
    return order


def test_the_order_itself_is_not_sent_again_before_a_pause_is_over(floor: Floor, clock: FakeClock) -> None:
    floor.exchange.before = failing(BrokerRateLimited("429"), "place")
    order = floor.sent(buy(floor.desk))
    floor.exchange.before = quiet
    clock.forward(seconds=0.3)
    assert floor.sent(order).status is Status.SUBMITTING
    clock.forward(seconds=1)
    assert floor.sent(order).status is Status.OPEN


def test_what_is_sent_again_needs_a_permit_too(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    rules = settings.algosat.engine.model_copy(update={"orders_per_second": 2})
    floor = open_floor(desk, exchange, rules)
    exchange.before = failing(BrokerNotReached("refused"), "place")
    for _ in range(2):
        buy(desk)
    floor.route()
    clock.forward(seconds=1)
    for _ in range(2):
        buy(desk)
    floor.route()
    exchange.before = quiet
    clock.forward(seconds=1)
    floor.route()
    assert len(exchange.sent) == 2
    clock.forward(seconds=1)
    floor.route()
    assert len(exchange.sent) == 4


def test_a_halt_stops_what_waits_to_be_sent_again(floor: Floor, clock: FakeClock) -> None:
    order = waiting(floor, clock)
    halt.halt(floor.desk, CAUSE, "enough", cancel_orders=False)
    stopped = floor.sent(order)
    assert (stopped.status, stopped.code) == (Status.REJECTED, EngineCode.HALTED_BEFORE_SENDING)
    assert floor.exchange.sent == []


def test_what_was_cancelled_while_it_waited_is_not_sent_again(floor: Floor, clock: FakeClock) -> None:
    order = waiting(floor, clock)
    cancel.cancel(floor.desk, order.id, CAUSE)
    assert floor.sent(order).status is Status.CANCELLED
    assert floor.exchange.sent == []


def test_an_engine_that_lost_the_lead_sends_nothing_again(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    lost: list[str] = []

    def fence(_connection: Connection) -> None:
        if lost:
            raise NotLeading("another one leads")

    floor = open_floor(desk, exchange, settings.algosat.engine, fence)
    waiting(floor, clock)
    lost.append("lead")
    with pytest.raises(NotLeading):
        floor.route()
    assert exchange.sent == []


def test_a_call_that_hangs_makes_the_order_unknown_and_its_late_answer_counts(
    floor: Floor, clock: FakeClock
) -> None:
    during: list[Status] = []

    def hang(_request: str) -> None:
        clock.forward(seconds=16)
        floor.route()
        during.append(order_now(floor.desk, order).status)

    order = buy(floor.desk)
    floor.exchange.after = hang
    assert floor.sent(order).status is Status.OPEN
    assert during == [Status.UNKNOWN]


def test_a_report_that_overtakes_the_answer_wins(floor: Floor) -> None:
    def push_then_fail(_request: str) -> None:
        floor.parts.intake.take(list(floor.exchange.book.values()))
        raise BrokerUncertain("the answer was lost")

    floor.exchange.after = push_then_fail
    order = floor.sent(buy(floor.desk))
    assert order.status is Status.OPEN
    with floor.desk.database.read() as connection:
        kinds = [event.kind for event in audit.events_of(connection, order.id)]
    assert EventKind.UNCERTAIN not in kinds


def test_what_waits_to_be_sent_again_when_the_clock_is_put_back_is_refused(
    floor: Floor, clock: FakeClock
) -> None:
    floor.exchange.before = failing(BrokerNotReached("refused"), "place")
    order = floor.sent(buy(floor.desk))
    floor.exchange.before = quiet
    clock.forward(hours=-1)
    assert floor.sent(order).status is Status.REJECTED
    assert floor.exchange.sent == []


def test_a_call_that_hangs_while_the_clock_is_put_back_is_given_up(floor: Floor, clock: FakeClock) -> None:
    order = buy(floor.desk)
    seen: list[Status] = []

    def hang(_request: str) -> None:
        clock.forward(hours=-1)
        floor.parts.router.step(decide=False)
        seen.append(order_now(floor.desk, order).status)

    floor.exchange.before = hang
    floor.route()
    assert seen == [Status.UNKNOWN]
