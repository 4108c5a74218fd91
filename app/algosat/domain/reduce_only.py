"""Reduce-only orders that have outlived what they were to reduce.

Another order of the same book may close the position first; what is then left working would open
one the other way, so it is cancelled, the newest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal

from algosat.domain.orders import Order, PendingRequest
from algosat.domain.positions import Position

Key = tuple[str, str, str]  # strategy, symbol, product


def is_exit(order: Order) -> bool:
    """Whether it may only reduce, is ours, and nobody has asked for its cancelling yet."""
    return (
        order.terms.reduce_only and not order.external and order.pending is not PendingRequest.PENDING_CANCEL
    )


def oversized(exits: Iterable[Order], held: Iterable[Position]) -> Iterator[Order]:
    """Those of the exits, oldest first, for which nothing is left once the older ones are filled."""
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
