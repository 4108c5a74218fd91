"""Retention: how long the store keeps rows that are not part of the ledger.

Orders, events and trades are never deleted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, false, select, tuple_

from algosat.domain.gtt import GttState
from algosat.store.audit import STRATEGY
from algosat.store.tables import (
    alerts,
    book_differences,
    broker_calls,
    close_lines,
    closes,
    conversions,
    credentials,
    engine_requests,
    error_counts,
    errors,
    gtt_orders,
    login_failures,
    recoveries,
    replies,
    request_counts,
    sessions,
)

# The column that gives the age of a row, and the age at which the row is deleted.
KEPT: Final = (
    (replies.c.created_at, timedelta(days=90)),  # after that an Idempotency-Key counts as new
    (sessions.c.expires_at, timedelta(days=30)),
    (errors.c.last_at, timedelta(days=90)),
    (error_counts.c.at, timedelta(days=14)),
    (recoveries.c.at, timedelta(days=14)),
    (request_counts.c.at, timedelta(days=14)),
    (alerts.c.closed_at, timedelta(days=365)),  # the audit trail keeps their events
    (book_differences.c.settled_at, timedelta(days=365)),
    (broker_calls.c.at, timedelta(days=30)),
    (login_failures.c.last_at, timedelta(days=30)),
    (close_lines.c.finished_at, timedelta(days=90)),
    (closes.c.finished_at, timedelta(days=90)),
    (conversions.c.finished_at, timedelta(days=90)),
    (engine_requests.c.deadline, timedelta(hours=1)),  # of an account that is no longer configured
    (credentials.c.expires_at, timedelta()),  # tokens; the audit trail keeps when they were set
    (gtt_orders.c.updated_at, timedelta(days=365)),  # of those that wait no more
)
_NEVER_DELETED: Final = {
    # A strategy may repeat an event years later, so its keys must never count as new.
    replies: replies.c.principal.startswith(STRATEGY),
    gtt_orders: gtt_orders.c.state == GttState.ACTIVE.value,
}
# Rows of each table that one call deletes. Batches are small because orders wait for the store meanwhile.
_BATCH: Final = 200


def sweep(connection: Connection, now: datetime) -> int:
    """Delete one batch of expired rows of each table.

    Returns: the number of deleted rows. If it is not 0, there may be more.
    """
    removed = 0
    for column, age in KEPT:
        key = column.table.primary_key.columns
        kept = _NEVER_DELETED.get(column.table, false())
        old = select(*key).where(column < now - age, ~kept).limit(_BATCH)
        removed += connection.execute(delete(column.table).where(tuple_(*key).in_(old))).rowcount
    return removed
