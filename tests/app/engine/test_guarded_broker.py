from __future__ import annotations

import pytest

from algosat.engine.guarded_broker import GuardedBroker
from algosat.errors import BrokerNotReached, BrokerRejected, BrokerUncertain
from algosat.trading.desk import Desk
from tests.app.desks import buy
from tests.app.engine.rig import failing
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock


@pytest.fixture
def guard(exchange: FakeExchange, clock: FakeClock) -> GuardedBroker:
    return GuardedBroker(exchange, clock)


def fail(guard: GuardedBroker, desk: Desk, times: int, *, error: type[Exception] = BrokerUncertain) -> None:
    order = buy(desk)
    for _ in range(times):
        with pytest.raises(error):
            guard.place(order)


def test_after_five_failures_in_a_row_the_broker_is_left_in_peace(
    guard: GuardedBroker, exchange: FakeExchange, desk: Desk
) -> None:
    exchange.before = failing(BrokerUncertain("lost"), "place")
    fail(guard, desk, 5)
    asked: list[str] = []
    exchange.before = asked.append
    fail(guard, desk, 1, error=BrokerNotReached)
    assert asked == []
    assert not guard.session().active


def test_after_a_rest_it_is_tried_again(
    guard: GuardedBroker, exchange: FakeExchange, desk: Desk, clock: FakeClock
) -> None:
    exchange.before = failing(BrokerUncertain("lost"), "place")
    fail(guard, desk, 5)
    clock.forward(seconds=5.1)
    fail(guard, desk, 1)
    fail(guard, desk, 1, error=BrokerNotReached)
    clock.forward(seconds=5.1)
    exchange.before = lambda _request: None
    assert guard.place(buy(desk)).broker_order_id == "B1"
    assert guard.session().active


def test_an_answer_is_no_failure_even_when_it_is_no(
    guard: GuardedBroker, exchange: FakeExchange, desk: Desk
) -> None:
    exchange.before = failing(BrokerRejected("no"), "place")
    fail(guard, desk, 10, error=BrokerRejected)
    assert guard.session().active


def test_a_cancel_goes_through_while_the_broker_rests(
    guard: GuardedBroker, exchange: FakeExchange, desk: Desk
) -> None:
    order = buy(desk)
    exchange.place(order)
    exchange.before = failing(BrokerUncertain("lost"), "place")
    fail(guard, desk, 5)
    assert guard.cancel(order).status == "cancelled"


def test_what_breaks_in_an_adapter_is_an_uncertain_outcome(
    guard: GuardedBroker, exchange: FakeExchange, desk: Desk
) -> None:
    exchange.after = failing(ZeroDivisionError("oops"), "place")
    with pytest.raises(BrokerUncertain, match="ZeroDivisionError: oops"):
        guard.place(buy(desk))


def test_a_clock_that_is_put_back_does_not_prolong_the_rest(
    guard: GuardedBroker, exchange: FakeExchange, desk: Desk, clock: FakeClock
) -> None:
    exchange.before = failing(BrokerUncertain("lost"), "place")
    fail(guard, desk, 5)
    clock.forward(hours=-1)
    assert guard.session().active
