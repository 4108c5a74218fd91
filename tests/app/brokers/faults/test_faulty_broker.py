from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from algosat.brokers.faults.faulty_broker import FaultyBroker
from algosat.brokers.faults.plan import FILE_VARIABLE, AdjustablePlan, Fault, FaultPlan
from algosat.brokers.paper.broker import PaperBroker
from algosat.brokers.paper.build import paper_broker
from algosat.config.settings import AlgosatFile
from algosat.domain.calendar import AlwaysOpen
from algosat.domain.orders import OrderChange, Status
from algosat.domain.orders.report import OrderReport
from algosat.errors import (
    BrokerError,
    BrokerNotReached,
    BrokerOrderGone,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUncertain,
)
from algosat.store.writer import Writer
from tests.app.brokers.paper.paper_brokers import book_of, order_of, quote
from tests.app.builders import algosat_data
from tests.app.events import wait_for
from tests.app.exchange.manual_exchange import rules_of
from tests.app.fake_exchange import FakeExchange, reported
from tests.app.fakes import FakeClock

DELAY = 0.05


class Faulty:
    """A running faulty broker, the reports it pushes, and the paper broker inside."""

    def __init__(self, writer: Writer) -> None:
        self.plan = AdjustablePlan()
        self.inner = PaperBroker(rules_of(), writer, speed=1)
        self.broker = FaultyBroker(self.inner, self.plan, cross=self.inner.cross)
        self.pushed: list[OrderReport] = []
        self.broker.start(self.pushed.append, lambda _quotes: None, lambda _change: None)

    def inject(self, *faults: Fault) -> None:
        self.plan.plan = FaultPlan(rates=dict.fromkeys(faults, 1.0), delay_seconds=DELAY)

    def place_resting(self, number: int = 1) -> None:
        """Place an order away from the market."""
        self.broker.place(order_of(number, limit_price=quote(self.inner).bid - 20))


@pytest.fixture
def faulty(writer: Writer) -> Iterator[Faulty]:
    faulty = Faulty(writer)
    yield faulty
    faulty.broker.stop()


def test_without_faults_calls_return_what_the_inner_broker_returns(faulty: Faulty) -> None:
    report = faulty.broker.place(order_of())
    assert report == faulty.inner.find(order_of()) == faulty.broker.find(order_of())
    assert [report] == list(book_of(faulty.broker))
    assert faulty.broker.session().active
    assert faulty.broker.instruments() == faulty.inner.instruments()
    assert {each.symbol for each in faulty.broker.quotes()} == {each.symbol for each in faulty.inner.quotes()}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.DOWN, BrokerNotReached),
        (Fault.SESSION_EXPIRED, BrokerSessionExpired),
        (Fault.RATE_LIMITED, BrokerRateLimited),
        (Fault.REJECTED, BrokerRejected),
        (Fault.LOST, BrokerUncertain),
    ],
)
def test_request_that_never_arrives_changes_nothing_at_the_exchange(
    faulty: Faulty, fault: Fault, error: type[BrokerError]
) -> None:
    faulty.place_resting(1)
    before = book_of(faulty.inner)
    faulty.inject(fault)
    with pytest.raises(error):
        faulty.broker.place(order_of(2))
    with pytest.raises(error):
        faulty.broker.cancel(order_of(1))
    with pytest.raises(error):
        faulty.broker.modify(
            order_of(1), OrderChange(Decimal(5), limit_price=Decimal(1000), trigger_price=None)
        )
    assert book_of(faulty.inner) == before


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.SESSION_EXPIRED, Fault.RATE_LIMITED])
def test_reads_fail_while_the_broker_cannot_be_reached(faulty: Faulty, fault: Fault) -> None:
    faulty.inject(fault)
    with pytest.raises(BrokerError):
        faulty.broker.find(order_of())
    with pytest.raises(BrokerError):
        book_of(faulty.broker)


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.SESSION_EXPIRED])
def test_session_is_inactive_while_the_fault_is_permanent(faulty: Faulty, fault: Fault) -> None:
    faulty.inject(fault)
    assert not faulty.broker.session().active
    faulty.inject()
    assert faulty.broker.session().active


def test_order_with_a_lost_answer_is_in_the_order_book(faulty: Faulty) -> None:
    faulty.inject(Fault.ANSWER_LOST)
    with pytest.raises(BrokerUncertain):
        faulty.broker.place(order_of())
    found = faulty.broker.find(order_of())
    assert found is not None
    assert found.status is Status.FILLED


