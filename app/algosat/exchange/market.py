"""The paper exchange: a pure function of its state and an event.

    state, outputs = step(rules, state, event, at)

No clock, no generator, no store: the same events give the same fills, byte for byte. Requests
travel for as long as the rules' latency says and are carried out in order of arrival, by the
first event that comes no earlier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from algosat.domain.instruments import Quote
from algosat.domain.market_phases import Phase
from algosat.exchange import matching, phases, requests, triggers
from algosat.exchange.exchange_events import Arrive, Changed, Clock, Event, Flight, Output, Request, Tick
from algosat.exchange.listings import Listing
from algosat.exchange.order_book import SymbolBook
from algosat.exchange.rules import Rules

Step = tuple["Market", tuple[Output, ...]]


@dataclass(frozen=True, slots=True)
class Market:
    """The exchange at one moment."""

    books: Mapping[str, SymbolBook] = field(default_factory=dict)
    sequence: int = 0  # of the last order taken
    in_flight: tuple[Flight, ...] = ()

    def book(self, symbol: str) -> SymbolBook:
        return self.books.get(symbol) or SymbolBook(symbol)

    def with_book(self, book: SymbolBook) -> Market:
        # Built directly, as in SymbolBook.quoted: on every tick `replace` would cost more than the matching.
        return Market({**self.books, book.symbol: book}, self.sequence, self.in_flight)


def step(rules: Rules, market: Market, event: Event, at: datetime) -> Step:
    """The exchange after the event. `at` never goes back."""
    market, outputs = _let_arrive(rules, market, at)
    match event:
        case Clock():
            market, more = _pass_time(rules, market, at)
        case Arrive():
            more = ()
        case Tick(quote):
            market, more = _tick(rules, market, quote, at)
        case _:
            market, more = _send(rules, market, event, at)
    return market, outputs + more


def _send(rules: Rules, market: Market, request: Request, at: datetime) -> Step:
    due = at + rules.travel_time(request.request)
    if due <= at:
        return _receive(rules, market, request, at)
    # One line to the exchange: nothing overtakes what was sent before it.
    due = max([due, *(flight.due for flight in market.in_flight)])
    return replace(market, in_flight=(*market.in_flight, Flight(due, request))), ()


def _let_arrive(rules: Rules, market: Market, at: datetime) -> Step:
    outputs: tuple[Output, ...] = ()
    while market.in_flight and market.in_flight[0].due <= at:
        flight, market = market.in_flight[0], replace(market, in_flight=market.in_flight[1:])
        market, more = _receive(rules, market, flight.request, at)
        outputs += more
    return market, outputs


def _receive(rules: Rules, market: Market, request: Request, at: datetime) -> Step:
    listing = rules.universe.get(requests.symbol_of(request))
    if listing is None:
        return market, (requests.unknown_symbol(request),)
    book, sequence, outputs = requests.carry_out(
        rules, listing, market.book(listing.symbol), market.sequence, request, at
    )
    return replace(market.with_book(book), sequence=sequence), outputs


def _pass_time(rules: Rules, market: Market, at: datetime) -> Step:
    outputs: tuple[Output, ...] = ()
    for listing in rules.universe.values():
        market, more = _enter_phase(rules, market, listing, at)
        outputs += more
    return market, outputs


def _enter_phase(rules: Rules, market: Market, listing: Listing, at: datetime) -> Step:
    before = market.book(listing.symbol)
    book, changed = phases.enter(rules, listing, before, rules.phase(listing, at), at)
    return market if book is before else market.with_book(book), changed


def _tick(rules: Rules, market: Market, quote: Quote, at: datetime) -> Step:
    listing = rules.universe.get(quote.symbol)
    if listing is None:
        return market, ()
    book = market.book(quote.symbol)
    volume = matching.Volume.between(book.quote, quote, rules.participation, listing.instrument.lot)
    # The quote comes first: an auction that now begins its matching does so at this price.
    market, outputs = _enter_phase(rules, market.with_book(book.quoted(quote, volume.traded)), listing, at)
    book = market.book(quote.symbol)
    if book.phase is not Phase.CONTINUOUS or not book.orders:
        return market, outputs
    changed: list[Changed] = []
    for order in sorted(book.orders, key=matching.priority):
        newest, said = order, order.version
        if triggers.waits(order):
            if not triggers.is_met(order, quote):
                continue
            newest = triggers.fire(order, listing.instrument, quote, at)
            changed.append(Changed(newest))
            said = newest.version
            book, newest = matching.arrive(rules, listing, book, newest, at)
        else:
            book, newest, volume = matching.rest(rules, listing, book, order, volume, at)
        if newest is order:
            continue  # most are: to keep one costs a look at all the others
        book = book.keeping(newest)
        if newest.version != said:
            changed.append(Changed(newest))
    return market.with_book(book), (*outputs, *changed)
