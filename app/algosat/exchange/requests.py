"""Requests that have arrived at the exchange: place, modify, cancel."""

from __future__ import annotations

from datetime import datetime

from algosat.domain.market_phases import Phase
from algosat.domain.orders import Status
from algosat.exchange import matching, triggers, validation
from algosat.exchange.exchange_events import (
    Answered,
    Cancel,
    Changed,
    Cross,
    Modify,
    Output,
    Place,
    Refusal,
    Request,
)
from algosat.exchange.listings import Listing
from algosat.exchange.order_book import BookOrder, SymbolBook
from algosat.exchange.rules import Rules

Step = tuple[SymbolBook, tuple[Output, ...]]


def symbol_of(request: Request) -> str:
    return request.terms.symbol if isinstance(request, Place) else request.symbol


def unknown_symbol(request: Request) -> Answered:
    refusal = Refusal("unknown_symbol", f"the exchange does not list {symbol_of(request)}")
    return Answered(request.request, None, refusal)


def carry_out(
    rules: Rules, listing: Listing, book: SymbolBook, sequence: int, request: Request, at: datetime
) -> tuple[SymbolBook, int, tuple[Output, ...]]:
    """Carry out a request.

    Returns: the book, the number of the last order, and the outputs, of which the answer is the last.
    """
    if isinstance(request, Place):
        order = _new_order(rules, request, sequence + 1, at)
        book, outputs = _place(rules, listing, book, order, request, at)
        return book, sequence + 1, outputs
    known = book.order(request.order_id)
    if known is None:
        refusal = Refusal("order_already_complete", f"order {request.order_id} has ended", gone=True)
        return book, sequence, (Answered(request.request, None, refusal),)
    match request:
        case Modify():
            book, outputs = _modify(rules, listing, book, known, request, at)
        case Cancel():
            book, outputs = _cancel(book, known, request, at)
        case Cross():
            book, outputs = _cross(listing, book, known, request, at)
    return book, sequence, outputs


def _new_order(rules: Rules, request: Place, sequence: int, at: datetime) -> BookOrder:
    local = at.astimezone(rules.calendar.zone)
    return BookOrder(
        id=f"{local:%y%m%d}{sequence:010d}",
        tag=request.tag,
        terms=request.terms,
        status=Status.OPEN,
        day=rules.day(at),
        placed_at=at,
        updated_at=at,
    )


def _place(
    rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder, request: Place, at: datetime
) -> Step:
    refusal = validation.refusal_of_order(rules, listing, book, order.terms, at)
    if refusal:
        order = order.ended(Status.REJECTED, refusal.reason, at)
        return book, (Changed(order), Answered(request.request, order, refusal))
    book, order = _enter(rules, listing, book, order, at)
    return book, (Changed(order), Answered(request.request, order))


def _modify(
    rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder, request: Modify, at: datetime
) -> Step:
    refusal = validation.refusal_of_change(rules, listing, book, order, request.change, at)
    if refusal:
        return book, (Answered(request.request, order, refusal),)
    terms = request.change.applied_to(order.terms)
    keeps_place = (
        order.limit is not None
        and terms.quantity < order.terms.quantity
        and (terms.limit_price == order.terms.limit_price)
    )
    changed = order.changed(at, terms=terms)
    if not keeps_place:
        book, changed = _enter(rules, listing, book, changed, at)
    book = book.keeping(changed)
    return book, (Changed(changed), Answered(request.request, changed))


def _cancel(book: SymbolBook, order: BookOrder, request: Cancel, at: datetime) -> Step:
    cancelled = order.ended(Status.CANCELLED, "cancelled on request", at)
    return book.keeping(cancelled), (Changed(cancelled), Answered(request.request, cancelled))


def _cross(listing: Listing, book: SymbolBook, order: BookOrder, request: Cross, at: datetime) -> Step:
    quantity = min(request.quantity, order.remaining)
    if order.limit is None or quantity <= 0:
        return book, (Answered(request.request, order),)
    filled = order.filled(listing, quantity, order.limit, at)
    return book.keeping(filled), (Changed(filled), Answered(request.request, filled))


def _enter(
    rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder, at: datetime
) -> tuple[SymbolBook, BookOrder]:
    """Match a new or changed order, or add it to the book to wait for its trigger or for an auction."""
    quote = book.quote
    if quote is None:
        return book.keeping(order), order
    if order.terms.type.has_trigger and not order.has_triggered:
        order = order.changed(at, status=Status.TRIGGER_PENDING)
        return book.keeping(order), order
    order = order.changed(at, limit=triggers.limit_of(order.terms, listing.instrument, quote))
    if book.phase is Phase.CONTINUOUS:
        book, order = matching.match_arriving(rules, listing, book, order, at)
    if book.phase is Phase.POST_CLOSE:
        order = order.changed(at, limit=quote.last)
        book, order = matching.trade_at(quote.last, rules, listing, book, order, at)
    return book.keeping(order), order
