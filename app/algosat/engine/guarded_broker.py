"""A broker behind a circuit breaker: after failures in a row, it gets no requests for a while.

A request that the open circuit refuses was certainly not sent. Cancels always pass: an exit is
tried even at a failing broker. An exception that the broker protocol does not name is an
uncertain outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from typing import Final, TypeVar

import structlog

from algosat.brokers.base import Ack, BookHint, BookReading, Broker, BrokerSession, CallKind, SessionState
from algosat.clock import Clock
from algosat.domain.broker_account import BrokerFunds, BrokerHolding, BrokerPosition
from algosat.domain.capabilities import Capabilities
from algosat.domain.instruments import FinalSettlement, Quote
from algosat.domain.orders import Order, OrderChange
from algosat.domain.orders.report import OrderReport, latest_of_each
from algosat.engine.budget import Budget
from algosat.errors import (
    BrokerBookTooShort,
    BrokerError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerUncertain,
)
from algosat.resilience.circuit_breaker import CircuitBreaker

T = TypeVar("T")

_FAILURES: Final = 5  # in a row, before the circuit opens
_PAUSE: Final = timedelta(seconds=5)

_log = structlog.get_logger(__name__)


class GuardedBroker:
    """Calls the broker, counts its failures, and refuses requests while the circuit is open.

    A reading takes its permit of the budget here. The sender of an order, cancel or modification has taken
    one before.
    """

    def __init__(self, broker: Broker, clock: Clock, budget: Budget) -> None:
        self._broker, self._budget = broker, budget
        self._clock = clock
        self._circuit = CircuitBreaker(failures=_FAILURES, pause=_PAUSE)

    @property
    def capabilities(self) -> Capabilities:
        return self._broker.capabilities

    def session(self) -> BrokerSession:
        """Return the broker's session, or an inactive one while the circuit is open."""
        if self._circuit.is_open(self._clock()):
            return BrokerSession(SessionState.UNREACHABLE, self._why_refused())
        return self._broker.session()

    def place(self, order: Order) -> Ack | OrderReport:
        return self._call(lambda: self._broker.place(order))

    def modify(self, order: Order, change: OrderChange) -> Ack | OrderReport:
        return self._call(lambda: self._broker.modify(order, change))

    def cancel(self, order: Order) -> Ack | OrderReport:
        return self._call(lambda: self._broker.cancel(order), always=True)

    def find(self, order: Order) -> OrderReport | None:
        return self._read(CallKind.BOOK, lambda: self._broker.find(order))

    def read_book(self, hint: BookHint) -> BookReading:
        return self._read(CallKind.BOOK, lambda: self._broker.read_book(hint))

    def positions(self) -> Sequence[BrokerPosition]:
        return self._read(CallKind.BOOK, self._broker.positions)

    def holdings(self) -> Sequence[BrokerHolding]:
        return self._read(CallKind.BOOK, self._broker.holdings)

    def funds(self) -> Sequence[BrokerFunds]:
        return self._read(CallKind.BOOK, self._broker.funds)

    def quotes(self) -> Sequence[Quote]:
        return self._read(CallKind.QUOTES, self._broker.quotes)

    def subscribe(self, symbols: AbstractSet[str]) -> None:
        self._read(CallKind.QUOTES, lambda: self._broker.subscribe(symbols))

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
        reading = self._read(CallKind.HISTORY, lambda: self._broker.history(day))
        for report in latest_of_each(reading.reports):
            if report.tag == order.id or order.broker_order_id in (report.broker_order_id, report.replaces):
                return report
        if not reading.proves_absence(order.due_at):
            raise BrokerBookTooShort(f"the broker's order book of {day} is not complete")
        return None

    def settlements(self) -> Sequence[FinalSettlement]:
        return self._read(CallKind.QUOTES, self._broker.settlements)

    def _read(self, kind: CallKind, request: Callable[[], T]) -> T:
        """Read from the broker if the budget has room. Raises BrokerRateLimited if it has none."""
        self._require_room(kind)
        return self._call(request)

    def ask(self, kind: CallKind, call: Callable[[Broker], T]) -> T:
        """Make a call for a person. Its failures do not open the circuit, which would stop orders.

        Raises BrokerNotReached while the circuit is open, and BrokerRateLimited if the budget has no room.
        """
        if self._circuit.is_open(self._clock()):
            raise BrokerNotReached(self._why_refused())
        self._require_room(kind)
        try:
            return call(self._broker)
        except BrokerRateLimited as error:
            self._budget.strike(self._clock(), error.retry_after)
            raise

    def _require_room(self, kind: CallKind) -> None:
        if not self._budget.try_acquire(kind, self._clock()):
            raise BrokerRateLimited(f"the budget for {self._broker.name} has no room for this reading now")

    def _call(self, request: Callable[[], T], *, always: bool = False) -> T:
        if not always and self._circuit.is_open(self._clock()):
            raise BrokerNotReached(self._why_refused())
        try:
            result = request()
        except BrokerBookTooShort:  # an answer: the broker was read
            self._circuit.record_success()
            raise
        except BrokerRateLimited as error:  # an answer, too
            self._circuit.record_success()
            self._budget.strike(self._clock(), error.retry_after)
            raise
        except (BrokerNotReached, BrokerUncertain):
            self._record_failure()
            raise
        except BrokerError:  # an answer, even if it is a rejection
            self._circuit.record_success()
            raise
        except Exception as error:  # whatever failed in the adapter, the request may have been sent
            self._record_failure()
            _log.exception("broker_adapter_failed", broker=self._broker.name)
            raise BrokerUncertain(f"{type(error).__name__}: {error}") from error
        self._circuit.record_success()
        return result

    def _record_failure(self) -> None:
        if self._circuit.record_failure(self._clock()):
            _log.error("broker_rests", broker=self._broker.name, seconds=_PAUSE.total_seconds())

    def _why_refused(self) -> str:
        seconds = _PAUSE.total_seconds()
        return f"{self._broker.name} failed {_FAILURES} times in a row and gets no requests for {seconds:g} s"
