"""The price a market order is protected by: since April 2026 none may trade at any price.

Distances from the price by kind and price band, as brokers publish them; for cheap options an
absolute one.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from algosat.domain.instruments import Instrument, InstrumentKind, Quote
from algosat.domain.orders import OrderTerms, Side

# (price up to which, share of it)
_SHARE: Final = (
    (Decimal(100), Decimal("0.02")),
    (Decimal(1000), Decimal("0.01")),
    (Decimal("Infinity"), Decimal("0.005")),
)
# (premium up to which, distance); above the last one a share of it
_OPTION_DISTANCE: Final = ((Decimal(500), Decimal(5)), (Decimal(1000), Decimal(10)))
_OPTION_SHARE: Final = Decimal("0.01")


def protection_price(terms: OrderTerms, instrument: Instrument, quote: Quote) -> Decimal | None:
    """The worst price the order may trade at; None for orders that have a limit of their own.

    A stop is protected from its trigger on, any other from the last price on.
    """
    if terms.type.has_limit:
        return None
    return protected_from(terms.trigger_price or quote.last, instrument, quote, terms.side)


def protected_from(price: Decimal, instrument: Instrument, quote: Quote, side: Side) -> Decimal:
    """The limit that protects a market order at `price`: on the tick, and no worse than the circuit.

    Rounded towards the better price, so that it never protects less than the band.
    """
    bound = price + side.sign * _distance(instrument, price)
    if side is Side.BUY:
        return min(_on_tick(bound, instrument.tick, ROUND_FLOOR), quote.upper_circuit)
    return max(_on_tick(bound, instrument.tick, ROUND_CEILING), quote.lower_circuit)


def _on_tick(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    return (price / tick).to_integral_value(rounding) * tick


def _distance(instrument: Instrument, price: Decimal) -> Decimal:
    if instrument.kind is InstrumentKind.OPTION:
        fixed = (distance for up_to, distance in _OPTION_DISTANCE if price <= up_to)
        return next(fixed, price * _OPTION_SHARE)
    return price * next(share for up_to, share in _SHARE if price <= up_to)