def test_order_taken_late_enters_the_order_book_after_the_delay(faulty: Faulty) -> None:
    faulty.inject(Fault.TAKEN_LATE)
    with pytest.raises(BrokerUncertain):
        faulty.broker.place(order_of())
    assert faulty.broker.find(order_of()) is None
    wait_for(lambda: faulty.broker.find(order_of()) is not None)


def test_late_answer_is_returned_after_the_delay(faulty: Faulty) -> None:
    faulty.inject(Fault.ANSWERED_LATE)
    began = time.monotonic()
    assert reported(faulty.broker.place(order_of())).status is Status.FILLED
    assert time.monotonic() - began >= DELAY


def test_duplicated_answer_is_also_pushed(faulty: Faulty) -> None:
    faulty.inject(Fault.DUPLICATED)
    report = faulty.broker.place(order_of())
    wait_for(lambda: faulty.pushed == [report])


def test_older_state_is_pushed_after_the_answer(faulty: Faulty) -> None:
    faulty.inject(Fault.PARTIAL_AFTER_COMPLETE)
    report = reported(faulty.broker.place(order_of(quantity=2500)))
    wait_for(lambda: len(faulty.pushed) == 1)
    assert len(report.trades) > 1
    assert faulty.pushed[0].status is Status.PARTIALLY_FILLED
    assert faulty.pushed[0].trades == report.trades[:-1]
    assert faulty.pushed[0].filled_quantity == sum(trade.quantity for trade in report.trades[:-1])


def test_fill_that_crosses_a_cancel_is_pushed_later(faulty: Faulty) -> None:
    for number in (1, 2):
        faulty.place_resting(number)
    faulty.inject(Fault.CANCEL_CROSSES_FILL)
    outcomes = []
    for number in (1, 2):  # one is filled by half, the other completely
        try:
            outcomes.append(reported(faulty.broker.cancel(order_of(number))).status)
        except BrokerOrderGone:
            outcomes.append(Status.FILLED)
    assert sorted(outcomes) == [Status.CANCELLED, Status.FILLED]
    wait_for(lambda: len(faulty.pushed) == 2)
    actual = {report.tag: report for report in book_of(faulty.inner)}
    assert all(report == actual[report.tag] for report in faulty.pushed)


def test_answer_to_a_cancel_that_crossed_a_fill_lacks_the_fill(faulty: Faulty) -> None:
    for number in (1, 2):
        faulty.place_resting(number)
    faulty.inject(Fault.CANCEL_CROSSES_FILL)
    for number in (1, 2):
        try:
            answer = reported(faulty.broker.cancel(order_of(number)))
        except BrokerOrderGone:
            continue
        actual = faulty.inner.find(order_of(number))
        assert actual is not None
        assert (answer.status, int(answer.filled_quantity), len(answer.trades)) == (Status.CANCELLED, 0, 0)
        assert (actual.status, int(actual.filled_quantity)) == (Status.CANCELLED, 5)


def test_delayed_requests_are_dropped_at_stop(faulty: Faulty) -> None:
    faulty.inject(Fault.TAKEN_LATE)
    with pytest.raises(BrokerUncertain):
        faulty.broker.place(order_of())
    faulty.broker.stop()
    time.sleep(2 * DELAY)
    assert faulty.inner.find(order_of()) is None


def test_other_broker_can_be_wrapped_without_cross() -> None:
    inner = FakeExchange(FakeClock())
    plan = AdjustablePlan()
    broker = FaultyBroker(inner, plan)
    broker.place(order_of(1))
    plan.plan = FaultPlan(rates={Fault.CANCEL_CROSSES_FILL: 1.0})
    assert reported(broker.cancel(order_of(1))).status is Status.CANCELLED
    plan.plan = FaultPlan(rates={Fault.LOST: 1.0})
    with pytest.raises(BrokerUncertain):
        broker.place(order_of(2))
    assert [report.tag for report in book_of(inner)] == [order_of(1).id]


def test_fault_file_makes_the_paper_broker_faulty(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AlgosatFile.model_validate(algosat_data(tmp_path))
    assert isinstance(paper_broker(settings, settings.accounts[0], writer, AlwaysOpen()), PaperBroker)
    (tmp_path / "faults.json").write_bytes(b'{"rates": {"lost": 1}}')
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "faults.json"))
    broker = paper_broker(settings, settings.accounts[0], writer, AlwaysOpen())
    assert isinstance(broker, FaultyBroker)
    with pytest.raises(BrokerUncertain):
        broker.place(order_of())
