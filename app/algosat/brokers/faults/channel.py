"""The line that a faulty broker pushes its updates over: they may be lost, doubled, late or stale."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import count

from algosat.brokers.base import ReportListener
from algosat.brokers.faults.plan import OF_UPDATES, Fault, FaultPlan
from algosat.domain.orders import Status
from algosat.domain.orders.report import OrderReport


class UnreliableChannel:
    def __init__(self, plan: Callable[[], FaultPlan]) -> None:
        self._plan = plan
        self._numbers = count(1)
        self._listener: ReportListener | None = None
        self._waiting: set[threading.Timer] = set()
        self._cut = False

    def connect(self, listener: ReportListener) -> None:
        self._listener, self._cut = listener, False

    def disconnect(self) -> None:
        """Nothing comes any more, not even what is on its way."""
        self._cut = True
        for timer in list(self._waiting):
            timer.cancel()

    def push(self, report: OrderReport) -> None:
        if self._listener is not None:
            self._listener(report)

    def deliver(self, report: OrderReport) -> None:
        """Push an update of the exchange, with whatever befalls it."""
        plan = self._plan()
        fault = plan.draw(OF_UPDATES, "update", next(self._numbers))
        if plan.always(Fault.DOWN) or fault is Fault.DROPPED:
            return
        if fault is Fault.OUT_OF_ORDER:
            self.later(lambda: self.push(report))
            return
        self.push(report)
        self._repeat(report, fault)

    def echo(self, report: OrderReport) -> None:
        """Some brokers push what they have answered already."""
        self._repeat(report, self._plan().draw(OF_UPDATES, "echo", next(self._numbers)))

    def later(self, action: Callable[[], object]) -> None:
        """Do it after the plan's delay, unless the line is cut by then."""

        def run() -> None:
            self._waiting.discard(timer)
            if not self._cut:
                action()

        timer = threading.Timer(self._plan().delay_seconds, run)
        timer.daemon = True
        self._waiting.add(timer)
        timer.start()

    def _repeat(self, report: OrderReport, fault: Fault | None) -> None:
        if fault is Fault.DUPLICATED:
            self.later(lambda: self.push(report))
        if fault is Fault.PARTIAL_AFTER_COMPLETE and report.status is Status.FILLED:
            self.later(lambda: self.push(_older(report)))


def _older(report: OrderReport) -> OrderReport:
    """The order's state before its last trade."""
    trades = report.trades[:-1]
    filled = sum((trade.quantity for trade in trades), Decimal(0))
    status = Status.PARTIALLY_FILLED if filled else Status.OPEN
    return replace(report, status=status, trades=trades, filled_quantity=filled)
