"""The paper exchange at work: the pure market behind a lock, and its book kept in the store.

Nothing is said that is not in the store. The market moves on in memory under one lock; what it did is
written by whoever comes first through a second one, for all who wait behind him, together with
where the market then stood. Only then does the published book, which all answers are read from,
learn of it. A venue that was killed goes on from what was last written, so its book is a witness
of what the exchange took.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from algosat.brokers.paper.persistence import Persistence, Snapshot, UnitRunner
from algosat.brokers.paper.published import PublishedOrders
from algosat.domain.instruments import Quote
from algosat.exchange import market
from algosat.exchange.exchange_events import Answered, Arrive, Changed, Clock, Event, Output, Request, Tick
from algosat.exchange.order_book import BookOrder
from algosat.exchange.prices import feed
from algosat.exchange.rules import Rules

Announce = Callable[[BookOrder], None]

# A restart loses no more of the price path than this, when no order changes meanwhile.
_SNAPSHOT_EVERY: Final = timedelta(seconds=5)


class Venue:
    """One exchange. Its methods may be called from any thread."""

    def __init__(self, rules: Rules, store: UnitRunner, now: datetime, announce: Announce) -> None:
        self.rules = rules
        self._announce = announce  # told of every written change that is no answer to a request
        self._moving = threading.Lock()
        self._writing = threading.Lock()
        self._requests = count(1)
        self._at = now
        self._records = Persistence(store)
        found, orders = self._records.open(rules.day(now), now)
        self._now: Snapshot = _resumed(rules, found)
        self._answers: dict[int, tuple[int, Answered]] = {}
        self._unwritten: list[tuple[BookOrder, bool]] = []  # and whether it is to be announced
        self._changes = 0  # how often something changed that must be in the store before it is told
        self._written = 0  # which of these changes are
        self._snapshot_due = now
        self._published = PublishedOrders(orders)

    def send(self, build: Callable[[int], Request], at: datetime) -> int:
        """Send a request to the exchange; the number to ask for its answer with."""
        with self._moving:
            number = next(self._requests)
            self._move([build(number)], at)
        return number

    def pass_time(self, span: float, at: datetime) -> Sequence[Quote]:
        """Let prices go on by `span` trading seconds, and the exchange's day with them."""
        with self._moving:
            quotes = self._next_quotes(span, at)
            self._move([*map(Tick, quotes), Clock()], at)
            if self._at >= self._snapshot_due:
                self._snapshot_due = self._at + _SNAPSHOT_EVERY
                self._changes += 1
            change = self._changes
            self._published.forget_before(self.rules.day(self._at))
        self._write(change)
        return quotes

    def carry_on(self, at: datetime) -> None:
        """Let what has arrived by now be carried out."""
        with self._moving:
            self._move([Arrive()], at)

    def answer(self, number: int) -> Answered | None:
        """What came of a request, once, and written; None while it is on its way."""
        with self._moving:
            change, answered = self._answers.pop(number, (0, None))
        if answered is not None:
            self._write(change)
        return answered

    def order(self, order_id: str) -> BookOrder | None:
        return self._published.order(order_id)

    def tagged(self, tag: str) -> BookOrder | None:
        """The first order with this tag, of any day."""
        order = self._published.tagged(tag)
        return order or next(iter(self._records.with_tag(tag)), None)

    def orders(self) -> Sequence[BookOrder]:
        """The book of the trading day, and what is still live of earlier ones; oldest first."""
        return self._published.orders()

    def quotes(self) -> Sequence[Quote]:
        books = self._now.market
        quotes = (books.book(symbol).quote for symbol in self.rules.universe)
        return [quote for quote in quotes if quote is not None]

    def _move(self, events: Sequence[Event], at: datetime) -> None:
        self._at = max(self._at, at)  # a clock that is set back does not turn the market round
        for event in events:
            state, outputs = market.step(self.rules, self._now.market, event, self._at)
            self._now = Snapshot(state, self._now.paths)
            self._note(outputs)

    def _note(self, outputs: Sequence[Output]) -> None:
        answers = [output for output in outputs if isinstance(output, Answered)]
        answered = {answer.order.id for answer in answers if answer.order is not None}
        for output in outputs:
            if isinstance(output, Changed):
                self._changes += 1
                self._unwritten.append((output.order, output.order.id not in answered))
        self._answers.update({answer.request: (self._changes, answer) for answer in answers})

    def _next_quotes(self, span: float, at: datetime) -> Sequence[Quote]:
        paths, quotes = feed.follow(self.rules, self._now.paths, span, max(self._at, at))
        self._now = Snapshot(self._now.market, paths)
        return quotes

    def _write(self, change: int) -> None:
        """Have everything up to this change written, published and announced."""
        with self._writing:
            with self._moving:
                if self._written >= change:
                    return
                changed, self._unwritten = self._unwritten, []
                reached, snapshot, at = self._changes, self._now, self._at
            orders = [order for order, _ in changed]
            try:
                self._records.save(orders, snapshot, at)
            except BaseException:
                with self._moving:  # the next who comes will write it
                    self._unwritten = changed + self._unwritten
                raise
            self._written = reached
            self._published.learn(orders)
            for order, is_news in changed:
                if is_news:
                    self._announce(order)


def _resumed(rules: Rules, found: Snapshot | None) -> Snapshot:
    """Where the exchange stood; what has been listed since then begins now, what has gone is forgotten."""
    fresh = feed.begin(rules.universe)
    if found is None:
        return Snapshot(market.Market(), fresh)
    return Snapshot(found.market, {symbol: found.paths.get(symbol, path) for symbol, path in fresh.items()})
