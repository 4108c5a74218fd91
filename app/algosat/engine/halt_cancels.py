"""Orders that a halt is to cancel: what the broker refuses is asked for again, until none is left.

Level-triggered, like the closing of positions: what still works is looked up anew every few seconds, so
it does not matter whether the broker refused, the halt could not cancel, or an order came to work only
after it. A halt that is lifted asks for nothing more; a cancel that was asked for stays so, since the
broker may have it already.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, select, text

from algosat.clock import has_come
from algosat.domain.orders import Order, PendingRequest
from algosat.domain.reason_codes import EngineCode
from algosat.monitoring import correlation
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import WORKING_STATUS, orders
from algosat.trading import cancel, halts
from algosat.trading.desk import Desk
from algosat.trading.halts import Halt

_ACTOR: Final = "clock"
_SOONEST: Final = timedelta(seconds=5)
_LATEST: Final = timedelta(seconds=30)
_WORKING = Prepared(
    select(orders)
    .where(orders.c.account == bindparam("account"), text(WORKING_STATUS))
    .order_by(orders.c.seq)
)


def cancel_halted(desk: Desk) -> None:
    """Ask for the cancels that halts in force wish for, and whose time has come."""
    cause = Cause(_ACTOR, correlation.new())
    cancel.cancel_found(desk, cause, lambda connection: _wanted(connection, desk))


def is_due(order: Order, since: datetime, now: datetime) -> bool:
    """Whether to ask for a cancel that has been wished for since then, if it was refused before.

    It waits for as long as it has been refused by now, but within bounds: a refusal that passes costs
    seconds, and a broker that will not have it is not asked thousands of times a day.
    """
    if order.code != EngineCode.CANCEL_REFUSED or order.updated_at <= since:
        return True
    wait = min(max(order.updated_at - since, _SOONEST), _LATEST)
    return has_come(order.updated_at + wait, now, within=_LATEST)


def _wanted(connection: Connection, desk: Desk) -> list[Order]:
    stops = [halt for halt in halts.in_force(connection) if halt.cancels_up_to is not None]
    if not stops:
        return []
    now = desk.clock()
    working = ((order_from(row), row.seq) for row in _WORKING.all(connection, account=desk.account))
    return [order for order, number in working if _is_wanted(order, number, stops, now)]


def _is_wanted(order: Order, number: int, stops: Sequence[Halt], now: datetime) -> bool:
    if order.external or order.pending is PendingRequest.PENDING_CANCEL:
        return False
    return any(halt.cancels(order, number) and is_due(order, halt.at, now) for halt in stops)
