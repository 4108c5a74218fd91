"""Positions: the sums of fills.

A position keeps the cost of its open quantity, not an average price: the cost is split exactly when part of
it is closed, so that cash is conserved to the last decimal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from algosat.domain.decimals import ZERO, to_store_places
from algosat.domain.orders import Side


@dataclass(frozen=True, slots=True)
class Position:
    """One strategy's holding of one symbol under one product. All amounts in the account's currency."""

    account: str
    strategy: str  # '' for orders placed by hand
    symbol: str
    product: str
    quantity: Decimal = ZERO  # negative: short
    cost: Decimal = ZERO  # signed like the quantity
    realised: Decimal = ZERO  # profit of what was closed, before fees
    fees: Decimal = ZERO

    @property
    def average_price(self) -> Decimal | None:
        return self.cost / self.quantity if self.quantity else None

    def unrealised(self, last: Decimal) -> Decimal:
        """Return the profit if the position were closed at `last`."""
        return self.quantity * last - self.cost


def fill(position: Position, side: Side, quantity: Decimal, price: Decimal, fees: Decimal) -> Position:
    """Return the position after a fill, which opens, adds, reduces, closes or flips it."""
    signed = side.sign * quantity
    closing = _closing_part(position.quantity, signed)
    released = _share(position.cost, closing, position.quantity)
    opening = signed + closing
    return replace(
        position,
        quantity=position.quantity + signed,
        cost=position.cost - released + opening * price,
        realised=position.realised + closing * price - released,
        fees=position.fees + fees,
    )


def _closing_part(held: Decimal, signed: Decimal) -> Decimal:
    """Return the quantity that the fill closes, with the sign of the position."""
    if held * signed >= 0:
        return ZERO
    return held if abs(signed) >= abs(held) else -signed


def _share(cost: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    if part == whole:
        return cost if whole else ZERO
    return to_store_places(cost * part / whole)
