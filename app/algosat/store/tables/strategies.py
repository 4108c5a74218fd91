"""Tables of strategies: wanted state, versions, and checkpoints."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from algosat.store.tables.base import metadata
from algosat.store.types import Json, UtcTime

# The wanted state of a strategy. Its class and parameters are in its version.
strategies = Table(
    "strategies",
    metadata,
    Column("name", String(48), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("wanted", String(16), nullable=False),  # running or stopped
    Column("generation", Integer, nullable=False),  # number of starts requested
    Column("failure", Text),  # why it is no longer restarted; cleared by the next start
    Column("changed_at", UtcTime, nullable=False),
    Column("changed_by", String(128), nullable=False),
    Column("account", String(64)),  # on which it trades; NULL: on the original one, see `domain.scope`
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

# The checkpoint of a strategy: its state, and the updates it has handled.
strategy_states = Table(
    "strategy_states",
    metadata,
    Column("name", String(48), primary_key=True),
    Column("version", Integer, nullable=False),  # of the strategy when the checkpoint was stored
    Column("state", Json, nullable=False),
    Column("seen", Json, nullable=False),  # what the strategy was notified of, by order
    Column("pending", Json),  # an event on which it had placed orders but which was not handled completely
    Column("saved_at", UtcTime, nullable=False),
)
