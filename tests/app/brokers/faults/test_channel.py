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
    """Keeps the reports it receives."""

    def __init__(self) -> None:
        self.received: list[OrderReport] = []

    def __call__(self, report: OrderReport) -> None:
        self.received.append(report)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def connect(listener: Listener) -> Iterator[Callable[..., UnreliableChannel]]:
    channels: list[UnreliableChannel] = []

    def connected(*faults: Fault) -> UnreliableChannel:
        channels.append(
            UnreliableChannel(
                AdjustablePlan(FaultPlan(rates=dict.fromkeys(faults, 1.0), delay_seconds=DELAY))
            )
        )
        channels[-1].connect(listener)
        return channels[-1]

    yield connected
    for channel in channels:
        channel.disconnect()


def test_reliable_channel_delivers_once(
    connect: Callable[..., UnreliableChannel], listener: Listener
) -> None:
    connect().deliver(report_of(10))
    assert listener.received == [report_of(10)]


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.DOWN])
def test_dropped_report_is_not_delivered(
    connect: Callable[..., UnreliableChannel], listener: Listener, fault: Fault
) -> None:
    connect(fault).deliver(report_of(10))
    time.sleep(2 * DELAY)
    assert listener.received == []


def test_duplicated_report_arrives_twice(
    connect: Callable[..., UnreliableChannel], listener: Listener
) -> None:
    connect(Fault.DUPLICATED).deliver(report_of(10))
    wait_for(lambda: listener.received == [report_of(10)] * 2)


def test_delayed_report_arrives_after_later_ones(
    connect: Callable[..., UnreliableChannel], listener: Listener
) -> None:
    connect(Fault.OUT_OF_ORDER).deliver(report_of(10))
    connect().deliver(report_of(10, 20))
    wait_for(lambda: listener.received == [report_of(10, 20), report_of(10)])


def test_older_state_follows_the_final_one(
    connect: Callable[..., UnreliableChannel], listener: Listener
) -> None:
    connect(Fault.PARTIAL_AFTER_COMPLETE).deliver(report_of(10, 20))
    older = report_of(10, status=Status.PARTIALLY_FILLED)
    wait_for(lambda: listener.received == [report_of(10, 20), older])


def test_open_state_follows_an_order_filled_by_one_trade(
    connect: Callable[..., UnreliableChannel], listener: Listener
) -> None:
    connect(Fault.PARTIAL_AFTER_COMPLETE).echo(report_of(10))
    wait_for(lambda: listener.received == [report_of(status=Status.OPEN)])


def test_disconnected_channel_delivers_nothing(
    connect: Callable[..., UnreliableChannel], listener: Listener
) -> None:
    channel = connect(Fault.OUT_OF_ORDER)
    channel.deliver(report_of(10))
    channel.disconnect()
    time.sleep(2 * DELAY)
    assert listener.received == []
