"""A broker behind circuit breakers, one for each operation: after failures it gets no such calls for a while.

A call that an open circuit refuses was certainly not sent. Cancels and exits always pass: a way out
is tried even at a failing broker. An exception that the broker protocol does not name is an
uncertain outcome.

Readings are made in threads of their own, so that a duty goes on when the broker does not answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

import structlog

from algosat.brokers.base import (
    Ack,
    BookHint,
    BookReading,
    Broker,
    BrokerSession,
    CallKind,
    FeedListener,
    QuoteListener,
    ReportListener,
    SessionState,
)
from algosat.brokers.masking import described, frames
from algosat.clock import Clock
from algosat.domain.broker_account import BrokerFunds, BrokerHolding, BrokerPosition
from algosat.domain.capabilities import Capabilities
from algosat.domain.instruments import FinalSettlement, Instrument, Quote
from algosat.domain.orders import Order, OrderChange, Product
from algosat.domain.orders.report import OrderReport, latest_of_each
from algosat.engine.budget import Budget
from algosat.errors import (
    BrokerBookTooShort,
    BrokerError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerUncertain,
)
from algosat.resilience.circuit_breaker import CallOutcome, CircuitBreaker, CircuitState
from algosat.resilience.timed_calls import CallHung, NoThreadFree, TimedCalls

T = TypeVar("T")

_FAILURES: Final = 5  # in a row, before the circuit opens
_PAUSE: Final = timedelta(seconds=5)
_HANGS_AFTER: Final = timedelta(seconds=15)
_INSTRUMENTS_HANG_AFTER: Final = timedelta(minutes=2)  # the list is a file of many megabytes
_READING_THREADS: Final = 8  # for each operation; calls that hang take them until they end

_log = structlog.get_logger(__name__)


class Operation(StrEnum):
    """What is asked of a broker. Each operation has a circuit breaker: one that fails stops no other."""

    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"
    CONVERT = "convert"
    BOOK = "book"  # the order book, or one order
    ACCOUNT = "account"  # positions, holdings, funds
    QUOTES = "quotes"  # reading and subscribing
    INSTRUMENTS = "instruments"
    SETTLEMENTS = "settlements"
    HISTORY = "history"  # order books of earlier days
    REQUESTS = "requests"  # what API and command line ask


# While one of these is open, entries wait: their outcome could not be learnt.
_NEEDED_BY_ENTRIES: Final = (Operation.PLACE, Operation.BOOK)


@dataclass(frozen=True, slots=True)
class BrokerSource:
    """A broker whose adapter is not built yet."""

    name: str
    capabilities: Capabilities
    build: Callable[[], Broker]  # may fail: it is tried again


class GuardedBroker:
    """Calls the broker, counts its failures, and refuses calls while the circuit of their operation is open.

    A reading takes its permit of the budget here. The sender of an order, cancel, modification or conversion
    has taken one before.
    """

    def __init__(self, source: BrokerSource, clock: Clock, budget: Budget) -> None:
        """Guard a broker. Until its adapter is built, it is not reached."""
        self.name, self._source = source.name, source
        self._adapter: Broker | None = None
        self._why_not_built = "the broker's adapter has not been started"
        self._clock, self._budget = clock, budget
        self._circuits = {
            each: CircuitBreaker(failures=_FAILURES, pause=_PAUSE, hangs_after=_hangs_after(each))
            for each in Operation
        }
        self._readings = {each: TimedCalls(f"broker-{each}", threads=_READING_THREADS) for each in Operation}
        self._states = dict.fromkeys(Operation, CircuitState.CLOSED)  # that the log shows
        self._inside: set[int] = set()  # the threads that wait for the broker

    def build(self) -> None:
        """Build the adapter, if that has not succeeded before. Raises BrokerNotReached."""
        if self._adapter is not None:
            return
        try:
            adapter = self._source.build()
        except Exception as error:  # noqa: BLE001 - whatever is wrong in the adapter, the lane tries again
            detail = self._described(error, "build")
            self._why_not_built = f"the broker's adapter cannot be built: {detail}"
            raise BrokerNotReached(self._why_not_built) from None
        self._budget.declare(adapter.quotas)
        self._adapter = adapter

    def start(self, on_report: ReportListener, on_quotes: QuoteListener, on_feed: FeedListener) -> None:
        """Build the adapter if necessary, and connect to the broker. Raises BrokerError."""
        with self._marked():
            self.build()
            try:
                self._broker.start(on_report, on_quotes, on_feed)
            except BrokerError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong in the adapter, the lane tries again
                raise BrokerNotReached(self._described(error, "start")) from None

    def stop(self) -> None:
        if self._adapter is not None:
            self._adapter.stop()

    @property
    def _broker(self) -> Broker:
        if self._adapter is None:
            raise BrokerNotReached(self._why_not_built)
        return self._adapter

    @property
    def capabilities(self) -> Capabilities:
        return self._source.capabilities if self._adapter is None else self._adapter.capabilities

    def session(self) -> BrokerSession:
        """Return the broker's session, or an inactive one while the circuits refuse entries."""
        for operation in _NEEDED_BY_ENTRIES:
            if self._circuits[operation].state(self._clock()) is CircuitState.OPEN:
                return BrokerSession(SessionState.UNREACHABLE, self._why_refused(operation))
        return self.session_of_exits()

    def session_of_exits(self) -> BrokerSession:
        """Return the broker's session: exits are tried while circuits are open."""
        if self._adapter is None:
            return BrokerSession(SessionState.CLOSED, self._why_not_built)
        try:
            with self._marked():
                return self._adapter.session()
        except Exception as error:  # noqa: BLE001 - whatever is wrong in the adapter
            return BrokerSession(SessionState.UNREACHABLE, self._described(error, "session"))

    def holds(self, thread: int) -> bool:
        """Return whether the thread with this identifier waits for the broker."""
        return thread in self._inside

    @contextmanager
    def _marked(self) -> Iterator[None]:
        """Mark the caller's thread as waiting for the broker."""
        thread = threading.get_ident()
        self._inside.add(thread)
        try:
            yield
        finally:
            self._inside.discard(thread)

    def circuits(self) -> dict[Operation, CircuitState]:
        """Return the state of each circuit, and log those that have changed since the last call."""
        now = self._clock()
        before, self._states = self._states, {each: self._circuits[each].state(now) for each in Operation}
        for operation, state in self._states.items():
            if state is not before[operation]:
                level = _log.info if state is CircuitState.CLOSED else _log.error
                level("circuit_changed", broker=self.name, operation=operation, state=state)
        return dict(self._states)

    def place(self, order: Order) -> Ack | OrderReport:
        is_exit = order.terms.reduce_only
        kind = CallKind.EXIT if is_exit else CallKind.ORDER
        return self._call(kind, Operation.PLACE, lambda: self._broker.place(order), always=is_exit)

    def modify(self, order: Order, change: OrderChange) -> Ack | OrderReport:
        is_exit = order.terms.reduce_only
        return self._call(
            CallKind.MODIFY, Operation.MODIFY, lambda: self._broker.modify(order, change), always=is_exit
        )

    def cancel(self, order: Order) -> Ack | OrderReport:
        return self._call(CallKind.CANCEL, Operation.CANCEL, lambda: self._broker.cancel(order), always=True)

    def convert(self, symbol: str, quantity: Decimal, source: Product, target: Product) -> None:
        self._call(
            CallKind.MODIFY,
            Operation.CONVERT,
            lambda: self._broker.convert(symbol, quantity, source, target),
        )

    def find(self, order: Order) -> OrderReport | None:
        return self._read(CallKind.BOOK, Operation.BOOK, lambda: self._broker.find(order))

    def read_book(self, hint: BookHint) -> BookReading:
        return self._read(CallKind.BOOK, Operation.BOOK, lambda: self._broker.read_book(hint))

    def positions(self) -> Sequence[BrokerPosition]:
        return self._read(CallKind.BOOK, Operation.ACCOUNT, lambda: self._broker.positions())

    def holdings(self) -> Sequence[BrokerHolding]:
        return self._read(CallKind.BOOK, Operation.ACCOUNT, lambda: self._broker.holdings())

    def funds(self) -> Sequence[BrokerFunds]:
        return self._read(CallKind.BOOK, Operation.ACCOUNT, lambda: self._broker.funds())

    def quotes(self) -> Sequence[Quote]:
        return self._read(CallKind.QUOTES, Operation.QUOTES, lambda: self._broker.quotes())

    def subscribe(self, symbols: AbstractSet[str]) -> None:
        self._read(CallKind.QUOTES, Operation.QUOTES, lambda: self._broker.subscribe(symbols))

    def instruments(self) -> Sequence[Instrument]:
        return self._read(CallKind.QUOTES, Operation.INSTRUMENTS, lambda: self._broker.instruments())

    def find_on(self, order: Order, day: date) -> OrderReport | None:
        """Look for an order in the broker's order book, and in that of its day if the first does not go back.

        Returns None if the order is certainly not there. Raises BrokerBookTooShort if neither book covers
        the time at which the order was sent.
        """
        try:
            return self.find(order)
        except BrokerBookTooShort:
            if not self.capabilities.has_history:
                raise
        reading = self._read(CallKind.HISTORY, Operation.HISTORY, lambda: self._broker.history(day))
        for report in latest_of_each(reading.reports):
            if report.tag == order.id or order.broker_order_id in (report.broker_order_id, report.replaces):
                return report
        if not reading.proves_absence(order.due_at):
            raise BrokerBookTooShort(f"the broker's order book of {day} is not complete")
        return None

    def settlements(self) -> Sequence[FinalSettlement]:
        return self._read(CallKind.QUOTES, Operation.SETTLEMENTS, lambda: self._broker.settlements())

    def ask(self, kind: CallKind, call: Callable[[Broker], T]) -> T:
        """Make a call for a person. Its failures stop no other call; the circuit only shows them.

        Raises BrokerRateLimited if the budget has no room.
        """
        self._require_room(kind)
        return self._call(kind, Operation.REQUESTS, lambda: call(self._broker), always=True)

    def _read(self, kind: CallKind, operation: Operation, request: Callable[[], T]) -> T:
        """Read from the broker, but give up when the call hangs.

        Raises BrokerRateLimited if the budget has no room.
        """
        self._require_room(kind)
        seconds = _hangs_after(operation).total_seconds()
        readings = self._readings[operation]
        return self._call(kind, operation, lambda: readings.call(request, within=seconds))

    def _require_room(self, kind: CallKind) -> None:
        if not self._budget.try_acquire(kind, self._clock()):
            raise BrokerRateLimited(f"the budget for {self.name} has no room for this reading now")

    def _call(
        self, kind: CallKind, operation: Operation, request: Callable[[], T], *, always: bool = False
    ) -> T:
        circuit = self._circuits[operation]
        call = circuit.try_begin(self._clock(), always=always)
        if call is None:
            raise BrokerNotReached(self._why_refused(operation))
        outcome = CallOutcome.FAILED
        try:
            with self._marked():
                result = request()
            outcome = CallOutcome.ANSWERED
        except BrokerError as error:
            outcome = _outcome(error)
            if isinstance(error, BrokerRateLimited):
                self._budget.strike(kind, self._clock(), error.retry_after)
            raise
        except CallHung:
            outcome = CallOutcome.HUNG
            raise BrokerUncertain(f"{self.name} does not answer ({operation})") from None
        except NoThreadFree:
            detail = f"{self.name} does not answer earlier calls ({operation})"
            raise BrokerNotReached(detail) from None
        except Exception as error:  # noqa: BLE001 - whatever failed in the adapter, the request may have arrived
            raise BrokerUncertain(self._described(error, operation)) from None
        finally:
            circuit.end(call, self._clock(), outcome)
        return result

    def _described(self, error: Exception, call: str) -> str:
        """Return what to say of an adapter's mistake, and log it. Neither shows a value of the adapter's."""
        detail = described(error)
        _log.error("broker_adapter_failed", broker=self.name, call=call, error=detail, frames=frames(error))
        return detail

    def _why_refused(self, operation: Operation) -> str:
        seconds = _PAUSE.total_seconds()
        return (
            f"{self.name} has failed repeatedly or not answered ({operation}): it gets no such calls "
            f"for up to {seconds:g} s"
        )


def _hangs_after(operation: Operation) -> timedelta:
    return _INSTRUMENTS_HANG_AFTER if operation is Operation.INSTRUMENTS else _HANGS_AFTER


def _outcome(error: BrokerError) -> CallOutcome:
    """Return whether the broker is working. It is if it has answered, even with a refusal."""
    is_answer = isinstance(error, (BrokerBookTooShort, BrokerRateLimited))
    is_outage = isinstance(error, (BrokerNotReached, BrokerUncertain)) and not is_answer
    return CallOutcome.FAILED if is_outage else CallOutcome.ANSWERED
