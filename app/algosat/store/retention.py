"""How long the store keeps what is no part of the ledger: orders, events and trades stay for ever."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, false, select, tuple_

from algosat.store.audit import STRATEGY
from algosat.store.tables import errors, login_failures, replies, sessions

# By which column a row is old, and when it goes.
KEPT: Final = (
    (replies.c.created_at, timedelta(days=90)),  # then an Idempotency-Key is new again
    (sessions.c.expires_at, timedelta(days=30)),
    (errors.c.last_at, timedelta(days=90)),
    (login_failures.c.last_at, timedelta(days=30)),
)
# A strategy may come back to an occasion after years: its keys never become new again.
_STAYS: Final = {replies: replies.c.principal.startswith(STRATEGY)}
_AT_ONCE: Final = 200  # of each: orders wait for the store meanwhile


def sweep(connection: Connection, now: datetime) -> int:
    """Remove a handful of what is too old. How many rows went; when it was some, there may be more."""
    removed = 0
    for column, age in KEPT:
        key = column.table.primary_key.columns
        stays = _STAYS.get(column.table, false())
        old = select(*key).where(column < now - age, ~stays).limit(_AT_ONCE)
        removed += connection.execute(delete(column.table).where(tuple_(*key).in_(old))).rowcount
    return removed
