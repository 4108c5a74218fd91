"""What is set while the server runs, and what its processes say of themselves."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Table, Text

from algosat.store.tables.base import metadata
from algosat.store.types import Json, UtcTime

halts = Table(
    "halts",
    metadata,
    Column("scope", String(64), primary_key=True),  # 'all', or a strategy's name
    Column("at", UtcTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("flatten", Boolean, nullable=False),
    Column("cancels_up_to", BigInteger),  # the last order that it cancels, by its number; none: they stay
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
