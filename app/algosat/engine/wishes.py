"""Which cancels and changes are carried out now: wishes on orders the broker has, until he has answered.

They are tried again with growing delays. A wish on an order of unknown fate is kept while the
reconciler seeks the order.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, select

from algosat.clock import has_come
from algosat.domain.orders import LIVE, Order, PendingRequest, Status
from algosat.engine.pending_requests import CancelModifySender
from algosat.engine.throttle import Throttle
from algosat.engine.workers import Workers
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import orders
from algosat.trading.desk import Desk

_ACTIONABLE: Final = LIVE | {Status.NOT_FOUND}
_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (0.5, 1, 2, 4))  # a way out is not put off
_AGAIN: Final = 0.05
_HUNG_AFTER: Final = timedelta(seconds=15)  # a call that takes longer keeps nobody waiting any more
_WISHES = Prepared(
    select(orders)
    .where(orders.c.account == bindparam("account"), orders.c.overlay.is_not(None))
    .order_by(orders.c.seq)
)


@dataclass(frozen=True, slots=True)
class _Attempt:
    pending: PendingRequest
    number: int
    next_at: datetime


class PendingRequests:
    def __init__(
        self, desk: Desk, cancel_modify: CancelModifySender, throttle: Throttle, lane: Workers
    ) -> None:
        self._desk, self._amender, self._limiter, self._lane = desk, cancel_modify, throttle, lane
        self._lock = threading.Lock()
        self._attempts: dict[str, _Attempt] = {}

    def pending(self, connection: Connection) -> Sequence[Order]:
        """Orders with a wish that the broker has not answered."""
        rows = _WISHES.all(connection, account=self._desk.account)
        return [order for order in map(order_from, rows) if order.status in _ACTIONABLE]

    def step(self, pending: Sequence[Order]) -> float | None:
        """Begin with every wish whose time has come, cancels first.

        The seconds until it is worth looking again, when some wait.
        """
        with self._lock:
            self._attempts = {
                order.id: self._attempts[order.id] for order in pending if order.id in self._attempts
            }
        cancels_first = sorted(pending, key=lambda order: order.pending is not PendingRequest.PENDING_CANCEL)
        again = None
        for order in cancels_first:
            attempt = self._claim(order)
            if attempt is None:
                again = _AGAIN
            else:
                self._start(order, attempt)
        return again

    def _claim(self, order: Order) -> _Attempt | None:
        """The attempt that may be made now, if there is one; nobody else makes it then."""
        now = self._desk.clock()
        with self._lock:
            last = self._attempts.get(order.id)
            if last is not None and last.pending is not order.pending:
                last = None  # the wish has changed: the delay was another's
            if order.pending is None:
                return None
            if last is not None and not has_come(last.next_at, now, within=_HUNG_AFTER):
                return None
            if not self._limiter.take(now, is_new=False):
                return None
            attempt = _Attempt(order.pending, last.number + 1 if last else 0, now + _HUNG_AFTER)
            self._attempts[order.id] = attempt
            return attempt

    def _start(self, order: Order, attempt: _Attempt) -> None:
        def carry_out() -> None:
            try:
                self._amender.carry_out(order)
            finally:
                self._finish(order, attempt)

        self._lane.run(carry_out)

    def _finish(self, order: Order, attempt: _Attempt) -> None:
        delay = _DELAYS[min(attempt.number, len(_DELAYS) - 1)]
        with self._lock:
            if self._attempts.get(order.id) is attempt:
                next_at = self._desk.clock() + delay
                self._attempts[order.id] = _Attempt(attempt.pending, attempt.number, next_at)
