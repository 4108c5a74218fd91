"""The exchange as a pure function of its state and an event.

    state, outputs = step(rules, state, event, at)

It has no clock, random generator or store: the same events give the same fills, byte for byte. Requests
are delayed by the latency in the rules. Each is carried out at the first event at or after its arrival, in
the order they were sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from algosat.domain.instruments import Quote
from algosat.domain.market_phases import Phase
from algosat.domain.orders import Status
from algosat.exchange import matching, phases, requests, triggers
from algosat.exchange.exchange_events import (
    Arrive,
    Changed,
    Clock,
    Delist,
    Event,
    Flight,
    Output,
    Request,
    Tick,
)
from algosat.exchange.listings import Listing
from algosat.exchange.order_book import SymbolBook
from algosat.exchange.rules import Rules

Step = tuple["Market", tuple[Output, ...]]


@dataclass(frozen=True, slots=True)
class Market:
    """The state of the exchange at one moment."""

    books: Mapping[str, SymbolBook] = field(default_factory=dict)
    sequence: int = 0  # number of the last order
    in_flight: tuple[Flight, ...] = ()

    def book(self, symbol: str) -> SymbolBook:
        return self.books.get(symbol) or SymbolBook(symbol)

    def with_book(self, book: SymbolBook) -> Market:
        # Built directly, as in SymbolBook.quoted: `replace` on every tick would cost more than the matching.
        return Market({**self.books, book.symbol: book}, self.sequence, self.in_flight)


def step(rules: Rules, market: Market, event: Event, at: datetime) -> Step:
    """Return the state after an event, and the outputs. `at` must not be earlier than in the last call."""
    market, outputs = _deliver(rules, market, at)
    match event:
        case Clock():
            market, more = _pass_time(rules, market, at)
        case Arrive():
            more = ()
        case Tick(quote):
            market, more = _tick(rules, market, quote, at)
        case Delist(symbol):
            market, more = _delist(market, symbol, at)
        case _:
            market, more = _send(rules, market, event, at)
    return market, outputs + more


def _send(rules: Rules, market: Market, request: Request, at: datetime) -> Step:
    due = at + rules.travel_time(request.request)
    if due <= at:
        return _carry_out(rules, market, request, at)
    # Requests arrive in the order they were sent.
    due = max([due, *(flight.due for flight in market.in_flight)])
    return replace(market, in_flight=(*market.in_flight, Flight(due, request))), ()


def _deliver(rules: Rules, market: Market, at: datetime) -> Step:
    outputs: tuple[Output, ...] = ()
    while market.in_flight and market.in_flight[0].due <= at:
        flight, market = market.in_flight[0], replace(market, in_flight=market.in_flight[1:])
        market, more = _carry_out(rules, market, flight.request, at)
        outputs += more
    return market, outputs


def _carry_out(rules: Rules, market: Market, request: Request, at: datetime) -> Step:
    listing = rules.universe.get(requests.symbol_of(request))
    if listing is None:
        return market, (requests.unknown_symbol(request),)
    book, sequence, outputs = requests.carry_out(
        rules, listing, market.book(listing.symbol), market.sequence, request, at
    )
    return replace(market.with_book(book), sequence=sequence), outputs


def _pass_time(rules: Rules, market: Market, at: datetime) -> Step:
    outputs: tuple[Output, ...] = ()
    for symbol, phase in rules.phases(at).items():
        book = market.book(symbol)
        if phase is book.phase and not book.orders:
            continue  # true for most symbols at every step
        market, more = _enter_phase(rules, market, rules.universe[symbol], phase, at)
        outputs += more
    return market, outputs


def _enter_phase(rules: Rules, market: Market, listing: Listing, phase: Phase, at: datetime) -> Step:
    before = market.book(listing.symbol)
    book, changed = phases.enter(rules, listing, before, phase, at)
    return market if book is before else market.with_book(book), changed


def _delist(market: Market, symbol: str, at: datetime) -> Step:
    book, outputs = phases.end_all(market.book(symbol), Status.EXPIRED, "the contract has expired", at)
    books = {name: each for name, each in market.books.items() if name != book.symbol}
    return replace(market, books=books), outputs


def _tick(rules: Rules, market: Market, quote: Quote, at: datetime) -> Step:
    listing = rules.universe.get(quote.symbol)
    if listing is None:
        return market, ()
    book = market.book(quote.symbol)
    volume = matching.Volume.between(book.quote, quote, rules.participation, listing.instrument.lot)
    # The quote comes first: an auction that is matched now is matched at this price.
    market = market.with_book(book.quoted(quote, volume.traded))
    market, outputs = _enter_phase(rules, market, listing, rules.phase(listing, at), at)
    book = market.book(quote.symbol)
    if book.phase is not Phase.CONTINUOUS or not book.orders:
        return market, outputs
    changed: list[Changed] = []
    for order in sorted(book.orders, key=matching.priority):
        newest, reported = order, order.version
        if triggers.is_waiting(order):
            if not triggers.is_reached(order, quote):
                continue
            newest = triggers.trigger(order, listing.instrument, quote, at)
            changed.append(Changed(newest))
            reported = newest.version
            book, newest = matching.match_arriving(rules, listing, book, newest, at)
        else:
            book, newest, volume = matching.match_resting(rules, listing, book, order, volume, at)
        if newest is order:
            continue  # true for most orders, and `keeping` scans all of them
        book = book.keeping(newest)
        if newest.version != reported:
            changed.append(Changed(newest))
    return market.with_book(book), (*outputs, *changed)
