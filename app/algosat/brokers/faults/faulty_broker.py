"""A wrapper that injects faults into any broker: calls may fail, and pushed reports may be lost or outdated.

Only answers and pushed reports are faulty. The wrapped broker's order book always shows what was done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import TypeVar

from algosat.brokers.base import (
    Ack,
    BookHint,
    BookReading,
    Broker,
    BrokerFunds,
    BrokerHolding,
    BrokerPosition,
    BrokerSession,
    FeedListener,
    QuoteListener,
    ReportListener,
    SessionState,
)
from algosat.brokers.faults.channel import UnreliableChannel
from algosat.brokers.faults.plan import OF_CANCELS, OF_READS, OF_WRITES, Fault, FaultPlan
from algosat.domain.bars import Bar
from algosat.domain.instruments import FinalSettlement, Instrument, Quote
from algosat.domain.orders import Order, OrderChange, Product
from algosat.domain.orders.report import OrderReport
from algosat.errors import (
    AlgosatError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUncertain,
)

T = TypeVar("T")

# Fills a share of an order's remaining quantity, as if another participant had traded.
Cross = Callable[[Order, float], None]


class FaultyBroker:
    """A broker whose calls suffer the faults of a plan."""

    def __init__(
        self,
        inner: Broker,
        plan: Callable[[], FaultPlan],
        *,
        first_call: int = 1,
        cross: Cross | None = None,
    ) -> None:
        """Wrap a broker.

        Args:
            inner: The broker that carries out the calls.
            plan: Returns the plan in force.
            first_call: Number of the first call. Faults are drawn by number.
            cross: Needed for the fault `cancel_crosses_fill`. Without it, such a cancel is an ordinary one.
        """
        self.name, self.account = inner.name, inner.account
        self.capabilities, self.quotas = inner.capabilities, inner.quotas
        self._inner = inner
        self._plan = plan
        self._numbers = count(first_call)
        self._cross = cross
        self._channel = UnreliableChannel(plan)

    # --- the Broker protocol -----------------------------------------------------------------------

    def start(self, on_report: ReportListener, on_quotes: QuoteListener, on_feed: FeedListener) -> None:
        self._channel.connect(on_report)
        self._inner.start(self._channel.deliver, lambda quotes: self._push_quotes(on_quotes, quotes), on_feed)

    def stop(self) -> None:
        self._channel.disconnect()
        self._inner.stop()

    def session(self) -> BrokerSession:
        plan = self._plan()
        if plan.always(Fault.DOWN):
            return BrokerSession(SessionState.UNREACHABLE, "injected: the broker is down")
        if plan.always(Fault.SESSION_EXPIRED):
            return BrokerSession(SessionState.LOGIN_REQUIRED, "injected: the session has ended")
        return self._inner.session()

    def login_url(self, state: str) -> str | None:
        return self._inner.login_url(state)

    def login(self, answer: Mapping[str, str]) -> BrokerSession:
        return self._inner.login(answer)

    def logout(self) -> None:
        self._inner.logout()

    def place(self, order: Order) -> Ack | OrderReport:
        return self._write("place", OF_WRITES, lambda: self._inner.place(order))

    def modify(self, order: Order, change: OrderChange) -> Ack | OrderReport:
        return self._write("modify", OF_WRITES, lambda: self._inner.modify(order, change))

    def cancel(self, order: Order) -> Ack | OrderReport:
        number = next(self._numbers)
        fault = self._plan().draw(OF_CANCELS, "cancel", number)
        if fault is Fault.CANCEL_CROSSES_FILL and self._cross is not None:
            return self._cancel_after_cross(order, number, self._cross)
        return self._write("cancel", OF_WRITES, lambda: self._inner.cancel(order), number)

    def convert(self, symbol: str, quantity: Decimal, source: Product, target: Product) -> None:
        self._disturb("convert", OF_WRITES, lambda: self._inner.convert(symbol, quantity, source, target))

    def find(self, order: Order) -> OrderReport | None:
        self._fail_read("find")
        return self._inner.find(order)

    def read_book(self, hint: BookHint) -> BookReading:
        self._fail_read("reports")
        return self._inner.read_book(hint)

    def history(self, day: date) -> BookReading:
        self._fail_read("history")
        return self._inner.history(day)

    def positions(self) -> Sequence[BrokerPosition]:
        self._fail_read("positions")
        return self._inner.positions()

    def holdings(self) -> Sequence[BrokerHolding]:
        self._fail_read("holdings")
        return self._inner.holdings()

    def funds(self) -> Sequence[BrokerFunds]:
        self._fail_read("funds")
        return self._inner.funds()

    def instruments(self) -> Sequence[Instrument]:
        return self._inner.instruments()

    def quotes(self) -> Sequence[Quote]:
        return self._inner.quotes()

    def subscribe(self, symbols: AbstractSet[str]) -> None:
        self._inner.subscribe(symbols)

    def candles(self, symbol: str, interval: timedelta, since: datetime, until: datetime) -> Sequence[Bar]:
        self._fail_read("candles")
        return self._inner.candles(symbol, interval, since, until)

    def settlements(self) -> Sequence[FinalSettlement]:
        self._fail_read("settlements")
        return self._inner.settlements()

    # --- helpers -----------------------------------------------------------------------------------

    def _write(
        self,
        verb: str,
        kinds: tuple[Fault, ...],
        call: Callable[[], Ack | OrderReport],
        number: int | None = None,
    ) -> Ack | OrderReport:
        answer, fault = self._disturb(verb, kinds, call, number)
        if isinstance(answer, Ack):
            return answer
        if fault is Fault.ACKNOWLEDGED:
            return Ack(answer.broker_order_id)
        self._channel.echo(answer)
        return answer

    def _disturb(
        self, verb: str, kinds: tuple[Fault, ...], call: Callable[[], T], number: int | None = None
    ) -> tuple[T, Fault | None]:
        """Make a call that changes something. Returns its answer, and the fault drawn for it."""
        plan = self._plan()
        fault = plan.draw(kinds, verb, number or next(self._numbers))
        _raise(fault)
        if fault is Fault.TAKEN_LATE:
            self._channel.later(lambda: _ignoring_errors(call))
            raise BrokerUncertain("injected: timed out")
        answer = call()
        if fault is Fault.ANSWER_LOST:
            raise BrokerUncertain("injected: timed out")
        if fault is Fault.ANSWERED_LATE:
            time.sleep(plan.delay_seconds)
        return answer, fault

    def _cancel_after_cross(self, order: Order, number: int, cross: Cross) -> Ack | OrderReport:
        """Fill half or all of the order, then cancel it. The answer lacks the fill, which is pushed later."""
        before = self._inner.find(order)
        cross(order, 0.5 if number % 2 else 1.0)
        self._channel.later(lambda: self._push_current(order))
        answer = self._inner.cancel(order)
        if before is None or isinstance(answer, Ack):
            return answer
        return replace(answer, filled_quantity=before.filled_quantity, trades=before.trades)

    def _fail_read(self, verb: str) -> None:
        plan = self._plan()
        fault = plan.draw(OF_READS, verb, next(self._numbers))
        _raise(fault)
        if fault is Fault.READ_LATE:
            time.sleep(plan.delay_seconds)

    def _push_current(self, order: Order) -> None:
        report = self._inner.find(order)
        if report is not None:
            self._channel.push(report)

    def _push_quotes(self, on_quotes: QuoteListener, quotes: Sequence[Quote]) -> None:
        plan = self._plan()
        if not plan.always(Fault.DOWN) and not plan.always(Fault.SILENT):
            on_quotes(quotes)


def _raise(fault: Fault | None) -> None:
    """Raise the error of a fault that keeps the request from reaching the broker."""
    match fault:
        case Fault.DOWN:
            raise BrokerNotReached("injected: the broker is down")
        case Fault.SESSION_EXPIRED:
            raise BrokerSessionExpired("injected: the session has ended")
        case Fault.RATE_LIMITED:
            raise BrokerRateLimited("injected: too many requests", retry_after=timedelta(seconds=1))
        case Fault.REJECTED:
            raise BrokerRejected("injected: rejected by the broker", code="injected")
        case Fault.LOST:
            raise BrokerUncertain("injected: timed out")


def _ignoring_errors(call: Callable[[], object]) -> None:
    """Carry out a request whose caller has already been given a time-out."""
    try:
        call()
    except AlgosatError:
        return
