"""The unreliable channel of a faulty broker: pushed order reports may be lost, repeated, late or outdated."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from algosat.brokers.base import ReportListener
from algosat.brokers.faults.plan import OF_UPDATES, Fault, FaultPlan
from algosat.domain.decimals import ZERO
from algosat.domain.orders import Status
from algosat.domain.orders.report import OrderReport


class UnreliableChannel:
    """Passes reports on to a listener, with the faults of a plan."""

    def __init__(self, plan: Callable[[], FaultPlan]) -> None:
        self._plan = plan
        self._numbers = count(1)
        self._listener: ReportListener | None = None
        self._timers: set[threading.Timer] = set()
        self._disconnected = False

    def connect(self, listener: ReportListener) -> None:
        self._listener, self._disconnected = listener, False

    def disconnect(self) -> None:
        """Stop all delivery, including that of delayed reports."""
        self._disconnected = True
        for timer in list(self._timers):
            timer.cancel()

    def push(self, report: OrderReport) -> None:
        """Deliver a report without faults."""
        if self._listener is not None:
            self._listener(report)

    def deliver(self, report: OrderReport) -> None:
        """Deliver a report pushed by the broker, with the fault drawn for it."""
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
        """Push a report that a call has already returned, if the fault drawn for it repeats reports."""
        self._repeat(report, self._plan().draw(OF_UPDATES, "echo", next(self._numbers)))

    def later(self, action: Callable[[], object]) -> None:
        """Run `action` after the plan's delay, unless the channel is disconnected by then."""

        def run() -> None:
            self._timers.discard(timer)
            if not self._disconnected:
                action()

        timer = threading.Timer(self._plan().delay_seconds, run)
        timer.daemon = True
        self._timers.add(timer)
        timer.start()

    def _repeat(self, report: OrderReport, fault: Fault | None) -> None:
        if fault is Fault.DUPLICATED:
            self.later(lambda: self.push(report))
        if fault is Fault.PARTIAL_AFTER_COMPLETE and report.status is Status.FILLED:
            self.later(lambda: self.push(_before_last_trade(report)))


def _before_last_trade(report: OrderReport) -> OrderReport:
    trades = report.trades[:-1]
    filled = sum((trade.quantity for trade in trades), ZERO)
    status = Status.PARTIALLY_FILLED if filled else Status.OPEN
    return replace(report, status=status, trades=trades, filled_quantity=filled)
