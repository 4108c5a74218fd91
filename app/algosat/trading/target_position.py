"""Place the orders that bring a position to a wanted quantity, computed as they are stored."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from algosat.domain.orders import Order, OrderTerms, Status
from algosat.domain.target_position import steps_to
from algosat.errors import Conflict
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import conversion_records, place, slicing
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed


def reach_position(desk: Desk, terms: OrderTerms, cause: Cause, *, key: IdempotencyKey) -> Placed:
    """Place the orders that lead to the position `terms.quantity` (negative: short); possibly none.

    Side and reduce-only of `terms` are ignored: they follow from the present position. A flip needs an exit
    and an entry. Quantities above the freeze quantity are sliced. Raises Conflict if an order of the position
    is working in the opposite direction.
    """

    return place.once(desk, key, lambda connection: _place_steps(connection, desk, terms, cause), [terms])


def reach_if_possible(desk: Desk, terms: OrderTerms, cause: Cause, *, key: IdempotencyKey) -> Placed:
    """Place as `reach_position` does, but nothing if an order is working in the opposite direction."""

    def work(connection: Connection) -> list[Order]:
        try:
            return _place_steps(connection, desk, terms, cause)
        except Conflict:
            return []

    return place.once(desk, key, work, [terms])


def _place_steps(connection: Connection, desk: Desk, terms: OrderTerms, cause: Cause) -> list[Order]:
    line = (terms.strategy or "", terms.symbol, terms.product)
    conversion = conversion_records.of_line(connection, desk.account, (line[0], line[1], line[2].value))
    if conversion is not None:
        raise Conflict(f"conversion {conversion.id} of the position is under way: wait for its outcome")
    working = [
        order
        for order in queries.working(connection, desk.account)
        if (order.terms.strategy or "", order.terms.symbol, order.terms.product) == line
    ]
    position = queries.held(connection, desk.account, line[0], line[1], line[2].value)
    legs = [
        replace(terms, side=step.side, quantity=step.quantity, reduce_only=step.reduce_only)
        for step in steps_to(terms.quantity, position, working)
    ]
    orders: list[Order] = []
    for leg in legs:
        orders += slicing.admit(connection, desk, leg, cause)
        if orders[-1].status is Status.DENIED:
            break  # the entry is placed only if the exit before it was
    return orders
