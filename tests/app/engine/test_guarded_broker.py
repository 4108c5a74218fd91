"""The guard around a broker: circuits, hangs, exits that pass, and mistakes of an adapter."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Never

import pytest

from algosat.brokers.base import BookHint
from algosat.domain.orders import Status
from algosat.engine import guarded_broker
from algosat.engine.budget import Budget
from algosat.engine.guarded_broker import BrokerSource, GuardedBroker, Operation
from algosat.errors import BrokerNotReached, BrokerRejected, BrokerUncertain
from algosat.resilience.circuit_breaker import CircuitState
from algosat.trading.desk import Desk
from tests.app.desks import SECOND, buy, hold, order_now, sell
from tests.app.engine.rig import EngineRig, failing, no_fault, source_of
from tests.app.events import PATIENCE, wait_for
from tests.app.fake_exchange import FakeExchange, reported
from tests.app.fakes import FakeClock


@pytest.fixture
def broker(exchange: FakeExchange, clock: FakeClock) -> GuardedBroker:
    guarded = GuardedBroker(source_of(exchange), clock, Budget(()))
    guarded.build()
    return guarded


@pytest.fixture
def hanging() -> Iterator[Callable[[str], None]]:
    """Yield a hook in which every request hangs until the end of the test."""
    released = threading.Event()

    def hang(_request: str) -> None:
        released.wait(PATIENCE)

    yield hang
    released.set()


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


@pytest.mark.parametrize("failing_request", ["reports", "positions", "place"])
def test_failures_of_one_operation_stop_no_other(
    broker: GuardedBroker, exchange: FakeExchange, desk: Desk, failing_request: str
) -> None:
    calls: dict[str, Callable[[], object]] = {
        "reports": lambda: broker.read_book(BookHint()),
        "positions": broker.positions,
        "place": lambda: broker.place(buy(desk)),
    }
    exchange.before = failing(BrokerUncertain("lost"), failing_request)
    for _ in range(5):
        with pytest.raises(BrokerUncertain):
            calls[failing_request]()
    exchange.before = no_fault
    refused = set()
    for name, call in calls.items():
        try:
            call()
        except BrokerNotReached:
            refused.add(name)
    assert refused == {failing_request}


@pytest.mark.parametrize("failing_request", ["reports", "place"])
def test_entries_wait_while_orders_or_the_order_book_fail_and_exits_do_not(
    rig: EngineRig, failing_request: str
) -> None:
    broker, exchange = rig.components.guarded_broker, rig.exchange
    hold(rig.desk, "5")
    exchange.before = failing(BrokerUncertain("lost"), failing_request)
    if failing_request == "place":
        fail(broker, rig.desk, 5)
    for _ in range(5):
        rig.reconcile()
    exchange.before = no_fault
    entry, exit_order = buy(rig.desk, symbol=SECOND), sell(rig.desk, "5", reduce_only=True)
    rig.route()
    assert order_now(rig.desk, entry).status is Status.CREATED
    assert order_now(rig.desk, exit_order).status is Status.OPEN


def test_exit_that_gets_through_closes_the_circuit_for_entries(rig: EngineRig) -> None:
    hold(rig.desk, "5")
    rig.exchange.before = failing(BrokerUncertain("lost"), "place")
    fail(rig.components.guarded_broker, rig.desk, 5)
    rig.exchange.before = no_fault
    rig.send(sell(rig.desk, "5", reduce_only=True))
    assert rig.components.guarded_broker.session().active


def test_reading_that_hangs_is_given_up_and_opens_its_circuit_alone(
    broker: GuardedBroker,
    exchange: FakeExchange,
    desk: Desk,
    hanging: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guarded_broker, "_HANGS_AFTER", timedelta(milliseconds=50))
    exchange.before = hanging
    with pytest.raises(BrokerUncertain, match="does not answer"):
        broker.positions()
    with pytest.raises(BrokerNotReached):
        broker.positions()
    circuits = broker.circuits()
    assert circuits[Operation.ACCOUNT] is CircuitState.OPEN
    assert {state for each, state in circuits.items() if each is not Operation.ACCOUNT} == {
        CircuitState.CLOSED
    }
    exchange.before = no_fault
    assert broker.place(buy(desk)).broker_order_id == "B1"


def test_no_more_threads_hang_than_there_are(
    broker: GuardedBroker,
    exchange: FakeExchange,
    clock: FakeClock,
    hanging: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each probe of a broker that hangs leaves a thread behind."""
    monkeypatch.setattr(guarded_broker, "_HANGS_AFTER", timedelta(milliseconds=5))
    begun: list[str] = []

    def hang(request: str) -> None:
        begun.append(request)
        hanging(request)

    exchange.before = hang
    for _ in range(20):
        with pytest.raises((BrokerUncertain, BrokerNotReached)):
            broker.positions()
        clock.forward(seconds=6)
    assert len(begun) == 8


def test_order_that_hangs_opens_the_circuit(
    broker: GuardedBroker,
    exchange: FakeExchange,
    desk: Desk,
    clock: FakeClock,
    hanging: Callable[[str], None],
) -> None:
    exchange.before = hanging
    order = buy(desk)
    threading.Thread(target=lambda: broker.place(order), daemon=True).start()
    wait_for(lambda: any(broker.holds(thread.ident or 0) for thread in threading.enumerate()))
    assert broker.session().active
    clock.forward(seconds=16)
    assert not broker.session().active
    fail(broker, desk, 1, error=BrokerNotReached)


def test_mistake_of_an_adapter_shows_no_secret(
    broker: GuardedBroker,
    exchange: FakeExchange,
    desk: Desk,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = "enctoken=4f1cQz7/9JrKfWc0MVdZ=="

    def mistake(*_: object) -> Never:
        raise ValueError(f"bad answer for {token}")

    for name in ("place", "session", "start"):
        monkeypatch.setattr(exchange, name, mistake)
    with pytest.raises(BrokerUncertain) as raised:
        broker.place(buy(desk))
    with pytest.raises(BrokerNotReached) as not_started:
        broker.start(lambda _: None, lambda _: None, lambda _: None)
    for text in (raised.value.detail, not_started.value.detail, broker.session().detail, caplog.text):
        assert "enctoken" not in text
        assert "ValueError: bad answer for" in text or text is caplog.text
    shown = "".join(traceback.format_exception(raised.value))
    assert token not in shown


def test_broker_whose_adapter_cannot_be_built_is_not_reached_until_it_can(
    exchange: FakeExchange, clock: FakeClock, desk: Desk
) -> None:
    failures: list[Exception] = [KeyError("api_key")]

    def build() -> FakeExchange:
        if failures:
            raise failures.pop()
        return exchange

    broker = GuardedBroker(BrokerSource("fake", exchange.capabilities, build), clock, Budget(()))
    assert not broker.session().active
    with pytest.raises(BrokerNotReached, match="KeyError"):
        broker.build()
    fail(broker, desk, 1, error=BrokerNotReached)
    assert "cannot be built: KeyError" in broker.session().detail
    broker.build()
    clock.forward(seconds=6)
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
