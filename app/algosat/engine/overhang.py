"""Reduce-only orders that have outlived what they were to reduce.

Another order of the same book may close the position first; what is then left working would open
one the other way, so it is cancelled, the newest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from algosat.domain.orders import Order, Overlay
from algosat.domain.positions import Position
from algosat.monitoring import correlation
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import cancel
from algosat.trading.desk import Desk

_ACTOR: Final = "clock"

Key = tuple[str, str, str]  # strategy, symbol, product


def trim(desk: Desk) -> None:
    """Cancel reduce-only orders as far as they exceed their position."""
    with desk.database.read() as connection:
        if not _overhanging(connection, desk):
            return
    cause = Cause(_ACTOR, correlation.new())
    cancelled = desk.writer.run(
        lambda connection: [
            cancel.request(connection, desk, order, cause) for order in _overhanging(connection, desk)
        ]
    )
    for order in cancelled:
        desk.tell_web(order.id)
    desk.wake_engine()


def _overhanging(connection: Connection, desk: Desk) -> list[Order]:
    exits = [order for order in queries.working(connection, desk.account) if _is_exit(order)]
    if not exits:
        return []
    return list(excess(exits, queries.open_positions(connection, desk.account)))


def excess(exits: Iterable[Order], held: Iterable[Position]) -> Iterator[Order]:
    """Those of the exits, oldest first, for which nothing is left once the older ones are filled."""
    left: dict[Key, Decimal] = defaultdict(Decimal)
    for position in held:
        left[position.strategy, position.symbol, position.product] = position.quantity
    for order in exits:
        intent = order.intent
        key = (intent.strategy or "", intent.symbol, intent.product.value)
        if left[key] * intent.side.sign >= 0 or abs(left[key]) < order.remaining_quantity:
            yield order
        else:
            left[key] += intent.side.sign * order.remaining_quantity


def _is_exit(order: Order) -> bool:
    return order.intent.reduce_only and not order.external and order.overlay is not Overlay.PENDING_CANCEL
