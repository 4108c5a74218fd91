"""The price a market order is protected by: since April 2026 none may trade at any price.

Percentages of the last price by kind and price band, as brokers publish them; for cheap options an
absolute distance.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from algosat.domain.instruments import Instrument, InstrumentKind, Quote
from algosat.domain.orders import Side

# (last price up to which, share of it)
_SHARE: Final = (
    (Decimal(100), Decimal("0.02")),
    (Decimal(1000), Decimal("0.01")),
    (Decimal("Infinity"), Decimal("0.005")),
)
# (premium up to which, distance); above the last one a share of it
_OPTION_DISTANCE: Final = ((Decimal(500), Decimal(5)), (Decimal(1000), Decimal(10)))
_OPTION_SHARE: Final = Decimal("0.01")


def protected_limit(
    instrument: Instrument, quote: Quote, side: Side, asked: Decimal | None = None
) -> Decimal:
    """The limit of a market order: what its sender asked for, else the exchange's own, on the tick.

    Rounded towards the better price, so that it never protects less; no worse than the circuit allows.
    """
    bound = asked if asked is not None else quote.last + side.sign * _distance(instrument, quote.last)
    if side is Side.BUY:
        return min(_on_tick(bound, instrument.tick, ROUND_FLOOR), quote.upper_circuit)
    return max(_on_tick(bound, instrument.tick, ROUND_CEILING), quote.lower_circuit)


def _on_tick(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    return (price / tick).to_integral_value(rounding) * tick


def _distance(instrument: Instrument, last: Decimal) -> Decimal:
    if instrument.kind is InstrumentKind.OPTION:
        fixed = (distance for up_to, distance in _OPTION_DISTANCE if last <= up_to)
        return next(fixed, last * _OPTION_SHARE)
    return last * next(share for up_to, share in _SHARE if last <= up_to)
