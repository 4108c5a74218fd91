"""The paper broker on a bad day: every call may fail in one of the ways that `faults` names.

What it says may be late, lost, doubled or stale; what it does is always what the exchange's own
book shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

from algosat.brokers.base import BrokerSession, QuoteListener, ReportListener
from algosat.brokers.faults.channel import UnreliableChannel
from algosat.brokers.faults.plan import OF_CANCELS, OF_READS, OF_WRITES, Fault, FaultPlan
from algosat.brokers.paper.broker import PaperBroker
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Order, OrderChange
from algosat.domain.orders.report import OrderReport
from algosat.errors import (
    AlgosatError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUncertain,
)


class FaultyBroker:
    """A paper broker behind a bad line."""

    def __init__(self, inner: PaperBroker, plan: Callable[[], FaultPlan], *, first_call: int = 1) -> None:
        self.name, self.account, self.fences = inner.name, inner.account, inner.fences
        self._inner = inner
        self._plan = plan
        self._numbers = count(first_call)
        self._line = UnreliableChannel(plan)

    # --- the protocol ----------------------------------------------------------------------------

    def start(self, on_report: ReportListener, on_quotes: QuoteListener) -> None:
        self._line.connect(on_report)
        self._inner.start(self._line.deliver, lambda quotes: self._push_quotes(on_quotes, quotes))

    def stop(self) -> None:
        self._line.disconnect()
        self._inner.stop()

    def session(self) -> BrokerSession:
        plan = self._plan()
        if plan.always(Fault.DOWN):
            return BrokerSession(active=False, detail="injected: the broker is down")
        if plan.always(Fault.SESSION_EXPIRED):
            return BrokerSession(active=False, detail="injected: the session has ended")
        return self._inner.session()

    def place(self, order: Order) -> OrderReport:
        return self._write("place", OF_WRITES, lambda: self._inner.place(order))

    def modify(self, order: Order, change: OrderChange) -> OrderReport:
        return self._write("modify", OF_WRITES, lambda: self._inner.modify(order, change))

    def cancel(self, order: Order) -> OrderReport:
        number = next(self._numbers)
        if self._plan().draw(OF_CANCELS, "cancel", number) is Fault.CANCEL_CROSSES_FILL:
            return self._cancel_across_a_fill(order, number)
        return self._write("cancel", OF_WRITES, lambda: self._inner.cancel(order), number)

    def find(self, tag: str) -> OrderReport | None:
        self._fail_read("find")
        return self._inner.find(tag)

    def reports(self) -> Sequence[OrderReport]:
        self._fail_read("reports")
        return self._inner.reports()

    def instruments(self) -> Sequence[Instrument]:
        return self._inner.instruments()

    def quotes(self) -> Sequence[Quote]:
        return self._inner.quotes()

    # --- calls -------------------------------------------------------------------------------------

    def _write(
        self,
        verb: str,
        kinds: tuple[Fault, ...],
        call: Callable[[], OrderReport],
        number: int | None = None,
    ) -> OrderReport:
        plan = self._plan()
        fault = plan.draw(kinds, verb, number or next(self._numbers))
        _raise(fault)
        if fault is Fault.TAKEN_LATE:
            self._line.later(lambda: _unheard(call))
            raise BrokerUncertain("injected: timed out")
        report = call()
        if fault is Fault.ANSWER_LOST:
            raise BrokerUncertain("injected: timed out")
        if fault is Fault.ANSWERED_LATE:
            time.sleep(plan.delay_seconds)
        self._line.echo(report)
        return report

    def _cancel_across_a_fill(self, order: Order, number: int) -> OrderReport:
        """Somebody trades half or all of it first. What the cancel answers does not know of that yet."""
        before = self._inner.find(order.id)
        self._inner.cross(order, 0.5 if number % 2 else 1.0)
        self._line.later(lambda: self._push_newest(order.id))
        report = self._inner.cancel(order)
        if before is None:
            return report
        return replace(report, filled_quantity=before.filled_quantity, trades=before.trades)

    def _fail_read(self, verb: str) -> None:
        _raise(self._plan().draw(OF_READS, verb, next(self._numbers)))

    def _push_newest(self, tag: str) -> None:
        report = self._inner.find(tag)
        if report is not None:
            self._line.push(report)

    def _push_quotes(self, on_quotes: QuoteListener, quotes: Sequence[Quote]) -> None:
        if not self._plan().always(Fault.DOWN):
            on_quotes(quotes)


def _raise(fault: Fault | None) -> None:
    """The error of a fault that is over before the exchange hears of the request."""
    match fault:
        case Fault.DOWN:
            raise BrokerNotReached("injected: the broker is down")
        case Fault.SESSION_EXPIRED:
            raise BrokerSessionExpired("injected: the session has ended")
        case Fault.RATE_LIMITED:
            raise BrokerRateLimited("injected: too many requests", headers={"Retry-After": "1"})
        case Fault.REJECTED:
            raise BrokerRejected("injected: the broker says no", code="injected")
        case Fault.LOST:
            raise BrokerUncertain("injected: timed out")


def _unheard(call: Callable[[], OrderReport]) -> None:
    """Carry out a request whose sender has gone: that it failed is for nobody to hear."""
    try:
        call()
    except AlgosatError:
        return
