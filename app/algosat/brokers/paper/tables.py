"""The paper exchange's own tables: nobody but the venue reads or writes them.

They lie in the same database as the ledger but know nothing of it, as a real exchange would:
what stands here is what the exchange took, whatever the engine believes.
"""

from __future__ import annotations

from sqlalchemy import Column, Date, Index, Integer, String, Table

from algosat.store.tables import metadata
from algosat.store.types import Json, Scaled, UtcTime

paper_orders = Table(
    "paper_orders",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tag", String(64), nullable=False),  # not unique: a tag sent twice is two orders
    Column("symbol", String(64), nullable=False),
    Column("day", Date, nullable=False),
    Column("status", String(20), nullable=False),
    Column("quantity", Scaled, nullable=False),
    Column("filled_quantity", Scaled, nullable=False),
    Column("version", Integer, nullable=False),
    Column("placed_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("data", Json, nullable=False),  # all the rest of it, as `codec` writes it
)
Index("ix_paper_orders_tag", paper_orders.c.tag)
Index("ix_paper_orders_day", paper_orders.c.day)

paper_trades = Table(
    "paper_trades",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("order_id", String(32), nullable=False),
    Column("tag", String(64), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", Scaled, nullable=False),
    Column("price", Scaled, nullable=False),
    Column("at", UtcTime, nullable=False),
)
Index("ix_paper_trades_order_id", paper_trades.c.order_id)

paper_state = Table(
    "paper_state",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("data", Json, nullable=False),
)
