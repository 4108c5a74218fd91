"""The protection price of market orders: since April 2026 no market order may trade at any price.

The distance from the price depends on the kind of instrument and the price band, as brokers publish it. For
options up to a premium of 1000 it is an amount, otherwise a fraction of the price.

An exit may need a protection price while the price feed is silent. The protection price is then computed from
the last known price, however old: a limit order never trades at a worse price than its limit, and trades at
once at a better one.
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
_USUAL_TICK: Final = Decimal("0.05")  # of an instrument that was never listed here


def protection_price(
    terms: OrderTerms, instrument: Instrument | None, quote: Quote | None, circuit: Quote | None
) -> Decimal | None:
    """Return the worst price the order may trade at; None for orders with a limit, or if no price is known.

    The distance is measured from the trigger price of a stop, and from the last price for other orders.
    Without either, the circuit limit is the protection price.

    Args:
        quote: The last quote, however old.
        circuit: The quote with the circuit limits in force; None if they are not known.
    """
    if terms.type.has_limit:
        return None
    price = terms.trigger_price or (quote.last if quote is not None else None)
    if price:
        return protected_from(price, instrument, circuit, terms.side)
    if circuit is None:
        return None
    return (circuit.upper_circuit if terms.side is Side.BUY else circuit.lower_circuit) or None


def protected_from(
    price: Decimal, instrument: Instrument | None, circuit: Quote | None, side: Side
) -> Decimal:
    """Return the limit that protects a market order at `price`: on the tick and within the circuit.

    It is rounded towards the better price, so that it never allows more than the published distance.
    """
    bound = price + side.sign * protection_distance(instrument, price)
    tick = instrument.tick if instrument is not None else _USUAL_TICK
    if side is Side.BUY:
        highest = _on_tick(bound, tick, ROUND_FLOOR)
        return highest if circuit is None else min(highest, circuit.upper_circuit)
    lowest = max(_on_tick(bound, tick, ROUND_CEILING), tick)
    return lowest if circuit is None else max(lowest, circuit.lower_circuit)


def _on_tick(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    return (price / tick).to_integral_value(rounding) * tick


def protection_distance(instrument: Instrument | None, price: Decimal) -> Decimal:
    """Return how far from a price its protection price lies, before rounding."""
    if instrument is not None and instrument.kind is InstrumentKind.OPTION:
        fixed = (distance for up_to, distance in _OPTION_DISTANCE if price <= up_to)
        return next(fixed, price * _OPTION_SHARE)
    return price * next(share for up_to, share in _SHARE if price <= up_to)
