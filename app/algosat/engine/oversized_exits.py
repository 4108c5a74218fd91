"""Looking after reduce-only orders that have outlived what they were to reduce."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from algosat.domain.orders import Order
from algosat.domain.reduce_only import is_exit, oversized
from algosat.monitoring import correlation
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import cancel
from algosat.trading.desk import Desk

_ACTOR: Final = "clock"


def cancel_oversized(desk: Desk) -> None:
    """Cancel reduce-only orders as far as they exceed their position."""
    cause = Cause(_ACTOR, correlation.new())
    cancel.cancel_found(desk, cause, lambda connection: _overhanging(connection, desk))


def _overhanging(connection: Connection, desk: Desk) -> list[Order]:
    exits = [order for order in queries.reducing(connection, desk.account) if is_exit(order)]
    if not exits:
        return []
    return list(oversized(exits, queries.open_positions(connection, desk.account)))
