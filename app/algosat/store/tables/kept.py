"""Tables of the linked exits and GTT orders that the engine manages."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, text

from algosat.store.tables.base import metadata
from algosat.store.types import Json, Scaled, UtcTime

# The same SQL must be in the partial index and in the queries that use it.
ACTIVE_EXIT = "state != 'ended'"

linked_exits = Table(
    "linked_exits",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("strategy", String(64), nullable=False),  # '' for orders placed by hand
    Column("symbol", String(64), nullable=False),
    Column("product", String(16), nullable=False),
    Column("algo_id", String(64)),
    Column("side", String(4), nullable=False),
    Column("trigger_price", Scaled),
    Column("limit_price", Scaled),
    Column("target_price", Scaled),
    Column("trail_amount", Scaled),
    Column("trail_percent", Scaled),
    Column("quantity", Scaled, nullable=False),
    Column("entered", Scaled, nullable=False),
    Column("entry_id", String(18)),
    Column("order_id", String(18)),  # the stop or target placed last
    Column("state", String(20), nullable=False),
    Column("changes", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcTime),
    Column("outcome", String(32)),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("correlation_id", String(64), nullable=False),
    Column("expires_at", UtcTime),  # until then the stop is placed again each day
)
Index("ix_linked_exits_active", linked_exits.c.account, sqlite_where=text(ACTIVE_EXIT))

# The orders of each linked exit: its entry, and every stop and target that was placed.
linked_orders = Table(
    "linked_orders",
    metadata,
    Column("order_id", String(18), primary_key=True),
    Column("exit_id", String(18), nullable=False),
    Column("role", String(8), nullable=False),
)
Index("ix_linked_orders_exit_id", linked_orders.c.exit_id)

# The same SQL must be in the partial index and in the queries that use it.
ACTIVE_GTT = "state = 'active'"

gtt_orders = Table(
    "gtt_orders",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("trigger_price", Scaled, nullable=False),
    Column("is_above", Boolean, nullable=False),  # than the last price when the order was kept
    Column("terms", Json, nullable=False),  # of the order to place, as in the event of a created order
    Column("exits", Json),  # its linked exits
    Column("expires_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("order_id", String(18)),  # of the order that was placed
    Column("version", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("correlation_id", String(64), nullable=False),
    Column("second_trigger_price", Scaled),  # of the second leg, on the other side of the price
    Column("second_limit_price", Scaled),
)
Index("ix_gtt_orders_active", gtt_orders.c.account, sqlite_where=text(ACTIVE_GTT))
