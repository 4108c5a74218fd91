"""How an order meets the market: on arrival against what is displayed, at rest by what trades.

On arrival it takes displayed levels from the best one on, up to its limit; what it took comes
back only as the market trades on. At rest it trades at its own price: when the market comes to stand
beyond it, against what is then displayed; when the market trades through it, by its share of
the volume; when the market trades just at it, after the queue that was there before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algosat.domain.instruments import Quote
from algosat.domain.orders import Side, Status, Validity
from algosat.exchange import depth
from algosat.exchange.depth import whole_lots
from algosat.exchange.listings import Listing
from algosat.exchange.order_book import NOTHING, BookOrder, SymbolBook
from algosat.exchange.rules import Rules


def arrive(
    rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder, at: datetime
) -> tuple[SymbolBook, BookOrder]:
    """Match a new order, or one whose price is new, and let the rest of it join the queue or end."""
    if _is_stale(rules, book, at):
        order = order.changed(at, incoming=True)
    else:
        book, order = _take_displayed(rules, listing, book, order, at)
        order = _queue(rules, listing, book, order)
    if order.is_live and order.terms.validity is Validity.IOC:
        order = order.ended(Status.CANCELLED, "immediate or cancel: nothing more to trade with", at)
    return book, order


@dataclass(frozen=True, slots=True)
class Volume:
    """What traded in the market between two ticks, and how much of it may yet be ours."""

    traded: Decimal
    ours: Decimal

    @classmethod
    def between(cls, before: Quote | None, now: Quote, participation: Decimal, lot: Decimal) -> Volume:
        new_day = before is None or now.volume < before.volume
        traded = now.volume if before is None or new_day else now.volume - before.volume
        return cls(traded, whole_lots(traded * participation, lot))

    def less(self, quantity: Decimal) -> Volume:
        return Volume(self.traded, self.ours - quantity)


def rest(
    rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder, volume: Volume, at: datetime
) -> tuple[SymbolBook, BookOrder, Volume]:
    """Let one tick pass over an order at rest."""
    quote, limit = book.quote, order.limit
    if quote is None or limit is None:
        return book, order, volume
    if order.incoming:
        book, order = arrive(rules, listing, book, order.changed(at, incoming=False), at)
        return book, order, volume
    if order.reaches(quote.ask if order.terms.side is Side.BUY else quote.bid):
        book, order = _take_displayed(rules, listing, book, order, at, at_own_price=True)
        return book, order, volume
    if not order.reaches(quote.last):
        return book, order, volume
    if quote.last == limit:
        behind = volume.traded - order.queue_ahead
        order = order.moved_up(max(NOTHING, -behind))
    else:
        behind = volume.traded
    quantity = min(order.remaining, volume.ours, whole_lots(max(behind, NOTHING), listing.instrument.lot))
    if quantity > 0:
        order, volume = order.filled(quantity, limit, at), volume.less(quantity)
    return book, order, volume


def trade_at(
    price: Decimal, rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder, at: datetime
) -> tuple[SymbolBook, BookOrder]:
    """Trade at a price that holds for everybody, up to what the other side displays at any price."""
    for level in depth.left(rules.seed, listing.instrument, book, order.terms.side.opposite):
        quantity = min(order.remaining, level.quantity)
        if quantity:
            order = order.filled(quantity, price, at)
            book = book.taking(order.terms.side.opposite, quantity)
    return book, order


def priority(order: BookOrder) -> tuple[Decimal, str]:
    """Best price first, then first come; numbers of orders grow with time."""
    limit = order.limit or NOTHING
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
    for level in depth.left(rules.seed, listing.instrument, book, order.terms.side.opposite):
        if not order.remaining or not order.reaches(level.price):
            break
        quantity = min(order.remaining, level.quantity)
        price = order.limit if at_own_price and order.limit is not None else level.price
        order = order.filled(quantity, price, at)
        book = book.taking(order.terms.side.opposite, quantity)
    return book, order


def _queue(rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder) -> BookOrder:
    """Join the queue of its price: behind what is displayed there, first where nothing is."""
    levels = depth.left(rules.seed, listing.instrument, book, order.terms.side)
    if not levels or order.limit is None:
        return order.moved_up(NOTHING)
    at_price = next((level.quantity for level in levels if level.price == order.limit), None)
    if at_price is not None:
        return order.moved_up(at_price)
    deeper_than_shown = (levels[-1].price - order.limit) * order.terms.side.sign > 0
    return order.moved_up(levels[-1].quantity if deeper_than_shown else NOTHING)


def _is_stale(rules: Rules, book: SymbolBook, at: datetime) -> bool:
    """Whether the quote is too old, or contradicts itself, to trade on."""
    quote = book.quote
    return quote is None or at - quote.at > rules.stale_after or not quote.low <= quote.last <= quote.high
