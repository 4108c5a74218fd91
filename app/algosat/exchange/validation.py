"""Validation of orders by the exchange. Each check returns a refusal or None; the first refusal counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.market_phases import Phase, takes
from algosat.domain.orders import OrderChange, OrderTerms, OrderType, Side
from algosat.exchange.exchange_events import Refusal
from algosat.exchange.listings import Listing
from algosat.exchange.order_book import BookOrder, SymbolBook
from algosat.exchange.rules import Rules, within_auction_band
from algosat.exchange.triggers import limit_of


@dataclass(frozen=True, slots=True)
class _Request:
    """The terms to validate, and the market they apply to."""

    terms: OrderTerms
    instrument: Instrument
    quote: Quote
    phase: Phase
    reference: Decimal | None

    @property
    def prices(self) -> tuple[Decimal, ...]:
        prices = (self.terms.limit_price, self.terms.trigger_price)
        return tuple(price for price in prices if price is not None)


def refusal_of_order(
    rules: Rules, listing: Listing, book: SymbolBook, terms: OrderTerms, at: datetime
) -> Refusal | None:
    if book.quote is None:
        return Refusal("no_market", f"{terms.symbol} has no price yet")
    # The book enters a new phase at the next event: an order that arrives just before must be valid in both.
    phases = (book.phase, rules.phase(listing, at))
    if not all(takes(phase, terms.type, terms.validity) for phase in phases) or rules.entry_is_over(
        listing, at
    ):
        return Refusal(
            "session_closed", f"a {terms.type} order ({terms.validity}) is not accepted in phase {book.phase}"
        )
    request = _Request(terms, listing.instrument, book.quote, book.phase, book.reference)
    return next(filter(None, (check(request) for check in _CHECKS)), None)


def refusal_of_change(
    rules: Rules, listing: Listing, book: SymbolBook, order: BookOrder, change: OrderChange, at: datetime
) -> Refusal | None:
    if not order.is_live:
        return gone(order)
    if change.quantity <= order.filled_quantity:
        return Refusal("below_filled_quantity", f"{order.filled_quantity} are already filled")
    terms = change.applied_to(order.terms)
    if order.has_triggered:  # validated as the type it has become: its trigger no longer matters
        became = OrderType.LIMIT if terms.type.has_limit else OrderType.MARKET
        terms = replace(terms, type=became, trigger_price=None)
    return refusal_of_order(rules, listing, book, terms, at)


def gone(order: BookOrder) -> Refusal:
    return Refusal("order_already_complete", f"order {order.id} is already {order.status}", gone=True)


def _quantity_off_lot(request: _Request) -> Refusal | None:
    if request.instrument.takes_quantity(request.terms.quantity):
        return None
    return Refusal(
        "quantity_off_lot",
        f"{request.terms.quantity} is not a multiple of the lot of {request.instrument.lot}",
    )


def _too_small(request: _Request) -> Refusal | None:
    terms = request.terms
    # A market order arrives as a limit order at its protection price.
    price = terms.limit_price or terms.protection_price or request.quote.last
    why = request.instrument.too_small(terms.quantity, price)
    return None if why is None else Refusal("below_minimum", why)


def _above_freeze_quantity(request: _Request) -> Refusal | None:
    freeze = request.instrument.freeze_quantity
    if request.terms.quantity <= freeze:
        return None
    return Refusal(
        "above_freeze_quantity", f"{request.terms.quantity} is above the freeze quantity of {freeze}"
    )


def _price_missing(request: _Request) -> Refusal | None:
    terms = request.terms
    if terms.type.has_limit and terms.limit_price is None:
        return Refusal("limit_price_missing", f"a {terms.type} order needs a limit price")
    if terms.type.has_trigger and terms.trigger_price is None:
        return Refusal("trigger_price_missing", f"a {terms.type} order needs a trigger price")
    return None


def _price_off_tick(request: _Request) -> Refusal | None:
    off = [price for price in request.prices if not request.instrument.takes_price(price)]
    if not off:
        return None
    return Refusal("price_off_tick", f"{off[0]} is not a multiple of the tick of {request.instrument.tick}")


def _outside_circuit(request: _Request) -> Refusal | None:
    quote, prices = request.quote, request.prices
    if request.terms.type is OrderType.MARKET:
        prices = (limit_of(request.terms, request.instrument, quote),)
    if all(quote.lower_circuit <= price <= quote.upper_circuit for price in prices):
        return None
    return Refusal(
        "outside_circuit",
        f"the circuit limits of {quote.symbol} are {quote.lower_circuit} and {quote.upper_circuit}",
    )


def _outside_auction_band(request: _Request) -> Refusal | None:
    if request.phase not in (Phase.AUCTION, Phase.AUCTION_LIMIT) or request.reference is None:
        return None
    limit = request.terms.limit_price
    if limit is None or within_auction_band(limit, request.reference):
        return None
    return Refusal("outside_auction_band", f"{limit} is not within 3 % of the reference {request.reference}")


def _trigger_on_wrong_side(request: _Request) -> Refusal | None:
    trigger, last = request.terms.trigger_price, request.quote.last
    if trigger is None or not request.terms.type.has_trigger:
        return None
    if (trigger - last) * request.terms.side.sign > 0:
        return None
    side = "above" if request.terms.side is Side.BUY else "below"
    return Refusal("trigger_on_wrong_side", f"the trigger {trigger} must be {side} the last price of {last}")


def _limit_beyond_trigger(request: _Request) -> Refusal | None:
    limit, trigger = request.terms.limit_price, request.terms.trigger_price
    if request.terms.type is not OrderType.STOP_LIMIT or limit is None or trigger is None:
        return None
    if (limit - trigger) * request.terms.side.sign >= 0:
        return None
    return Refusal(
        "limit_beyond_trigger",
        f"triggered at {trigger}, the order could not trade within its limit of {limit}",
    )


_CHECKS: Final[tuple[Callable[[_Request], Refusal | None], ...]] = (
    _quantity_off_lot,
    _too_small,
    _above_freeze_quantity,
    _price_missing,
    _price_off_tick,
    _outside_circuit,
    _outside_auction_band,
    _trigger_on_wrong_side,
    _limit_beyond_trigger,
)
