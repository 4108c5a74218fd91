"""Stops: they wait for the last price, then become what they were placed to become."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.market_protection import protected_from
from algosat.domain.orders import OrderTerms, Side, Status
from algosat.exchange.order_book import BookOrder


def waits(order: BookOrder) -> bool:
    return order.status is Status.TRIGGER_PENDING


def is_met(order: BookOrder, quote: Quote) -> bool:
    trigger = order.terms.trigger_price
    if trigger is None:
        return False
    return quote.last >= trigger if order.terms.side is Side.BUY else quote.last <= trigger


def fire(order: BookOrder, instrument: Instrument, quote: Quote, at: datetime) -> BookOrder:
    """The order as it now stands in the book, not yet matched."""
    return order.changed(at, status=Status.OPEN, limit=limit_of(order.terms, instrument, quote))


def limit_of(terms: OrderTerms, instrument: Instrument, quote: Quote) -> Decimal:
    """The worst price these terms may trade at now: their limit, else the protection of a market order.

    The sender's protection holds where he named one, rounded so that it never protects less.
    """
    if terms.limit_price is not None:
        return terms.limit_price
    if terms.protection_price is None:
        return protected_from(quote.last, instrument, quote, terms.side)
    rounding = ROUND_FLOOR if terms.side is Side.BUY else ROUND_CEILING
    ticks = (terms.protection_price / instrument.tick).to_integral_value(rounding)
    return _within_circuit(ticks * instrument.tick, quote, terms.side)


def _within_circuit(price: Decimal, quote: Quote, side: Side) -> Decimal:
    """No worse than the circuit allows; a price that is better than it stays as it is, to be refused."""
    return min(price, quote.upper_circuit) if side is Side.BUY else max(price, quote.lower_circuit)
