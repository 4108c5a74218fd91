"""Order matching: on arrival against the displayed levels, at rest against the market's trades.

On arrival an order takes displayed levels, best first, up to its limit. Taken quantity is displayed again
only as the market trades. At rest it trades at its own price: if the other side's best quote reaches that
price, against the displayed levels; if the market trades through the price, up to its share of the volume;
if the market trades at the price, after the queue ahead of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Quote
from algosat.domain.orders import Side, Status, Validity
from algosat.exchange import depth
from algosat.exchange.depth import whole_lots
from algosat.exchange.listings import Listing
from algosat.exchange.order_book import BookOrder, SymbolBook
from algosat.exchange.rules import Rules


def match_arriving(
    rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder, at: datetime
) -> tuple[SymbolBook, BookOrder]:
    """Match an order that is new or has a new price. The rest joins the queue, or is cancelled (IOC)."""
    if _is_stale(rules, book, at):
        order = order.changed(at, incoming=True)
    else:
        book, order = _take_displayed(rules, listing, book, order, at)
        order = _queue(rules, listing, book, order)
    if order.is_live and order.terms.validity is Validity.IOC:
        order = order.ended(Status.CANCELLED, "immediate or cancel: nothing left to trade with", at)
    return book, order


@dataclass(frozen=True, slots=True)
class Volume:
    """Quantity traded in the market between two ticks, and how much of it our orders may still take."""

    traded: Decimal
    available: Decimal

    @classmethod
    def between(cls, before: Quote | None, now: Quote, participation: Decimal, lot: Decimal) -> Volume:
        new_day = before is None or now.volume < before.volume
        traded = now.volume if before is None or new_day else now.volume - before.volume
        return cls(traded, whole_lots(traded * participation, lot))

    def minus(self, quantity: Decimal) -> Volume:
        return Volume(self.traded, self.available - quantity)


def match_resting(
    rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder, volume: Volume, at: datetime
) -> tuple[SymbolBook, BookOrder, Volume]:
    """Match a resting order at one tick."""
    quote, limit = book.quote, order.limit
    if quote is None or limit is None:
        return book, order, volume
    if order.incoming:
        book, order = match_arriving(rules, listing, book, order.changed(at, incoming=False), at)
        return book, order, volume
    if order.reaches(quote.ask if order.terms.side is Side.BUY else quote.bid):
        book, order = _take_displayed(rules, listing, book, order, at, at_own_price=True)
        return book, order, volume
    if not order.reaches(quote.last):
        return book, order, volume
    if quote.last == limit:
        beyond_queue = volume.traded - order.queue_ahead
        order = order.moved_up(max(ZERO, -beyond_queue))
    else:
        beyond_queue = volume.traded
    tradable = whole_lots(max(beyond_queue, ZERO), listing.instrument.lot)
    quantity = min(order.remaining, volume.available, tradable)
    if quantity > 0:
        order, volume = order.filled(listing, quantity, limit, at), volume.minus(quantity)
    return book, order, volume


def trade_at(
    price: Decimal, rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder, at: datetime
) -> tuple[SymbolBook, BookOrder]:
    """Trade at a given price, up to the quantity that the other side displays at any price."""
    for level in depth.available(rules.seed, listing.instrument, book, order.terms.side.opposite):
        quantity = min(order.remaining, level.quantity)
        if quantity:
            order = order.filled(listing, quantity, price, at)
            book = book.taking(order.terms.side.opposite, quantity)
    return book, order


def priority(order: BookOrder) -> tuple[Decimal, str]:
    """Return the sort key: best price first, then earliest order. Order numbers grow with time."""
    limit = order.limit or ZERO
    return (-limit if order.terms.side is Side.BUY else limit, order.id)


def _take_displayed(
    rules: Rules,
    listing: Listing,
    book: SymbolBook,
    order: BookOrder,
    at: datetime,
    *,
    at_own_price: bool = False,
) -> tuple[SymbolBook, BookOrder]:
    for level in depth.available(rules.seed, listing.instrument, book, order.terms.side.opposite):
        if not order.remaining or not order.reaches(level.price):
            break
        quantity = min(order.remaining, level.quantity)
        price = order.limit if at_own_price and order.limit is not None else level.price
        order = order.filled(listing, quantity, price, at)
        book = book.taking(order.terms.side.opposite, quantity)
    return book, order


def _queue(rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder) -> BookOrder:
    """Join the queue at the limit, behind the quantity displayed there."""
    levels = depth.available(rules.seed, listing.instrument, book, order.terms.side)
    if not levels or order.limit is None:
        return order.moved_up(ZERO)
    at_price = next((level.quantity for level in levels if level.price == order.limit), None)
    if at_price is not None:
        return order.moved_up(at_price)
    below_display = (levels[-1].price - order.limit) * order.terms.side.sign > 0
    return order.moved_up(levels[-1].quantity if below_display else ZERO)


def _is_stale(rules: Rules, book: SymbolBook, at: datetime) -> bool:
    """Whether the quote is too old to trade on, or contradicts itself."""
    quote = book.quote
    return quote is None or at - quote.at > rules.stale_after or not quote.low <= quote.last <= quote.high
