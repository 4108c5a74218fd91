"""The paper exchange behind the protocol that every broker answers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Final

from algosat.brokers.base import QuoteListener, Report, ReportListener, Session
from algosat.brokers.paper.book import BookOrder
from algosat.brokers.paper.events import Answered, Cancel, Cross, Modify, Place, Request
from algosat.brokers.paper.records import Store
from algosat.brokers.paper.rules import Rules
from algosat.brokers.paper.venue import Venue
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Change, Order
from algosat.errors import AlgosatError, BrokerNotReached, BrokerOrderGone, BrokerRejected, BrokerUncertain

_log = logging.getLogger(__name__)

Clock = Callable[[], datetime]

_STEP_SECONDS: Final = 0.25  # of real time, between two moves of the market
_ANSWER_SECONDS: Final = 5.0  # after which an answer is given up
_ROUND_SECONDS: Final = 0.001


def utc_now() -> datetime:
    return datetime.now(UTC)


class PaperBroker:
    """One account at the paper exchange."""

    name = "paper"

    def __init__(
        self, rules: Rules, store: Store, *, speed: float, account: str = "paper", now: Clock = utc_now
    ) -> None:
        self.account = account
        self._rules = rules
        self._store = store
        self._speed = speed  # trading seconds per second
        self._now = now
        self._news: SimpleQueue[BookOrder | None] = SimpleQueue()  # None wakes the thread to stop
        self._opened: Venue | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # --- the protocol ----------------------------------------------------------------------------

    def start(self, on_report: ReportListener, on_quotes: QuoteListener) -> None:
        self.open()
        self._stopping.clear()
        on_quotes(self.step())  # there is a price before the first order can come
        self._thread = threading.Thread(
            target=self._run, args=(on_report, on_quotes), name="paper-market", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._news.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def session(self) -> Session:
        if self._thread is None or not self._thread.is_alive():
            return Session(active=False, detail="the paper market is not running")
        return Session(active=True, detail="the paper market is running")

    def place(self, order: Order) -> Report:
        answered = self._ask(lambda number: Place(number, order.id, order.intent))
        return self._outcome(answered)

    def modify(self, order: Order, change: Change) -> Report:
        known = self._known(order)
        return self._outcome(self._ask(lambda number: Modify(number, known.id, known.terms.symbol, change)))

    def cancel(self, order: Order) -> Report:
        known = self._known(order)
        return self._outcome(self._ask(lambda number: Cancel(number, known.id, known.terms.symbol)))

    def find(self, tag: str) -> Report | None:
        found = self._venue.tagged(tag)
        return found.report() if found else None

    def reports(self) -> Sequence[Report]:
        return [order.report() for order in self._venue.orders()]

    def instruments(self) -> Sequence[Instrument]:
        return [listing.instrument for listing in self._rules.universe.values()]

    def quotes(self) -> Sequence[Quote]:
        return self._venue.quotes()

    # --- what tests and faults need beside it ------------------------------------------------------

    def open(self) -> None:
        """Take the exchange over as it stands in the store; it moves with `start`, or by `step`."""
        self._opened = Venue(self._rules, self._store, self._now(), self._news.put)

    def step(self) -> Sequence[Quote]:
        """Move the market by one step."""
        return self._venue.pass_time(_STEP_SECONDS * self._speed, self._now())

    def cross(self, order: Order, share: float) -> None:
        """Have somebody trade against that share of what is left of an order, now."""
        known = self._known(order)
        lot = self._rules.universe[known.terms.symbol].instrument.lot
        quantity = max(int(known.remaining * int(share * 1000) / 1000 / lot), 1) * lot
        self._ask(lambda number: Cross(number, known.id, known.terms.symbol, quantity))

    # --- within --------------------------------------------------------------------------------------

    @property
    def _venue(self) -> Venue:
        if self._opened is None:
            raise BrokerNotReached("the paper market is not running")
        return self._opened

    def _run(self, on_report: ReportListener, on_quotes: QuoteListener) -> None:
        due = time.monotonic() + _STEP_SECONDS
        while not self._stopping.is_set():
            self._push_until(due, on_report)
            if time.monotonic() >= due:
                due = time.monotonic() + _STEP_SECONDS
                self._step_and_push(on_quotes)

    def _step_and_push(self, on_quotes: QuoteListener) -> None:
        try:
            quotes = self.step()
        except BrokerNotReached as error:
            _log.error("paper market stopped: %s", error.detail)
            self._stopping.set()
            return
        except AlgosatError as error:  # the store was busy: what moved is written with the next step
            _log.warning("paper market step not written: %s", error.detail)
            return
        if quotes:
            on_quotes(quotes)

    def _push_until(self, due: float, on_report: ReportListener) -> None:
        try:
            order = self._news.get(timeout=max(due - time.monotonic(), 0.0))
        except Empty:
            return
        if order is not None:
            on_report(order.report())

    def _ask(self, build: Callable[[int], Request]) -> Answered:
        number = self._venue.send(build, self._now())
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                answered = self._venue.answer(number)
            except BrokerNotReached:
                raise  # another engine has the exchange: this one's request came to nothing
            except AlgosatError as error:
                raise BrokerUncertain(
                    f"the paper exchange could not write its book: {error.detail}"
                ) from error
            if answered is not None:
                return answered
            if time.monotonic() > deadline:
                raise BrokerUncertain(f"no answer within {_ANSWER_SECONDS:g} s")
            time.sleep(_ROUND_SECONDS)
            self._venue.carry_on(self._now())

    def _outcome(self, answered: Answered) -> Report:
        if answered.refusal is not None:
            kind = BrokerOrderGone if answered.refusal.gone else BrokerRejected
            raise kind(answered.refusal.reason, code=answered.refusal.code)
        if answered.order is None:
            raise BrokerNotReached("the paper exchange has no such order")
        return answered.order.report()

    def _known(self, order: Order) -> BookOrder:
        by_number = self._venue.order(order.broker_order_id) if order.broker_order_id else None
        known = by_number or self._venue.tagged(order.id)
        if known is None:
            raise BrokerRejected(f"the paper exchange has no order {order.id}", code="order_not_found")
        return known
