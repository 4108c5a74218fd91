"""Tables of run-time control: halts, limits, overrides, heartbeats, alerts, engine requests, errors."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, String, Table, Text, text

from algosat.store.tables.base import Sequence, metadata
from algosat.store.types import Json, Scaled, UtcTime

halts = Table(
    "halts",
    metadata,
    Column(
        "scope", String(64), primary_key=True
    ),  # 'all' accounts, 'account:NAME', or the name of a strategy
    Column("at", UtcTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("flatten", Boolean, nullable=False),
    Column("cancels_up_to", BigInteger),  # `seq` of the last order to cancel; NULL: cancel none
)

# Live accounts that an admin has armed. A live account without a row takes no orders.
account_arming = Table(
    "account_arming",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("is_armed", Boolean, nullable=False),  # false: armed once, and only exits are taken now
    Column("reason", Text, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("changed_by", String(128), nullable=False),
)

limits = Table(
    "limits",
    metadata,
    Column(
        "scope", String(64), primary_key=True
    ),  # 'account' (the first), 'account:NAME', 'total:CURRENCY', or a strategy
    Column("values", Json, nullable=False),  # limits that differ from the settings
    Column("changed_at", UtcTime, nullable=False),
    Column("changed_by", String(128), nullable=False),
)

# Profit target and loss limit on the day's profit or loss of a strategy.
pnl_exits = Table(
    "pnl_exits",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("strategy", String(64), primary_key=True),
    Column("profit_target", Scaled),
    Column("loss_limit", Scaled),
    Column("set_at", UtcTime, nullable=False),
    Column("set_by", String(128), nullable=False),
    Column("reached_on", Date),  # the trading day on which one of them was reached last
    Column("outcome", String(16)),  # which one
    Column("halted_at", UtcTime),  # of the halt that it caused, until that halt is lifted
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

# What admins have set in the trading calendar.
calendar_entries = Table(
    "calendar_entries",
    metadata,
    Column("entry", String(16), primary_key=True),  # a date, or 'valid_through'
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

# The machine that the store belongs to, those that wait to be adopted, and former owners.
machines = Table(
    "machines",
    metadata,
    Column("machine", String(32), primary_key=True),  # derived from /etc/machine-id, which it does not reveal
    Column("name", String(64), nullable=False),  # host name, for people
    Column("status", String(16), nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("changed_by", String(128), nullable=False),
)

# What other processes ask of a broker through the engine. A row lives for seconds.
engine_requests = Table(
    "engine_requests",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("account", String(64), nullable=False),
    Column("arguments", Text, nullable=False),  # encrypted
    Column("created_by", String(128), nullable=False),
    Column("correlation_id", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("deadline", UtcTime, nullable=False),
    Column("taken_at", UtcTime),  # when the engine began to answer; NULL: it has not
    Column("answer", Text),  # encrypted; NULL: there is none
)

broker_calls = Table(
    "broker_calls",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("day", Date, primary_key=True),  # UTC
    Column("kind", String(16), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),  # when it was written
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("account", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("detail", Text, nullable=False),
    Column("correlation_id", String(64), nullable=False),  # of what opened it
    Column("opened_at", UtcTime, nullable=False),
    Column("acknowledged_at", UtcTime),
    Column("acknowledged_by", String(128)),
    Column("closed_at", UtcTime),  # NULL: open
)
# Open alerts; no two of them have the same kind and subject.
Index(
    "ix_alerts_open",
    *(alerts.c[name] for name in ("account", "kind", "subject")),
    unique=True,
    sqlite_where=text("closed_at IS NULL"),
    postgresql_where=text("closed_at IS NULL"),
)

replies = Table(
    "replies",
    metadata,
    Column("principal", String(128), primary_key=True),
    Column("key", String(255), primary_key=True),  # the Idempotency-Key
    Column("body_hash", String(64), nullable=False),
    Column("order_ids", Json, nullable=False),
    Column("versions", Json),  # order versions in the answer; NULL: those after the first report
    Column("created_at", UtcTime, nullable=False, index=True),
    Column("close_id", String(18)),  # the close that the request asked for
)

# Equal errors share a row.
errors = Table(
    "errors",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("code", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("category", String(16), nullable=False),
    Column("place", String(128), nullable=False),  # a route or a part of the engine
    Column("message", Text, nullable=False),  # of the last one
    Column("correlation_id", String(64), nullable=False),  # of the last one
    Column("count", Integer, nullable=False),
    Column("first_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False, index=True),
    Column("component", String(32)),  # NULL: an earlier release has recorded it, and only the API did
    Column("release", String(64)),  # in which it occurred first; NULL: an earlier one
)

# How often an error occurred in each interval of five minutes that begins at `at`.
error_counts = Table(
    "error_counts",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("at", UtcTime, primary_key=True, index=True),
    Column("count", Integer, nullable=False),
    Column("requests", Integer, nullable=False),  # those that failed by it
    Column("milliseconds", BigInteger, nullable=False),  # that these requests took together
)

# What the application did by itself about errors, in each interval.
recoveries = Table(
    "recoveries",
    metadata,
    Column("action", String(32), primary_key=True),
    Column("place", String(128), primary_key=True),
    Column("at", UtcTime, primary_key=True, index=True),
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("milliseconds", BigInteger, nullable=False),
)

# All requests of the API, in each interval.
request_counts = Table(
    "request_counts",
    metadata,
    Column("at", UtcTime, primary_key=True),
    Column("requests", Integer, nullable=False),
    Column("failed", Integer, nullable=False),  # answered with 5xx
    Column("milliseconds", BigInteger, nullable=False),
)
