"""The paper exchange as a broker of the engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from algosat import clock
from algosat.brokers.base import (
    BookHint,
    BookReading,
    BrokerFunds,
    BrokerHolding,
    BrokerPosition,
    BrokerSession,
    FeedListener,
    Quota,
    QuoteListener,
    ReportListener,
    SessionState,
)
from algosat.brokers.paper.capabilities import CAPABILITIES
from algosat.brokers.paper.market_thread import STEP_SECONDS, MarketThread
from algosat.brokers.paper.persistence import UnitRunner
from algosat.brokers.paper.venue import Venue
from algosat.clock import Clock
from algosat.domain.bars import SECONDS_A_DAY, Bar
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import FinalSettlement, Instrument, Quote
from algosat.domain.orders import Order, OrderChange, Product
from algosat.domain.orders.report import OrderReport
from algosat.errors import (
    AlgosatError,
    BrokerInstrumentUnknown,
    BrokerNotReached,
    BrokerOrderGone,
    BrokerRejected,
    BrokerUncertain,
    BrokerUnsupported,
)
from algosat.exchange.exchange_events import Answered, Cancel, Cross, Modify, Place, Request
from algosat.exchange.order_book import BookOrder
from algosat.exchange.prices.minute_bars import MinuteBars
from algosat.exchange.rules import Rules

_ANSWER_SECONDS: Final = 5.0  # after which the outcome of a request is uncertain
_POLL_SECONDS: Final = 0.001


class PaperBroker:
    """One account at the paper exchange."""

    name = "paper"
    quotas: Sequence[Quota] = ()

    def __init__(
        self, rules: Rules, store: UnitRunner, *, speed: float, account: str = "paper", now: Clock = clock.now
    ) -> None:
        self.account = account
        states_fees = any(listing.fee is not None for listing in rules.universe.values())
        self.capabilities = replace(CAPABILITIES, fees_in_trades=states_fees)
        self._rules = rules
        self._store = store
        self._speed = speed  # trading seconds per second
        self._now = now
        self._open_venue: Venue | None = None
        self._bars = MinuteBars(rules.calendar.zone)
        self._market_thread = MarketThread(self.step)

    # --- the Broker protocol -----------------------------------------------------------------------

    def start(self, on_report: ReportListener, on_quotes: QuoteListener, on_feed: FeedListener) -> None:
        self.open()
        self._market_thread.start(on_report, on_quotes, on_feed)

    def stop(self) -> None:
        self._market_thread.stop()

    def session(self) -> BrokerSession:
        if self._market_thread.is_running:
            return BrokerSession(SessionState.ACTIVE, "the paper market is running")
        return BrokerSession(SessionState.CLOSED, "the paper market is not running")

    def login_url(self, state: str) -> str | None:  # noqa: ARG002
        return None

    def login(self, answer: Mapping[str, str]) -> BrokerSession:  # noqa: ARG002
        raise BrokerUnsupported("the paper broker has no login")

    def logout(self) -> None:
        raise BrokerUnsupported("the paper broker has no login")

    def place(self, order: Order) -> OrderReport:
        answered = self._request(lambda number: Place(number, order.id, order.terms))
        return self._outcome(answered)

    def modify(self, order: Order, change: OrderChange) -> OrderReport:
        known = self._known(order)
        return self._outcome(
            self._request(lambda number: Modify(number, known.id, known.terms.symbol, change))
        )

    def cancel(self, order: Order) -> OrderReport:
        known = self._known(order)
        return self._outcome(self._request(lambda number: Cancel(number, known.id, known.terms.symbol)))

    def convert(self, symbol: str, quantity: Decimal, source: Product, target: Product) -> None:
        self._venue.convert(symbol, quantity, source, target, self._now())

    def find(self, order: Order) -> OrderReport | None:
        found = self._venue.tagged(order.id)  # of any day
        return found.report() if found else None

    def read_book(self, hint: BookHint) -> BookReading:  # noqa: ARG002
        covers_from, orders = self._venue.orders()
        return BookReading([order.report() for order in orders], covers_from)

    def history(self, day: date) -> BookReading:  # noqa: ARG002
        raise BrokerUnsupported("the paper broker shows no order books of earlier days")

    def positions(self) -> Sequence[BrokerPosition]:
        found: dict[tuple[str, Product], Decimal] = {}
        for each in self._venue.traded():
            if each.is_position:
                key = (each.symbol, each.product)
                found[key] = found.get(key, ZERO) + each.quantity
        return [BrokerPosition(symbol, product, quantity) for (symbol, product), quantity in found.items()]

    def holdings(self) -> Sequence[BrokerHolding]:
        """Return the shares held since before the trading day. Those traded today are positions."""
        found: dict[str, Decimal] = {}
        for each in self._venue.traded():
            if not each.is_position:
                found[each.symbol] = found.get(each.symbol, ZERO) + each.quantity
        return [BrokerHolding(symbol, quantity) for symbol, quantity in found.items() if quantity]

    def funds(self) -> Sequence[BrokerFunds]:
        raise BrokerUnsupported("the paper broker states no funds")

    def instruments(self) -> Sequence[Instrument]:
        return self._venue.instruments()

    def quotes(self) -> Sequence[Quote]:
        return self._venue.quotes()

    def subscribe(self, symbols: AbstractSet[str]) -> None:
        """Do nothing: the quotes of all symbols are pushed."""

    def candles(self, symbol: str, interval: timedelta, since: datetime, until: datetime) -> Sequence[Bar]:
        """Return the bars of whole minutes that this broker has seen since its start, and of whole days."""
        seconds = int(interval.total_seconds())
        if seconds <= 0 or seconds % 60 or SECONDS_A_DAY % seconds:
            raise BrokerUnsupported("the paper broker has bars of whole minutes that divide a day")
        if symbol not in self._venue.rules.universe:
            raise BrokerInstrumentUnknown(f"the paper exchange does not list {symbol}")
        return self._bars.ended(symbol, seconds, since, until, self._now())

    def settlements(self) -> Sequence[FinalSettlement]:
        return self._venue.settlements()

    # --- for tests and fault injection -------------------------------------------------------------

    def open(self) -> None:
        """Take over the exchange in the store. Afterwards each `step` moves its market."""
        self._open_venue = Venue(
            self._rules, self._store, self.account, self._now(), self._market_thread.announce
        )

    def step(self) -> Sequence[Quote]:
        """Move the market by one step.

        The exchange's time does not go back when the machine's clock is set back. Its quotes are dated by the
        machine's clock then: they would otherwise be dated in the future, and no entry pass the gate.
        """
        now = self._now()
        quotes = self._venue.pass_time(STEP_SECONDS * self._speed, now)
        self._bars.add(quotes)
        return [quote if quote.at <= now else replace(quote, at=now) for quote in quotes]

    def cross(self, order: Order, share: float) -> None:
        """Fill this share of an order's remaining quantity at once, as if another participant had traded."""
        known = self._known(order)
        lot = self._venue.rules.universe[known.terms.symbol].instrument.lot
        quantity = max(int(known.remaining * int(share * 1000) / 1000 / lot), 1) * lot
        self._request(lambda number: Cross(number, known.id, known.terms.symbol, quantity))

    # --- helpers -----------------------------------------------------------------------------------

    @property
    def _venue(self) -> Venue:
        if self._open_venue is None:
            raise BrokerNotReached("the paper market is not running")
        return self._open_venue

    def _request(self, build: Callable[[int], Request]) -> Answered:
        number = self._venue.send(build, self._now())
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                answered = self._venue.answer(number)
            except BrokerNotReached:
                raise  # another engine has taken over: the request had no effect
            except AlgosatError as error:
                raise BrokerUncertain(
                    f"the paper exchange could not write its book: {error.detail}"
                ) from error
            if answered is not None:
                return answered
            if time.monotonic() > deadline:
                raise BrokerUncertain(f"no answer within {_ANSWER_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)
            self._venue.deliver_requests(self._now())

    def _outcome(self, answered: Answered) -> OrderReport:
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
