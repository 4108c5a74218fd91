"""Carrying out one cancel or change at the broker.

Both may be repeated: a second cancel finds nothing to do, and a change names the full terms. What
an answer leaves open, the broker's own book decides; nothing is computed from the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, select

from algosat.clock import has_come
from algosat.domain.orders import LIVE, EventKind, Order, PendingRequest, Status
from algosat.domain.reason_codes import EngineCode
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.report_processor import ReportProcessor
from algosat.engine.throttle import FEWER_REQUESTS, Throttle
from algosat.engine.workers import Workers
from algosat.errors import (
    BrokerError,
    BrokerNotReached,
    BrokerOrderGone,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUncertain,
)
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import orders
from algosat.trading import halts
from algosat.trading.cancel import NOT_THERE
from algosat.trading.desk import Desk

_CHANGE_UNCONFIRMED_AFTER: Final = timedelta(seconds=30)
_ACTIONABLE: Final = LIVE | {Status.NOT_FOUND}
_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (0.5, 1, 2, 4))  # a way out is not put off
_AGAIN: Final = 0.05
_HUNG_AFTER: Final = timedelta(seconds=15)  # a call that takes longer keeps nobody waiting any more
_PENDING = Prepared(
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
        rows = _PENDING.all(connection, account=self._desk.account)
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


class CancelModifySender:
    def __init__(
        self, desk: Desk, broker: GuardedBroker, report_processor: ReportProcessor, throttle: Throttle
    ) -> None:
        self._desk, self._broker, self._intake, self._limiter = desk, broker, report_processor, throttle

    def carry_out(self, order: Order) -> None:
        """One attempt at what the order's overlay asks for. Never raises what a broker did."""
        if order.status is Status.NOT_FOUND:
            # Whoever wanted it gone has his answer. Should it turn up after all, it is cancelled as a ghost.
            self._intake.happened(order.id, EventKind.CANCELLED, reason=NOT_THERE)
        elif order.pending is PendingRequest.PENDING_CANCEL:
            self._cancel(order)
        else:
            self._modify(order)

    def cancel_ghost(self, order: Order) -> None:
        """Cancel what the broker still works although the order is at its end here."""
        try:
            self._intake.take([self._broker.cancel(order)])
        except BrokerError:
            return  # the next reading of the book finds it again

    def _cancel(self, order: Order) -> None:
        try:
            self._intake.take([self._broker.cancel(order)])
        except BrokerRateLimited:
            self._limiter.pause(self._desk.clock() + FEWER_REQUESTS)
        except (BrokerNotReached, BrokerSessionExpired):
            return  # it surely did not arrive: the wish stays
        except (BrokerUncertain, BrokerOrderGone):
            self._look(order)
        except BrokerError as error:
            self._look(order)
            self._failed(order, EventKind.CANCEL_FAILED, EngineCode.CANCEL_REFUSED, error.detail)

    def _modify(self, order: Order) -> None:
        if order.pending_change is None:
            return
        if stopped := self._halts(order):
            self._look(order)
            self._failed(order, EventKind.MODIFY_FAILED, EngineCode.HALTED_BEFORE_SENDING, stopped)
            return
        try:
            self._intake.take([self._broker.modify(order, order.pending_change)])
        except (BrokerRejected, BrokerOrderGone) as error:
            self._look(order)
            self._failed(order, EventKind.MODIFY_FAILED, error.reported_code, error.detail)
        except BrokerRateLimited:
            self._limiter.pause(self._desk.clock() + FEWER_REQUESTS)
        except BrokerError:
            self._look(order)
        if abs(self._desk.clock() - order.updated_at) > _CHANGE_UNCONFIRMED_AFTER:
            detail = "the broker has not confirmed it; what his book says holds"
            self._failed(order, EventKind.MODIFY_FAILED, EngineCode.CHANGE_UNCONFIRMED, detail)

    def _halts(self, order: Order) -> str:
        """Why an order may not be changed now: what a halt finds, it leaves as it is."""
        if order.terms.reduce_only:
            return ""
        with self._desk.database.read() as connection:
            return "; ".join(halts.reasons(connection, order.terms.strategy))

    def _look(self, order: Order) -> None:
        """Let the broker's own book say what became of it."""
        read_at = self._desk.clock()
        try:
            report = self._broker.find(order.id)
        except BrokerError:
            return  # the reconciler reads the book again
        if report is not None:
            self._intake.take([report], read_at=read_at)

    def _failed(self, order: Order, kind: EventKind, code: str, reason: str) -> None:
        self._intake.happened(order.id, kind, code=code, reason=reason)
