"""The running paper exchange: the pure market behind a lock, stored before anything is published.

Its listings change with the trading day: expired contracts are settled and removed, and new ones are added.

The market changes in memory under one lock. The first thread to take a second lock writes every pending
change, together with the state of the market, in one transaction. Only then are the orders published:
all answers are read from the published orders. A venue that was killed continues from its last write,
so its order book proves what the exchange accepted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Final

from algosat.brokers.paper.persistence import (
    PaperConversion,
    Persistence,
    Snapshot,
    TradedQuantity,
    UnitRunner,
)
from algosat.domain import margin
from algosat.domain.instruments import FinalSettlement, Instrument, Quote
from algosat.domain.orders import Product, Validity
from algosat.errors import BrokerRejected
from algosat.exchange import expiry, market
from algosat.exchange.exchange_events import (
    Answered,
    Arrive,
    Changed,
    Clock,
    Delist,
    Event,
    Output,
    Request,
    Tick,
)
from algosat.exchange.expiry import Settlements
from algosat.exchange.order_book import BookOrder
from algosat.exchange.prices import random_walk
from algosat.exchange.rules import Rules

# Called with every stored change that is not the answer to a request.
OnChange = Callable[[BookOrder], None]

# The longest part of a symbol's price path that a restart can lose if none of its orders changes.
_SNAPSHOT_EVERY: Final = timedelta(seconds=5)


class Venue:
    """One exchange. Its methods may be called from any thread."""

    def __init__(
        self, rules: Rules, store: UnitRunner, account: str, now: datetime, on_change: OnChange
    ) -> None:
        self.rules = rules
        self._day = date.min  # whose contracts are listed
        self._day_began = now  # the first moment of that trading day; orders sent since then are published
        self._on_change = on_change
        self._market_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._requests = count(1)
        self._at = now
        self._persistence = Persistence(store, account)
        saved, orders = self._persistence.open(rules.day(now), rules.began(rules.day(now)), now)
        self.rules, self._current = _resumed(rules, saved)
        self._answers: dict[int, tuple[int, Answered]] = {}
        self._unwritten: list[tuple[BookOrder, bool]] = []  # order, and whether to call `on_change`
        self._changes = 0  # number of changes that must be stored before they are published
        self._written = 0  # number of them that are stored
        self._snapshot_due = now
        self._writes_whole = True  # whether the next write has the state of every symbol
        self._published = _PublishedOrders(orders)
        self._settlements: Settlements = self._current.settlements  # those stored
        self._next_settlement = expiry.next_settlement(self.rules, self._settlements)
        self._roll(now)

    def send(self, build: Callable[[int], Request], at: datetime) -> int:
        """Send a request to the exchange. Returns its number, which `answer` takes."""
        with self._market_lock:
            number = next(self._requests)
            self._step([build(number)], at)
        return number

    def pass_time(self, span: float, at: datetime) -> Sequence[Quote]:
        """Move prices by `span` trading seconds and the clock to `at`. Returns the new quotes."""
        with self._market_lock:
            self._roll(max(self._at, at))
            quotes = self._next_quotes(span, at)
            self._step([*map(Tick, quotes), Clock()], at)
            if self._at >= self._snapshot_due:
                self._snapshot_due = self._at + _SNAPSHOT_EVERY
                self._store_whole()
            change = self._changes
            self._published.drop_before(self._day, self._day_began)
        self._write(change)
        return quotes

    def deliver_requests(self, at: datetime) -> None:
        """Carry out the requests that have arrived by `at`."""
        with self._market_lock:
            self._step([Arrive()], at)

    def answer(self, number: int) -> Answered | None:
        """Return the answer to a request, once, when it is stored; None while the request is on its way."""
        with self._market_lock:
            change, answered = self._answers.pop(number, (0, None))
        if answered is not None:
            self._write(change)
        return answered

    def order(self, order_id: str) -> BookOrder | None:
        return self._published.order(order_id)

    def tagged(self, tag: str) -> BookOrder | None:
        """Return the first order with this tag, of any day."""
        order = self._published.tagged(tag)
        return order or next(iter(self._persistence.with_tag(tag)), None)

    def orders(self) -> tuple[datetime, Sequence[BookOrder]]:
        """Return when the trading day began, and its orders, oldest first.

        The live orders of earlier days are among them.
        """
        return self._day_began, self._published.orders()

    def quotes(self) -> Sequence[Quote]:
        books = self._current.market
        quotes = (books.book(symbol).quote for symbol in self.rules.universe)
        return [quote for quote in quotes if quote is not None]

    def instruments(self) -> Sequence[Instrument]:
        return [listing.instrument for listing in self.rules.universe.values()]

    def traded(self) -> list[TradedQuantity]:
        """Return what the account has traded in all, less what fees took out of what it bought.

        Expired contracts are left out: those are settled.
        """
        listed = (listing.instrument for listing in self.rules.universe.values() if listing.fee is not None)
        bases = {each.symbol: each.base_currency for each in listed if each.base_currency is not None}
        fees = self._persistence.taken_as_fees(self._day, bases)
        traded = [*self._persistence.traded(self._day), *fees]
        return [each for each in traded if each.symbol not in self._settlements]

    def convert(self, symbol: str, quantity: Decimal, source: Product, target: Product, at: datetime) -> None:
        """Convert a quantity of the day's position to another product, and store that.

        Raises BrokerRejected if it is not held, or cannot be held under that product.
        """
        listing = self.rules.universe.get(symbol)
        if listing is None:
            raise BrokerRejected(f"{symbol} is not listed", code="unknown_symbol")
        kind = listing.instrument.kind
        if source is target or not margin.may_trade(kind, target):
            detail = f"a position of kind {kind} cannot be converted from {source} to {target}"
            raise BrokerRejected(detail, code="product_not_allowed")
        if quantity < 0 and target is Product.DELIVERY:
            raise BrokerRejected("a short position cannot be held as delivery", code="short_delivery")
        wanted = PaperConversion(symbol, quantity, source, target)
        held = self._persistence.convert(wanted, self._day, at)
        if held is not None:
            raise BrokerRejected(f"{held:f} {symbol} are held as {source} today", code="more_than_held")

    def settlements(self) -> Sequence[FinalSettlement]:
        """Return the final settlements of expired contracts that are stored."""
        return list(self._settlements.values())

    def _roll(self, at: datetime) -> None:
        """Settle the contracts whose trading has ended, and list those of a new trading day."""
        if self._next_settlement is not None and self._next_settlement <= at:
            settled = expiry.settle(self.rules, self._current.paths, self._current.settlements, at)
            self._current = replace(self._current, settlements=settled)
            self._store_whole()
            self._next_settlement = expiry.next_settlement(self.rules, settled)
        day = self.rules.day(at)
        if day != self._day:
            self._day, self._day_began = day, self.rules.began(day)
            self._list_contracts(day, at)

    def _list_contracts(self, day: date, at: datetime) -> None:
        before = self.rules.universe.keys()
        self.rules, paths = expiry.list_contracts(self.rules, self._current.paths, day, at)
        self._current = replace(self._current, paths=paths)
        self._step([Delist(symbol) for symbol in before - self.rules.universe.keys()], at)
        self._next_settlement = expiry.next_settlement(self.rules, self._current.settlements)

    def _store_whole(self) -> None:
        """Have the state of every symbol stored before anything later is published."""
        self._changes += 1
        self._writes_whole = True

    def _step(self, events: Sequence[Event], at: datetime) -> None:
        self._at = max(self._at, at)  # the exchange's time never goes back, even if the clock is set back
        for event in events:
            state, outputs = market.step(self.rules, self._current.market, event, self._at)
            # Built directly: `replace` on every event would cost more.
            self._current = Snapshot(state, self._current.paths, self._current.settlements)
            self._collect(outputs)

    def _collect(self, outputs: Sequence[Output]) -> None:
        answers = [output for output in outputs if isinstance(output, Answered)]
        answered = {answer.order.id for answer in answers if answer.order is not None}
        for output in outputs:
            if isinstance(output, Changed):
                self._changes += 1
                self._unwritten.append((output.order, output.order.id not in answered))
        self._answers.update({answer.request: (self._changes, answer) for answer in answers})

    def _next_quotes(self, span: float, at: datetime) -> Sequence[Quote]:
        paths, quotes = random_walk.follow_day(self.rules, self._current.paths, span, max(self._at, at))
        self._current = replace(self._current, paths=paths)
        return quotes

    def _write(self, change: int) -> None:
        """Store, publish and announce everything up to this change, unless another thread has."""
        with self._write_lock:
            with self._market_lock:
                if self._written >= change:
                    return
                pending, self._unwritten = self._unwritten, []
                whole, self._writes_whole = self._writes_whole, False
                reached, snapshot, at = self._changes, self._current, self._at
            orders = [order for order, _ in pending]
            try:
                self._persistence.save(orders, snapshot, at, whole=whole)
            except BaseException:
                with self._market_lock:  # the next caller writes them
                    self._unwritten = pending + self._unwritten
                    self._writes_whole |= whole
                raise
            self._written = reached
            self._published.add(orders)
            self._settlements = snapshot.settlements
            for order, announce in pending:
                if announce:
                    self._on_change(order)


class _PublishedOrders:
    """The stored orders of the day by number and by tag. Of several orders with one tag, the first counts."""

    def __init__(self, orders: Iterable[BookOrder]) -> None:
        self._lock = threading.Lock()
        self._orders: dict[str, BookOrder] = {}
        self._by_tag: dict[str, str] = {}
        self._day = date.min
        self.add(sorted(orders, key=lambda order: order.id))

    def add(self, orders: Iterable[BookOrder]) -> None:
        with self._lock:
            for order in orders:
                self._orders[order.id] = order
                self._by_tag.setdefault(order.tag, order.id)

    def drop_before(self, day: date, began: datetime) -> None:
        """Drop orders of earlier days that are no longer live, and did not outlast their day to this one."""
        with self._lock:
            if day == self._day:
                return
            self._day = day
            self._orders = {
                number: order
                for number, order in self._orders.items()
                if order.day >= day or order.is_live or _ended_since(began, order)
            }
            self._by_tag = {tag: number for tag, number in self._by_tag.items() if number in self._orders}

    def order(self, order_id: str) -> BookOrder | None:
        return self._orders.get(order_id)

    def tagged(self, tag: str) -> BookOrder | None:
        with self._lock:
            order_id = self._by_tag.get(tag)
            return self._orders[order_id] if order_id is not None else None

    def orders(self) -> Sequence[BookOrder]:
        with self._lock:
            return [self._orders[number] for number in sorted(self._orders)]


def _resumed(rules: Rules, saved: Snapshot | None) -> tuple[Rules, Snapshot]:
    """Return the rules with the contracts listed before, and the saved state.

    New listings start at their listed price. Contracts that were settled and other symbols that are no longer
    listed are dropped.
    """
    initial = random_walk.initial_paths(rules.universe)
    if saved is None:
        return rules, Snapshot(market.Market(), initial)
    paths = {symbol: saved.paths.get(symbol, path) for symbol, path in initial.items()}
    unsettled = saved.paths.keys() - saved.settlements.keys()
    rules = expiry.relist(rules, paths, sorted(unsettled))
    listed = {symbol: saved.paths[symbol] for symbol in rules.universe if symbol not in paths}
    return rules, Snapshot(saved.market, {**paths, **listed}, saved.settlements)


def _ended_since(began: datetime, order: BookOrder) -> bool:
    return order.terms.validity is Validity.GTC and order.updated_at >= began
