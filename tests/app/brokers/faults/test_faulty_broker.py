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
from tests.app.brokers.paper.paper_brokers import order_of, quote
from tests.app.builders import algosat_data
from tests.app.events import wait_for
from tests.app.exchange.manual_exchange import rules_of

DELAY = 0.05


class Setup:
    """A faulty broker that runs, what it pushes, and the exchange behind it."""

    def __init__(self, writer: Writer) -> None:
        self.switch = AdjustablePlan()
        self.exchange = PaperBroker(rules_of(), writer, speed=1)
        self.broker = FaultyBroker(self.exchange, self.switch, cross=self.exchange.cross)
        self.pushed: list[OrderReport] = []
        self.broker.start(self.pushed.append, lambda quotes: None)

    def suffers(self, *faults: Fault) -> None:
        self.switch.plan = FaultPlan(rates=dict.fromkeys(faults, 1.0), delay_seconds=DELAY)

    def resting(self, number: int = 1) -> None:
        """Place an order that rests."""
        self.broker.place(order_of(number, limit_price=quote(self.exchange).bid - 20))


@pytest.fixture
def line(writer: Writer) -> Iterator[Setup]:
    line = Setup(writer)
    yield line
    line.broker.stop()


def test_without_faults_it_answers_as_the_exchange_does(line: Setup) -> None:
    report = line.broker.place(order_of())
    assert report == line.exchange.find(order_of().id) == line.broker.find(order_of().id)
    assert [report] == list(line.broker.reports())
    assert line.broker.session().active
    assert line.broker.instruments() == line.exchange.instruments()
    assert {each.symbol for each in line.broker.quotes()} == {each.symbol for each in line.exchange.quotes()}


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
def test_a_request_that_never_arrives_leaves_the_exchange_as_it_was(
    line: Setup, fault: Fault, error: type[BrokerError]
) -> None:
    line.resting(1)
    before = line.exchange.reports()
    line.suffers(fault)
    with pytest.raises(error):
        line.broker.place(order_of(2))
    with pytest.raises(error):
        line.broker.cancel(order_of(1))
    with pytest.raises(error):
        line.broker.modify(
            order_of(1), OrderChange(Decimal(5), limit_price=Decimal(1000), trigger_price=None)
        )
    assert line.exchange.reports() == before


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.SESSION_EXPIRED, Fault.RATE_LIMITED])
def test_reading_fails_too_when_there_is_nobody_to_ask(line: Setup, fault: Fault) -> None:
    line.suffers(fault)
    with pytest.raises(BrokerError):
        line.broker.find(order_of().id)
    with pytest.raises(BrokerError):
        line.broker.reports()


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.SESSION_EXPIRED])
def test_the_session_is_gone_while_the_fault_is_permanent(line: Setup, fault: Fault) -> None:
    line.suffers(fault)
    assert not line.broker.session().active
    line.suffers()
    assert line.broker.session().active


def test_an_order_whose_answer_was_lost_is_in_the_book(line: Setup) -> None:
    line.suffers(Fault.ANSWER_LOST)
    with pytest.raises(BrokerUncertain):
        line.broker.place(order_of())
    found = line.broker.find(order_of().id)
    assert found is not None
    assert found.status is Status.FILLED


def test_an_order_taken_late_is_not_in_the_book_until_then(line: Setup) -> None:
    line.suffers(Fault.TAKEN_LATE)
    with pytest.raises(BrokerUncertain):
        line.broker.place(order_of())
    assert line.broker.find(order_of().id) is None
    wait_for(lambda: line.broker.find(order_of().id) is not None)


def test_a_late_answer_is_an_answer_all_the_same(line: Setup) -> None:
    line.suffers(Fault.ANSWERED_LATE)
    began = time.monotonic()
    assert line.broker.place(order_of()).status is Status.FILLED
    assert time.monotonic() - began >= DELAY


def test_an_answer_may_be_pushed_a_second_time(line: Setup) -> None:
    line.suffers(Fault.DUPLICATED)
    report = line.broker.place(order_of())
    wait_for(lambda: line.pushed == [report])


def test_an_older_state_may_follow_the_last_one(line: Setup) -> None:
    line.suffers(Fault.PARTIAL_AFTER_COMPLETE)
    report = line.broker.place(order_of(quantity=2500))
    wait_for(lambda: len(line.pushed) == 1)
    assert len(report.trades) > 1
    assert line.pushed[0].status is Status.PARTIALLY_FILLED
    assert line.pushed[0].trades == report.trades[:-1]
    assert line.pushed[0].filled_quantity == sum(trade.quantity for trade in report.trades[:-1])


def test_a_fill_that_crosses_a_cancel_whole_makes_it_too_late_and_is_heard_of_later(line: Setup) -> None:
    for number in (1, 2):
        line.resting(number)
    line.suffers(Fault.CANCEL_CROSSES_FILL)
    outcomes = []
    for number in (1, 2):  # half and whole take turns
        try:
            outcomes.append(line.broker.cancel(order_of(number)).status)
        except BrokerOrderGone:
            outcomes.append(Status.FILLED)
    assert sorted(outcomes) == [Status.CANCELLED, Status.FILLED]
    wait_for(lambda: len(line.pushed) == 2)
    truth = {report.tag: report for report in line.exchange.reports()}
    assert all(report == truth[report.tag] for report in line.pushed)


def test_a_cancel_that_crossed_a_partial_fill_does_not_know_of_it_yet(line: Setup) -> None:
    for number in (1, 2):
        line.resting(number)
    line.suffers(Fault.CANCEL_CROSSES_FILL)
    for number in (1, 2):
        try:
            answer = line.broker.cancel(order_of(number))
        except BrokerOrderGone:
            continue
        truth = line.exchange.find(order_of(number).id)
        assert truth is not None
        assert (answer.status, int(answer.filled_quantity), len(answer.trades)) == (Status.CANCELLED, 0, 0)
        assert (truth.status, int(truth.filled_quantity)) == (Status.CANCELLED, 5)


def test_nothing_late_happens_after_the_stop(line: Setup) -> None:
    line.suffers(Fault.TAKEN_LATE)
    with pytest.raises(BrokerUncertain):
        line.broker.place(order_of())
    line.broker.stop()
    time.sleep(2 * DELAY)
    assert line.exchange.find(order_of().id) is None


def test_the_settings_and_a_file_make_a_faulty_broker(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AlgosatFile.model_validate(algosat_data(tmp_path))
    assert isinstance(paper_broker(settings, writer), PaperBroker)
    (tmp_path / "faults.json").write_bytes(b'{"rates": {"lost": 1}}')
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "faults.json"))
    broker = paper_broker(settings, writer)
    assert isinstance(broker, FaultyBroker)
    with pytest.raises(BrokerUncertain):
        broker.place(order_of())
