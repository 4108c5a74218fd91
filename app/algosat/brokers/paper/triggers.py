"""Stops: they wait for the last price, then become what they were placed to become."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from algosat.brokers.paper.book import BookOrder
from algosat.brokers.paper.protection import protected_limit
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Intent, Side, Status


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


def limit_of(terms: Intent, instrument: Instrument, quote: Quote) -> Decimal:
    """The worst price these terms may trade at now."""
    if terms.limit_price is not None:
        return terms.limit_price
    return protected_limit(instrument, quote, terms.side, terms.protection_price)
