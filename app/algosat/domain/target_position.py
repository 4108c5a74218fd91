"""Orders that bring a position to a wanted quantity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from algosat.domain.decimals import ZERO
from algosat.domain.orders import Order, Side
from algosat.errors import Conflict


@dataclass(frozen=True, slots=True)
class PositionStep:
    """One order on the way to the wanted position."""

    side: Side
    quantity: Decimal
    reduce_only: bool


def steps_to(wanted: Decimal, position: Decimal, working: Sequence[Order]) -> list[PositionStep]:
    """Return the orders to place: an exit of the present position, an entry, both or neither.

    Working orders of the line count as if they were filled, except stops, which may never be triggered.
    Raises Conflict if an order is working in the opposite direction, since it may or may not be filled.
    """
    on_the_way = [order for order in working if not order.terms.type.has_trigger]
    missing = wanted - position - _signed(on_the_way)
    if not missing:
        return []
    side = Side.BUY if missing > 0 else Side.SELL
    opposite = [order.id for order in on_the_way if order.terms.side is not side]
    if opposite:
        raise Conflict(f"orders are working in the opposite direction: cancel {', '.join(opposite)} first")
    closes = max(-position * side.sign - abs(_signed(on_the_way)), ZERO)
    exit_quantity = min(abs(missing), closes)
    steps = (
        PositionStep(side, exit_quantity, reduce_only=True),
        PositionStep(side, abs(missing) - exit_quantity, reduce_only=False),
    )
    return [step for step in steps if step.quantity]


def _signed(orders: Iterable[Order]) -> Decimal:
    """Return by how much the orders would change the position."""
    return sum((order.terms.side.sign * order.remaining_quantity for order in orders), ZERO)
