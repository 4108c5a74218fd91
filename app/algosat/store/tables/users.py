"""Tables of users, their login sessions, and failed logins."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, String, Table, Text

from algosat.store.tables.base import Sequence, metadata
from algosat.store.types import UtcTime

users = Table(
    "users",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
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
    Column("user_id", Sequence, nullable=False, index=True),
    Column("refresh_hash", String(64), nullable=False),  # of the refresh token that is valid now
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
    Column("subject", String(160), primary_key=True),  # a name's keyed hash at an address; or an address
    Column("count", Integer, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("locked_until", UtcTime),
)
