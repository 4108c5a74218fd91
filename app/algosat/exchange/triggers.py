"""Stop orders: they wait for the last price, then become limit or protected market orders."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.market_protection import protected_from
from algosat.domain.orders import OrderTerms, Side, Status
from algosat.exchange.order_book import BookOrder


def is_waiting(order: BookOrder) -> bool:
    return order.status is Status.TRIGGER_PENDING


def is_reached(order: BookOrder, quote: Quote) -> bool:
    """Whether the last price has reached the trigger."""
    price = order.terms.trigger_price
    if price is None:
        return False
    return quote.last >= price if order.terms.side is Side.BUY else quote.last <= price


def trigger(order: BookOrder, instrument: Instrument, quote: Quote, at: datetime) -> BookOrder:
    """Turn a triggered stop into an open order with a limit, not matched yet."""
    return order.changed(at, status=Status.OPEN, limit=limit_of(order.terms, instrument, quote))


def limit_of(terms: OrderTerms, instrument: Instrument, quote: Quote) -> Decimal:
    """Return the worst price at which these terms may trade now.

    It is the limit price, else the sender's protection price, rounded so that it never protects less, else
    the exchange's own protection.
    """
    if terms.limit_price is not None:
        return terms.limit_price
    if terms.protection_price is None:
        return protected_from(quote.last, instrument, quote, terms.side)
    rounding = ROUND_FLOOR if terms.side is Side.BUY else ROUND_CEILING
    ticks = (terms.protection_price / instrument.tick).to_integral_value(rounding)
    return _within_circuit(ticks * instrument.tick, quote, terms.side)


def _within_circuit(price: Decimal, quote: Quote, side: Side) -> Decimal:
    """Keep a buy price at or below the upper circuit limit, and a sell price at or above the lower one."""
    return min(price, quote.upper_circuit) if side is Side.BUY else max(price, quote.lower_circuit)
