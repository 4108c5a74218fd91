"""Every table of the store. A change here needs a migration; a test compares the two."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from algosat.domain.orders import WORKING
from algosat.store.types import Json, Scaled, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in an INTEGER primary key.
_Sequence = BigInteger().with_variant(Integer, "sqlite")

# The same words stand in the partial index and in the queries that are to use it.
WORKING_STATUS = f"status IN ({', '.join(sorted(repr(status.value) for status in WORKING))})"
_WHERE_WORKING: Any = {"sqlite_where": text(WORKING_STATUS), "postgresql_where": text(WORKING_STATUS)}

# --- the ledger ----------------------------------------------------------------------------------

orders = Table(
    "orders",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
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
# The gate adds the working orders up for every new one: it must not pay for the old ones, nor sort.
Index(
    "ix_orders_working",
    *(orders.c[name] for name in ("account", "strategy", "symbol", "product", "side")),
    **_WHERE_WORKING,
)
Index("ix_orders_status_seq", orders.c.status, orders.c.seq)
Index("ix_orders_symbol_seq", orders.c.symbol, orders.c.seq)
Index("ix_orders_strategy_seq", orders.c.strategy, orders.c.seq)
Index("ix_orders_created_at", orders.c.created_at)
# The broker's own number finds the orders that were placed elsewhere, and those whose tag he mangled.
Index("ix_orders_broker_order_id", orders.c.account, orders.c.broker_order_id)

events = Table(
    "events",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
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
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
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

# --- the market ----------------------------------------------------------------------------------

instruments = Table(
    "instruments",
    metadata,
    Column("symbol", String(64), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("segment", String(32), nullable=False),
    Column("tick", Scaled, nullable=False),
    Column("lot", Scaled, nullable=False),
    Column("freeze_quantity", Scaled, nullable=False),
    Column("has_derivatives", Boolean, nullable=False),
    Column("expiry", Date),
)

quotes = Table(
    "quotes",
    metadata,
    Column("symbol", String(64), primary_key=True),
    Column("at", UtcTime, nullable=False),
    *(
        Column(name, Scaled, nullable=False)
        for name in (
            "last", "bid", "ask", "bid_quantity", "ask_quantity", "volume",
            "open", "high", "low", "lower_circuit", "upper_circuit",
        )
    ),
)  # fmt: skip

# --- control -------------------------------------------------------------------------------------

halts = Table(
    "halts",
    metadata,
    Column("scope", String(64), primary_key=True),  # 'all', or a strategy's name
    Column("at", UtcTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("flatten", Boolean, nullable=False),
)

limits = Table(
    "limits",
    metadata,
    Column("scope", String(64), primary_key=True),  # 'account', or a strategy's name
    Column("values", Json, nullable=False),  # what differs from the settings
    Column("changed_at", UtcTime, nullable=False),
    Column("changed_by", String(128), nullable=False),
)

overrides = Table(
    "overrides",
    metadata,
    Column("section", String(32), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("value", Json, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("changed_by", String(128), nullable=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("process", String(64), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("data", Json, nullable=False),
)

# --- people --------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("username", String(64), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("password_changed_at", UtcTime, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_id", _Sequence, nullable=False, index=True),
    Column("refresh_hash", String(64), nullable=False),  # of the one refresh token that is good now
    Column("created_at", UtcTime, nullable=False),
    Column("last_seen_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Column("address", String(64), nullable=False),
    Column("user_agent", String(256), nullable=False),
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("subject", String(160), primary_key=True),  # a user's name or an address
    Column("count", Integer, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("locked_until", UtcTime),
)

replies = Table(
    "replies",
    metadata,
    Column("principal", String(128), primary_key=True),
    Column("key", String(255), primary_key=True),  # the Idempotency-Key
    Column("body_hash", String(64), nullable=False),
    Column("order_ids", Json, nullable=False),
    Column("versions", Json),  # in which each was answered; none where the first report tells
    Column("created_at", UtcTime, nullable=False, index=True),
)

# --- errors --------------------------------------------------------------------------------------

# Equal errors share a row: a thousand of them are one thing to look at.
errors = Table(
    "errors",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("code", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("category", String(16), nullable=False),
    Column("place", String(128), nullable=False),  # a route's template, or a part of the engine
    Column("message", Text, nullable=False),  # of the last one
    Column("correlation_id", String(64), nullable=False),  # of the last one
    Column("count", Integer, nullable=False),
    Column("first_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False, index=True),
)

# --- strategies ----------------------------------------------------------------------------------

# What is wanted of a strategy. Its class and parameters stand in its version.
strategies = Table(
    "strategies",
    metadata,
    Column("name", String(48), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("wanted", String(16), nullable=False),  # running or stopped
    Column("generation", Integer, nullable=False),  # how often it was told to start
    Column("failure", Text),  # why it was given up; the next start clears it
    Column("changed_at", UtcTime, nullable=False),
    Column("changed_by", String(128), nullable=False),
)

strategy_versions = Table(
    "strategy_versions",
    metadata,
    Column("name", String(48), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("class_name", String(64), nullable=False),
    Column("parameters", Json, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(128), nullable=False),
)

# What a strategy remembers, and how far it has come.
strategy_states = Table(
    "strategy_states",
    metadata,
    Column("name", String(48), primary_key=True),
    Column("version", Integer, nullable=False),  # under whose parameters it was kept
    Column("state", Json, nullable=False),
    Column("seen", Json, nullable=False),  # of its orders: how much of each it was told
    Column("pending", Json),  # the occasion it had ordered on, but not lived through, when this was kept
    Column("saved_at", UtcTime, nullable=False),
)
