"""Comparison of linked exits and GTT orders with the orders that they name."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, select

from algosat.domain.gtt import GttState
from algosat.domain.linked_exits import LinkedRole
from algosat.store.tables import gtt_orders, linked_exits, linked_orders, orders


def compare_kept_orders(connection: Connection) -> Iterator[str]:
    """Compare linked exits and GTT orders with the orders that the engine has placed for them."""
    yield from _compare_linked_exits(connection)
    yield from _compare_gtt_orders(connection)


def _compare_linked_exits(connection: Connection) -> Iterator[str]:
    exits = {row.id: row for row in connection.execute(select(linked_exits))}
    statement = select(linked_orders, orders).outerjoin(orders, orders.c.id == linked_orders.c.order_id)
    for row in connection.execute(statement):
        linked = exits.get(row.exit_id)
        if linked is None or row.id is None:
            yield f"order {row.order_id} of linked exit {row.exit_id}: one of the two does not exist"
            continue
        line = (row.account, row.strategy, row.symbol, row.product)
        is_entry = row.role == LinkedRole.ENTRY
        if line != (linked.account, linked.strategy, linked.symbol, linked.product):
            yield f"linked exit {linked.id}: order {row.id} is of another position"
        elif is_entry is (row.side == linked.side):
            yield f"linked exit {linked.id}: its {row.role} {row.id} is to {row.side}"


def _compare_gtt_orders(connection: Connection) -> Iterator[str]:
    statement = select(gtt_orders.c.id, gtt_orders.c.state, orders.c.id.label("found")).outerjoin(
        orders, orders.c.id == gtt_orders.c.order_id
    )
    for row in connection.execute(statement):
        if (row.state == GttState.TRIGGERED) is (row.found is None):
            yield f"GTT order {row.id} is {row.state}, but its order is {row.found or 'missing'}"
