"""What is wanted of strategies, and what they remember."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from algosat.store.tables.base import metadata
from algosat.store.types import Json, UtcTime

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
