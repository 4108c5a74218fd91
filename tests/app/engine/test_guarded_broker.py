from __future__ import annotations

import pytest

from algosat.engine.budget import Budget
from algosat.engine.guarded_broker import GuardedBroker
from algosat.errors import BrokerNotReached, BrokerRejected, BrokerUncertain
from algosat.trading.desk import Desk
from tests.app.desks import buy
from tests.app.engine.rig import failing, source_of
from tests.app.fake_exchange import FakeExchange, reported
from tests.app.fakes import FakeClock


@pytest.fixture
def broker(exchange: FakeExchange, clock: FakeClock) -> GuardedBroker:
    guarded = GuardedBroker(source_of(exchange), clock, Budget(()))
    guarded.build()
    return guarded


def fail(broker: GuardedBroker, desk: Desk, times: int, *, error: type[Exception] = BrokerUncertain) -> None:
    order = buy(desk)
    for _ in range(times):
        with pytest.raises(error):
            broker.place(order)


def test_broker_gets_no_requests_after_five_failures_in_a_row(
    broker: GuardedBroker, exchange: FakeExchange, desk: Desk
) -> None:
    exchange.before = failing(BrokerUncertain("lost"), "place")
    fail(broker, desk, 5)
    requests: list[str] = []
    exchange.before = requests.append
    fail(broker, desk, 1, error=BrokerNotReached)
    assert requests == []
    assert not broker.session().active


def test_broker_gets_requests_again_after_the_rest(
    broker: GuardedBroker, exchange: FakeExchange, desk: Desk, clock: FakeClock
) -> None:
    exchange.before = failing(BrokerUncertain("lost"), "place")
    fail(broker, desk, 5)
    clock.forward(seconds=5.1)
    fail(broker, desk, 1)
    fail(broker, desk, 1, error=BrokerNotReached)
    clock.forward(seconds=5.1)
    exchange.before = lambda _request: None
    assert broker.place(buy(desk)).broker_order_id == "B1"
    assert broker.session().active


def test_rejections_do_not_count_as_failures(
    broker: GuardedBroker, exchange: FakeExchange, desk: Desk
) -> None:
    exchange.before = failing(BrokerRejected("no"), "place")
    fail(broker, desk, 10, error=BrokerRejected)
    assert broker.session().active


def test_cancel_passes_while_the_circuit_is_open(
    broker: GuardedBroker, exchange: FakeExchange, desk: Desk
) -> None:
    order = buy(desk)
    exchange.place(order)
    exchange.before = failing(BrokerUncertain("lost"), "place")
    fail(broker, desk, 5)
    assert reported(broker.cancel(order)).status == "cancelled"


def test_unexpected_exception_of_an_adapter_is_an_uncertain_outcome(
    broker: GuardedBroker, exchange: FakeExchange, desk: Desk
) -> None:
    exchange.after = failing(ZeroDivisionError("oops"), "place")
    with pytest.raises(BrokerUncertain, match="ZeroDivisionError: oops"):
        broker.place(buy(desk))


def test_setting_the_clock_back_does_not_prolong_the_rest(
    broker: GuardedBroker, exchange: FakeExchange, desk: Desk, clock: FakeClock
) -> None:
    exchange.before = failing(BrokerUncertain("lost"), "place")
    fail(broker, desk, 5)
    clock.forward(hours=-1)
    assert broker.session().active
