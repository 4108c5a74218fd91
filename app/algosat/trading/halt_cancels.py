"""Cancels that halts ask for, repeated until none of the orders works any more.

Working orders are read anew every few seconds: it does not matter whether the broker refused a
cancel, the halt could not request it, or the order began to work after the halt. A resumed halt
asks for no more cancels. Those already requested stay: the broker may have received them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, select, text

from algosat.domain.orders import Order, PendingRequest
from algosat.monitoring import correlation
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import WORKING_STATUS, orders
from algosat.trading import cancel, halts
from algosat.trading.desk import Desk
from algosat.trading.halts import Halt

_ACTOR: Final = "clock"
_WORKING = Prepared(
    select(orders)
    .where(orders.c.account == bindparam("account"), text(WORKING_STATUS))
    .order_by(orders.c.seq)
)


def cancel_halted(desk: Desk) -> None:
    """Request the cancels that halts in force ask for and that are due."""
    cause = Cause(_ACTOR, correlation.new())
    cancel.cancel_found(desk, cause, lambda connection: _to_cancel(connection, desk))


def _to_cancel(connection: Connection, desk: Desk) -> list[Order]:
    cancelling = [halt for halt in halts.in_force(connection, desk.account) if halt.cancels_up_to is not None]
    if not cancelling:
        return []
    now = desk.clock()
    working = ((order_from(row), row.seq) for row in _WORKING.all(connection, account=desk.account))
    return [order for order, number in working if _is_to_cancel(order, number, cancelling, now)]


def _is_to_cancel(order: Order, number: int, cancelling: Sequence[Halt], now: datetime) -> bool:
    if order.external or order.pending is PendingRequest.PENDING_CANCEL:
        return False
    return any(halt.cancels(order, number) and cancel.is_due(order, halt.at, now) for halt in cancelling)
