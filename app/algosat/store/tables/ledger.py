"""The ledger: orders, their events, and the book that fills add up to."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, Index, Integer, String, Table, Text, UniqueConstraint, text

from algosat.domain.orders import WORKING, Status
from algosat.store.tables.base import Sequence, metadata
from algosat.store.types import Json, Scaled, UtcTime

# The same words stand in a partial index and in the queries that are to use it.
WORKING_STATUS = f"status IN ({', '.join(sorted(repr(status.value) for status in WORKING))})"
NOT_DENIED = f"status != '{Status.DENIED.value}'"

orders = Table(
    "orders",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("account", String(64), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", Scaled, nullable=False),
    Column("type", String(16), nullable=False),
    Column("limit_price", Scaled),
    Column("trigger_price", Scaled),
    Column("protection_price", Scaled),
    Column("product", String(16), nullable=False),
    Column("validity", String(8), nullable=False),
    Column("reduce_only", Boolean, nullable=False),
    Column("strategy", String(64), nullable=False),  # '' for orders placed by hand
    Column("algo_id", String(64)),
    Column("status", String(20), nullable=False),
    Column("overlay", String(20)),
    Column("filled_quantity", Scaled, nullable=False),
    Column("filled_value", Scaled, nullable=False),
    Column("broker_order_id", String(64)),
    Column("code", String(64)),
    Column("reason", Text),
    Column("pending_change", Json),
    Column("external", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("correlation_id", String(64), nullable=False),
)
# The gate adds the working orders up for every new one: it must not pay for the old ones, nor sort, nor go to
# each row for what it adds. By the migration these are as partial on PostgreSQL; to name that here would load
# its dialect into every process.
_ADDED_UP = (
    "account", "strategy", "symbol", "product", "side", "quantity", "filled_quantity",
    "limit_price", "protection_price", "trigger_price", "pending_change", "status", "id",
)  # fmt: skip
Index("ix_orders_working", *(orders.c[name] for name in _ADDED_UP), sqlite_where=text(WORKING_STATUS))
Index("ix_orders_status_seq", orders.c.status, orders.c.seq)
Index("ix_orders_symbol_seq", orders.c.symbol, orders.c.seq)
Index("ix_orders_strategy_seq", orders.c.strategy, orders.c.seq)
# The engine looks for them whenever it is rung; hardly ever is there one.
Index("ix_orders_overlay", orders.c.account, orders.c.seq, sqlite_where=text("overlay IS NOT NULL"))
# Nor does the gate go to each row to count those of the last second, and to find those that equal a new one.
_COUNTED = ("account", "created_at", "strategy", "status", "symbol", "quantity")
Index("ix_orders_lately", *(orders.c[name] for name in _COUNTED), sqlite_where=text(NOT_DENIED))
# The broker's own number finds the orders that were placed elsewhere, and those whose tag he mangled.
Index("ix_orders_broker_order_id", orders.c.account, orders.c.broker_order_id)

events = Table(
    "events",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("subject", String(128), nullable=False),  # an order's id, a user's name, a setting's key
    Column("actor", String(128), nullable=False),
    Column("correlation_id", String(64), nullable=False),
    Column("data", Json, nullable=False),
    Column("hash", String(64), nullable=False),  # of the event before and of this one: a chain
)
Index("ix_events_subject_seq", events.c.subject, events.c.seq)

trades = Table(
    "trades",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("account", String(64), nullable=False),
    Column("trade_id", String(64), nullable=False),
    Column("order_id", String(18), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("product", String(16), nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", Scaled, nullable=False),
    Column("price", Scaled, nullable=False),
    Column("realised", Scaled, nullable=False),
    Column("fees", Scaled, nullable=False),
    Column("at", UtcTime, nullable=False),
    UniqueConstraint("account", "trade_id"),
)
Index("ix_trades_order_id", trades.c.order_id)
Index("ix_trades_symbol_seq", trades.c.symbol, trades.c.seq)

positions = Table(
    "positions",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("strategy", String(64), primary_key=True),
    Column("symbol", String(64), primary_key=True),
    Column("product", String(16), primary_key=True),
    Column("quantity", Scaled, nullable=False),
    Column("cost", Scaled, nullable=False),  # signed: what the open quantity was bought or sold for
    Column("realised", Scaled, nullable=False),
    Column("fees", Scaled, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

balances = Table(
    "balances",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("deposited", Scaled, nullable=False),
    Column("realised", Scaled, nullable=False),
    Column("fees", Scaled, nullable=False),
)

# What a trading day came to, per strategy: daily loss and order counts are read here, never summed.
days = Table(
    "days",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("strategy", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("orders", Integer, nullable=False),
    Column("trades", Integer, nullable=False),
    Column("realised", Scaled, nullable=False),
    Column("fees", Scaled, nullable=False),
)

# What a book was worth when its trading day began, open positions at their price then: the day's loss is
# measured against it. The first order of the day to be judged writes it.
openings = Table(
    "openings",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("strategy", String(64), primary_key=True),  # '*' for the whole account
    Column("day", Date, primary_key=True),
    Column("worth", Scaled, nullable=False),
)
