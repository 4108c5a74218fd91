"""Cancels and modifications that the broker has not answered: when each is sent, and sending it.

Both may be repeated: a second cancel changes nothing, and a modification names all terms. When an
answer leaves the outcome open, the broker's order book decides.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, bindparam, select

from algosat.brokers.base import Ack, CallKind
from algosat.clock import has_come
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import LIVE, TERMINAL, EventKind, Order, OrderChange, PendingRequest, Status
from algosat.domain.orders.report import OrderReport
from algosat.domain.reason_codes import EngineCode
from algosat.engine.budget import Budget
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.report_processor import ReportProcessor
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
from algosat.trading import alerts, halts
from algosat.trading.cancel import NOT_IN_BROKERS_BOOK
from algosat.trading.desk import Desk

_log = structlog.get_logger(__name__)

_KINDS: Final = {
    PendingRequest.PENDING_CANCEL: CallKind.CANCEL,
    PendingRequest.PENDING_MODIFY: CallKind.MODIFY,
}
_SENDABLE: Final = LIVE | {Status.NOT_FOUND}
_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (0.5, 1, 2, 4))  # short: exits are urgent
_RETRY_SECONDS: Final = 0.05
_HUNG_AFTER: Final = timedelta(seconds=15)  # the next attempt does not wait for a longer call
_CHANGE_UNCONFIRMED_AFTER: Final = timedelta(seconds=30)
_PENDING = Prepared(
    select(orders)
    .where(orders.c.account == bindparam("account"), orders.c.overlay.is_not(None))
    .order_by(orders.c.seq)
)


@dataclass(frozen=True, slots=True)
class _Attempt:
    pending: PendingRequest
    change: OrderChange | None
    number: int
    next_at: datetime
    only_reads: bool = False
    is_acknowledged: bool = False  # without the order's state

    def is_of(self, order: Order) -> bool:
        return (self.pending, self.change) == (order.pending, order.pending_change)

    @property
    def next_only_reads(self) -> bool:
        """Whether the next attempt is to read the order, since the broker has taken the request.

        Brokers limit the modifications of an order, so an acknowledged one is not repeated. A cancel is,
        each second time: it may have been lost behind the acknowledgement.
        """
        if self.pending is PendingRequest.PENDING_CANCEL:
            return self.is_acknowledged and not self.only_reads
        return self.is_acknowledged


class PendingRequests:
    """Sends pending requests, with growing delays between the attempts.

    A request on an order that is `unknown` waits until the reconciler has found the order.
    """

    def __init__(
        self, desk: Desk, cancel_modify: CancelModifySender, budget: Budget, workers: Workers
    ) -> None:
        self._desk, self._cancel_modify = desk, cancel_modify
        self._budget, self._workers = budget, workers
        self._lock = threading.Lock()
        self._attempts: dict[str, _Attempt] = {}

    def pending(self, connection: Connection) -> Sequence[Order]:
        """Return the orders with a pending request that can be sent."""
        rows = _PENDING.all(connection, account=self._desk.account)
        return [order for order in map(order_from, rows) if order.status in _SENDABLE]

    def step(self, pending: Sequence[Order]) -> float | None:
        """Send the requests that are due, cancels first.

        Returns the seconds to wait before the next round, or None if no request waits.
        """
        with self._lock:
            self._attempts = {
                order.id: self._attempts[order.id] for order in pending if order.id in self._attempts
            }
        cancels_first = sorted(pending, key=lambda order: order.pending is not PendingRequest.PENDING_CANCEL)
        retry_in = None
        for order in cancels_first:
            attempt = self._begin_attempt(order)
            if attempt is None:
                retry_in = _RETRY_SECONDS
            else:
                self._dispatch(order, attempt)
        return retry_in

    def _begin_attempt(self, order: Order) -> _Attempt | None:
        """Return the attempt to make now, if one is due and permitted, and reserve it."""
        now = self._desk.clock()
        with self._lock:
            last = self._attempts.get(order.id)
            if last is not None and not last.is_of(order):
                last = None  # another request, as when a cancel follows a modification: no delay yet
            if order.pending is None:
                return None
            if last is not None and not has_come(last.next_at, now, within=_HUNG_AFTER):
                return None
            only_reads = last is not None and last.next_only_reads
            if not only_reads and not self._budget.try_acquire(_KINDS[order.pending], now):
                return None
            attempt = _Attempt(
                order.pending,
                order.pending_change,
                last.number + 1 if last else 0,
                now + _HUNG_AFTER,
                only_reads=only_reads,
                is_acknowledged=only_reads,
            )
            self._attempts[order.id] = attempt
            return attempt

    def _dispatch(self, order: Order, attempt: _Attempt) -> None:
        def send() -> None:
            is_acknowledged = attempt.is_acknowledged
            try:
                is_acknowledged |= self._cancel_modify.send(order, only_reads=attempt.only_reads)
            finally:
                self._schedule_next(order, attempt, is_acknowledged=is_acknowledged)

        self._workers.run(send)

    def _schedule_next(self, order: Order, attempt: _Attempt, *, is_acknowledged: bool) -> None:
        delay = _DELAYS[min(attempt.number, len(_DELAYS) - 1)]
        with self._lock:
            if self._attempts.get(order.id) is attempt:
                next_at = self._desk.clock() + delay
                self._attempts[order.id] = replace(attempt, next_at=next_at, is_acknowledged=is_acknowledged)


class CancelModifySender:
    """Sends one cancel or modification, and records the outcome."""

    def __init__(
        self, desk: Desk, broker: GuardedBroker, report_processor: ReportProcessor, budget: Budget
    ) -> None:
        self._desk, self._broker, self._budget = desk, broker, budget
        self._report_processor = report_processor

    def send(self, order: Order, *, only_reads: bool = False) -> bool:
        """Send the order's pending request once, or only read the order.

        Broker errors are recorded, not raised. Returns whether the broker has acknowledged the request
        without the order's state.
        """
        if order.status is Status.NOT_FOUND:
            # The broker has nothing to cancel. If the order turns up later, it is cancelled as a ghost.
            self._give_up(order)
            return False
        if order.pending is PendingRequest.PENDING_CANCEL:
            return self._cancel(order, only_reads=only_reads)
        is_acknowledged = self._modify(order, only_reads=only_reads)
        self._give_up_unconfirmed(order)
        return is_acknowledged

    def cancel_ghost(self, order: Order, number: str) -> None:
        """Cancel an order that the broker still works, under this number, although it has ended here."""
        order = replace(order, broker_order_id=number)
        if not self._budget.try_acquire(CallKind.CANCEL, self._desk.clock()):
            return
        try:
            self._apply(order, self._broker.cancel(order))
        except BrokerError:
            return  # the next reading of the order book finds the ghost again

    def cancel_unrecorded(self, order: Order) -> bool:
        """Cancel an order while the store takes no writes: the order book tells the outcome afterwards.

        Returns whether the broker has said that the order no longer works.
        """
        try:
            answer = self._broker.cancel(order)
        except BrokerOrderGone:
            return True
        except BrokerError as error:
            _log.error("emergency_cancel_failed", order=order.id, reason=error.detail)
            return False
        _log.critical("emergency_cancel_sent", order=order.id)
        return isinstance(answer, OrderReport) and answer.status in TERMINAL

    def _cancel(self, order: Order, *, only_reads: bool) -> bool:
        if only_reads:
            self._refresh(order)
            return True
        try:
            return self._apply(order, self._broker.cancel(order))
        except (BrokerNotReached, BrokerSessionExpired):
            pass  # the request certainly did not arrive and stays pending
        except BrokerUncertain:
            self._refresh(order)
        except BrokerError as error:
            if self._refresh(order) and self._has_vanished(order):
                self._give_up(order)
            elif not isinstance(error, BrokerOrderGone):
                self._record_failure(order, EventKind.CANCEL_FAILED, EngineCode.CANCEL_REFUSED, error.detail)
        return False

    def _give_up(self, order: Order) -> None:
        """End an order that the broker does not have, unless it has turned up meanwhile."""
        self._report_processor.record(
            order.id, EventKind.CANCELLED, reason=NOT_IN_BROKERS_BOOK, only_while=order.status
        )

    def _has_vanished(self, order: Order) -> bool:
        """Return whether the broker's order book has lacked the order for so long that an alert is open."""
        with self._desk.database.read() as connection:
            return order.id in alerts.open_subjects(connection, self._desk, AlertKind.BROKER_VANISHED)

    def _modify(self, order: Order, *, only_reads: bool) -> bool:
        if order.pending_change is None:
            return False
        if only_reads:
            self._refresh(order)
            return True
        if halt_reasons := self._halt_reasons(order):
            self._refresh(order)
            self._record_failure(
                order, EventKind.MODIFY_FAILED, EngineCode.HALTED_BEFORE_SENDING, halt_reasons
            )
            return False
        try:
            return self._apply(order, self._broker.modify(order, order.pending_change))
        except (BrokerRejected, BrokerOrderGone) as error:
            self._refresh(order)
            self._record_failure(order, EventKind.MODIFY_FAILED, error.reported_code, error.detail)
        except BrokerRateLimited:
            pass  # the request certainly did not arrive and stays pending
        except BrokerError:
            self._refresh(order)
        return False

    def _give_up_unconfirmed(self, order: Order) -> None:
        if abs(self._desk.clock() - order.updated_at) > _CHANGE_UNCONFIRMED_AFTER:
            detail = "the broker has not confirmed the change; the terms in its order book hold"
            self._record_failure(order, EventKind.MODIFY_FAILED, EngineCode.CHANGE_UNCONFIRMED, detail)

    def _apply(self, order: Order, answer: Ack | OrderReport) -> bool:
        """Apply the answer to a cancel or modification.

        An `Ack` proves nothing, so the order is read again. Returns whether the answer is one.
        """
        if isinstance(answer, OrderReport):
            self._report_processor.process([answer])
            return False
        self._refresh(order)
        return True

    def _halt_reasons(self, order: Order) -> str:
        """Return why a halt forbids modifying the order, or an empty string. Exits may be modified."""
        if order.terms.reduce_only:
            return ""
        with self._desk.database.read() as connection:
            return "; ".join(halts.reasons(connection, self._desk, order.terms.strategy))

    def _refresh(self, order: Order) -> bool:
        """Apply what the broker says about the order now. Return whether the broker certainly lacks it."""
        read_at = self._desk.clock()
        try:
            report = self._broker.find(order)
        except BrokerError:
            return False  # the reconciler reads the order book again
        if report is not None:
            self._report_processor.process([report], read_at=read_at)
        return report is None

    def _record_failure(self, order: Order, kind: EventKind, code: str, reason: str) -> None:
        self._report_processor.record(order.id, kind, code=code, reason=reason)
