"""The protection price of market orders: since April 2026 no market order may trade at any price.

The distance from the price depends on the kind of instrument and the price band, as brokers publish it. For
options up to a premium of 1000 it is an amount, otherwise a fraction of the price.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from algosat.domain.instruments import Instrument, InstrumentKind, Quote
from algosat.domain.orders import OrderTerms, Side

# (highest price of the band, protection as a fraction of the price)
_SHARE: Final = (
    (Decimal(100), Decimal("0.02")),
    (Decimal(1000), Decimal("0.01")),
    (Decimal("Infinity"), Decimal("0.005")),
)
# (highest premium of the band, distance); above the last band it is a fraction of the premium
_OPTION_DISTANCE: Final = ((Decimal(500), Decimal(5)), (Decimal(1000), Decimal(10)))
_OPTION_SHARE: Final = Decimal("0.01")


def protection_price(terms: OrderTerms, instrument: Instrument, quote: Quote) -> Decimal | None:
    """Return the worst price the order may trade at; None for orders with a limit.

    A stop is protected from its trigger on, any other from the last price on.
    """
    if terms.type.has_limit:
        return None
    return protected_from(terms.trigger_price or quote.last, instrument, quote, terms.side)


def protected_from(price: Decimal, instrument: Instrument, quote: Quote, side: Side) -> Decimal:
    """Return the limit that protects a market order at `price`: on the tick and within the circuit.

    It is rounded towards the better price, so that it never allows more than the published distance.
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
