"""How much money positions and orders hold fast.

These are Algosat's own shares for the paper market and the gate. A broker's may be higher; it then
rejects what the gate let pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Product

_WHOLE: Final = Decimal(1)
_FIFTH: Final = Decimal("0.2")

# Pairs that are not named cannot be traded here; where somebody did elsewhere, they count whole. Options can
# be bought only: what their writer owes is not a share of the premium.
SHARES: Final[Mapping[tuple[InstrumentKind, Product], Decimal]] = {
    (InstrumentKind.EQUITY, Product.DELIVERY): _WHOLE,
    (InstrumentKind.EQUITY, Product.INTRADAY): _FIFTH,
    (InstrumentKind.FUTURE, Product.INTRADAY): _FIFTH,
    (InstrumentKind.FUTURE, Product.CARRY): _FIFTH,
    (InstrumentKind.OPTION, Product.INTRADAY): _WHOLE,
    (InstrumentKind.OPTION, Product.CARRY): _WHOLE,
}


def may_trade(kind: InstrumentKind, product: Product) -> bool:
    return (kind, product) in SHARES


def required(kind: InstrumentKind, product: Product, exposure: Decimal) -> Decimal:
    """The margin for this much exposure."""
    return exposure * SHARES.get((kind, product), _WHOLE)
