from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from algosat.brokers.faults.channel import UnreliableChannel
from algosat.brokers.faults.plan import AdjustablePlan, Fault, FaultPlan
from algosat.domain.orders import Status, Trade
from algosat.domain.orders.report import OrderReport
from tests.app.events import wait_for
from tests.app.exchange.manual_exchange import terms_of

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
DELAY = 0.03


def report_of(*quantities: int, status: Status = Status.FILLED) -> OrderReport:
    trades = tuple(
        Trade(f"T{number}", Decimal(each), Decimal(100), NOW) for number, each in enumerate(quantities)
    )
    return OrderReport("B1", "a1", status, terms_of(), Decimal(sum(quantities)), trades, NOW)


class Listener:
    def __init__(self) -> None:
        self.heard: list[OrderReport] = []

    def __call__(self, report: OrderReport) -> None:
        self.heard.append(report)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def connect(listener: Listener) -> Iterator[Callable[..., UnreliableChannel]]:
    lines: list[UnreliableChannel] = []

    def connected(*faults: Fault) -> UnreliableChannel:
        lines.append(
            UnreliableChannel(
                AdjustablePlan(FaultPlan(rates=dict.fromkeys(faults, 1.0), delay_seconds=DELAY))
            )
        )
        lines[-1].connect(listener)
        return lines[-1]

    yield connected
    for line in lines:
        line.disconnect()


def test_a_good_line_delivers_once(connect: Callable[..., UnreliableChannel], listener: Listener) -> None:
    connect().deliver(report_of(10))
    assert listener.heard == [report_of(10)]


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.DOWN])
def test_an_update_may_be_lost(
    connect: Callable[..., UnreliableChannel], listener: Listener, fault: Fault
) -> None:
    connect(fault).deliver(report_of(10))
    time.sleep(2 * DELAY)
    assert listener.heard == []


def test_an_update_may_come_twice(connect: Callable[..., UnreliableChannel], listener: Listener) -> None:
    connect(Fault.DUPLICATED).deliver(report_of(10))
    wait_for(lambda: listener.heard == [report_of(10)] * 2)


def test_an_update_may_come_after_later_ones(
    connect: Callable[..., UnreliableChannel], listener: Listener
) -> None:
    connect(Fault.OUT_OF_ORDER).deliver(report_of(10))
    connect().deliver(report_of(10, 20))
    wait_for(lambda: listener.heard == [report_of(10, 20), report_of(10)])


def test_an_older_state_may_follow_the_last(
    connect: Callable[..., UnreliableChannel], listener: Listener
) -> None:
    connect(Fault.PARTIAL_AFTER_COMPLETE).deliver(report_of(10, 20))
    older = report_of(10, status=Status.PARTIALLY_FILLED)
    wait_for(lambda: listener.heard == [report_of(10, 20), older])


def test_what_was_complete_at_once_is_followed_by_an_open_order(
    connect: Callable[..., UnreliableChannel], listener: Listener
) -> None:
    connect(Fault.PARTIAL_AFTER_COMPLETE).echo(report_of(10))
    wait_for(lambda: listener.heard == [report_of(status=Status.OPEN)])


def test_a_cut_line_delivers_nothing_more(
    connect: Callable[..., UnreliableChannel], listener: Listener
) -> None:
    line = connect(Fault.OUT_OF_ORDER)
    line.deliver(report_of(10))
    line.disconnect()
    time.sleep(2 * DELAY)
    assert listener.heard == []
