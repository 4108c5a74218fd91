"""The margin that positions and orders need.

These are Algosat's own rates, used by the gate and the paper market. A broker's may be higher; it then
rejects an order that passed the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Product

_WHOLE: Final = Decimal(1)
_FIFTH: Final = Decimal("0.2")

# Pairs that are not named cannot be traded here; positions in them that come from elsewhere count in full.
# Options: as far as they are bought. The margin of a written option is that of `option_margin`.
SHARES: Final[Mapping[tuple[InstrumentKind, Product], Decimal]] = {
    (InstrumentKind.EQUITY, Product.DELIVERY): _WHOLE,
    (InstrumentKind.EQUITY, Product.INTRADAY): _FIFTH,
    (InstrumentKind.SPOT, Product.DELIVERY): _WHOLE,
    (InstrumentKind.FUTURE, Product.INTRADAY): _FIFTH,
    (InstrumentKind.FUTURE, Product.CARRY): _FIFTH,
    (InstrumentKind.OPTION, Product.INTRADAY): _WHOLE,
    (InstrumentKind.OPTION, Product.CARRY): _WHOLE,
}


def may_trade(kind: InstrumentKind, product: Product) -> bool:
    return (kind, product) in SHARES


def required(kind: InstrumentKind, product: Product, exposure: Decimal) -> Decimal:
    """Return the margin for an exposure."""
    return exposure * SHARES.get((kind, product), _WHOLE)
