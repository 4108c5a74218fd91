"""Reduce-only orders that are larger than the position they reduce.

Another order of the same book may close the position first. A reduce-only order that still works would then
open a position on the other side, so it is cancelled, the newest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal

from algosat.domain.orders import Order, PendingRequest
from algosat.domain.positions import Position

Key = tuple[str, str, str]  # strategy, symbol, product


def is_exit(order: Order) -> bool:
    """Return whether the order is reduce-only, ours, and not being cancelled."""
    return (
        order.terms.reduce_only and not order.external and order.pending is not PendingRequest.PENDING_CANCEL
    )


def oversized(exits: Iterable[Order], held: Iterable[Position]) -> Iterator[Order]:
    """Yield the exits that exceed what is left of their position once the older ones are filled.

    `exits` are sorted from the oldest to the newest.
    """
    left: dict[Key, Decimal] = defaultdict(Decimal)
    for position in held:
        left[position.strategy, position.symbol, position.product] = position.quantity
    for order in exits:
        terms = order.terms
        key = (terms.strategy or "", terms.symbol, terms.product.value)
        if left[key] * terms.side.sign >= 0 or abs(left[key]) < order.remaining_quantity:
            yield order
        else:
            left[key] += terms.side.sign * order.remaining_quantity
