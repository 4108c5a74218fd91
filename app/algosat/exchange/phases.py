"""Market phases: what the exchange does when a phase of its day begins or ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from algosat.domain.market_phases import Phase
from algosat.domain.orders import OrderType, Status, Validity
from algosat.exchange import matching
from algosat.exchange.exchange_events import Changed
from algosat.exchange.listings import Listing
from algosat.exchange.order_book import BookOrder, SymbolBook
from algosat.exchange.rules import Rules, within_auction_band

Step = tuple[SymbolBook, tuple[Changed, ...]]

_CLOSING_AUCTION: Final = frozenset(
    {Phase.AUCTION_REFERENCE, Phase.AUCTION, Phase.AUCTION_LIMIT, Phase.AUCTION_MATCH}
)


def enter(rules: Rules, listing: Listing, book: SymbolBook, phase: Phase, at: datetime) -> Step:
    """Move one symbol to its current phase: expire, cancel or match orders as the phase requires."""
    before = book.phase
    book, changed = _expire_earlier_days(rules, book, at)
    if phase is before:
        return book, changed
    book = replace(book, phase=phase)
    if phase in _CLOSING_AUCTION and before not in _CLOSING_AUCTION:
        book, more = _begin_closing_auction(book, at)
        changed += more
    if phase in (Phase.PRE_OPEN_MATCH, Phase.AUCTION_MATCH):
        book, more = _match_at_one_price(rules, listing, book, at)
        changed += more
    if before in _CLOSING_AUCTION and phase not in _CLOSING_AUCTION:
        book, more = _end_day_orders(book, Status.CANCELLED, "not filled in the closing auction", at)
        changed += more
    if phase is Phase.CONTINUOUS:
        book = _begin_continuous_trading(book)
    if phase is Phase.CLOSED:
        book, more = _end_day_orders(book, Status.EXPIRED, "the day is over", at)
        changed += more
    return book, changed


def _expire_earlier_days(rules: Rules, book: SymbolBook, at: datetime) -> Step:
    if not book.orders:
        return book, ()
    today = rules.day(at)
    old = [order for order in book.orders if order.day < today and not _outlasts_the_day(order)]
    return _with_orders(book, [order.ended(Status.EXPIRED, "the day is over", at) for order in old])


def _begin_continuous_trading(book: SymbolBook) -> SymbolBook:
    """Treat orders left over from an auction as newly arrived: they trade at market prices."""
    arriving = (replace(order, incoming=order.limit is not None) for order in book.orders)
    return replace(book, orders=tuple(arriving))


def _begin_closing_auction(book: SymbolBook, at: datetime) -> Step:
    """Keep limit orders within the auction's band; cancel stops and all other limit orders of the day."""
    if book.quote is None:
        return book, ()
    reference = book.quote.last
    book = replace(book, reference=reference)
    return _with_orders(
        book,
        [
            order.ended(Status.CANCELLED, "cancelled at the start of the closing auction", at)
            for order in book.orders
            if not _outlasts_the_day(order)
            and (order.limit is None or not within_auction_band(order.limit, reference))
        ],
    )


def _match_at_one_price(rules: Rules, listing: Listing, book: SymbolBook, at: datetime) -> Step:
    """Match an auction: all orders that reach its price trade at it, up to the displayed quantity.

    What remains of a market order becomes a limit order at that price.
    """
    if book.quote is None:
        return book, ()
    price = book.quote.last
    changed: list[BookOrder] = []
    # Market orders first, then by price and time.
    for order in sorted(book.orders, key=lambda each: (not _is_market(each), *matching.priority(each))):
        gets_limit = _is_market(order) and order.limit != price
        newest = order.changed(at, limit=price) if gets_limit else order
        if newest.reaches(price):
            book, newest = matching.trade_at(price, rules, listing, book, newest, at)
        if newest != order:
            changed.append(newest)
            book = book.keeping(newest)
    return book, tuple(map(Changed, changed))


def _outlasts_the_day(order: BookOrder) -> bool:
    return order.terms.validity is Validity.GTC


def _is_market(order: BookOrder) -> bool:
    return order.terms.type is OrderType.MARKET


def end_all(book: SymbolBook, status: Status, reason: str, at: datetime) -> Step:
    """End every live order of a symbol."""
    return _with_orders(book, [order.ended(status, reason, at) for order in book.orders])


def _end_day_orders(book: SymbolBook, status: Status, reason: str, at: datetime) -> Step:
    """End the live orders that do not outlast the day."""
    ending = [order for order in book.orders if not _outlasts_the_day(order)]
    return _with_orders(book, [order.ended(status, reason, at) for order in ending])


def _with_orders(book: SymbolBook, orders: list[BookOrder]) -> Step:
    for order in orders:
        book = book.keeping(order)
    return book, tuple(map(Changed, orders))
