"""What a strategy's process keeps in the store, to go on from after any end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from algosat.store.tables import strategy_states as states


@dataclass(frozen=True, slots=True)
class Checkpoint:
    version: int  # under whose parameters it was kept
    state: dict[str, Any]
    seen: Mapping[str, Any]  # how much of its orders it was told: see `news.Orders`
    pending: Sequence[dict[str, Any]]  # occasions it had placed orders on without having lived through them


def load(connection: Connection, name: str) -> Checkpoint | None:
    row = connection.execute(select(states).where(states.c.name == name)).first()
    if row is None:
        return None
    return Checkpoint(row.version, row.state, row.seen, row.pending or [])


def save(connection: Connection, name: str, record: Checkpoint, at: datetime) -> None:
    connection.execute(delete(states).where(states.c.name == name))
    row = {
        "name": name,
        "version": record.version,
        "state": record.state,
        "seen": record.seen,
        "pending": list(record.pending) or None,
        "saved_at": at,
    }
    connection.execute(insert(states), row)
