"""Tables of run-time control: halts, limits, overrides, heartbeats, idempotency records and errors."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Table, Text

from algosat.store.tables.base import metadata
from algosat.store.types import Json, UtcTime

halts = Table(
    "halts",
    metadata,
    Column("scope", String(64), primary_key=True),  # 'all' or the name of a strategy
    Column("at", UtcTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("flatten", Boolean, nullable=False),
    Column("cancels_up_to", BigInteger),  # `seq` of the last order to cancel; NULL: cancel none
)

limits = Table(
    "limits",
    metadata,
    Column("scope", String(64), primary_key=True),  # 'account' or the name of a strategy
    Column("values", Json, nullable=False),  # limits that differ from the settings
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


replies = Table(
    "replies",
    metadata,
    Column("principal", String(128), primary_key=True),
    Column("key", String(255), primary_key=True),  # the Idempotency-Key
    Column("body_hash", String(64), nullable=False),
    Column("order_ids", Json, nullable=False),
    Column("versions", Json),  # order versions in the answer; NULL: those after the first report
    Column("created_at", UtcTime, nullable=False, index=True),
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
)
