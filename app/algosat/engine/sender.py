"""Placing one order at the broker, once it is committed as `submitting`, and recording the outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from time import perf_counter
from typing import Final

from algosat.clock import has_come
from algosat.domain.orders import EventKind, Order, Status
from algosat.domain.reason_codes import EngineCode
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.report_processor import ReportProcessor
from algosat.errors import (
    BrokerError,
    BrokerNotReached,
    BrokerSessionExpired,
    BrokerUncertain,
)
from algosat.monitoring import metrics
from algosat.resilience.error_log import Recovery
from algosat.trading.desk import Desk

_RESEND_AFTER: Final = timedelta(milliseconds=250)
# An order that waited for hours for the opening is still wanted minutes after it: the engine may start late,
# and the first price of a share may come late.
_OPENING: Final = timedelta(minutes=20)
HUNG_AFTER: Final = timedelta(seconds=15)  # a longer call has hung: the order becomes `unknown`


def is_late(order: Order, at: datetime, deadline: timedelta) -> bool:
    """Return whether the order's deadline to be sent has passed.

    An order dated in the future was placed before the clock was set back, so its age is not known. The
    deadline of a later slice begins with its turn, which `Router` determines.
    """
    if order.terms.is_after_market:
        return at - order.due_at > longest_wait(order, deadline)
    is_sent_slice = order.terms.slice_of is not None and order.status is not Status.CREATED
    return abs(at - (order.updated_at if is_sent_slice else order.created_at)) > deadline


def longest_wait(order: Order, deadline: timedelta) -> timedelta:
    """Return how long after it is due an order may be sent."""
    return max(deadline, _OPENING) if order.terms.is_after_market else deadline


class Sender:
    """Places orders, and keeps those to resend: orders whose request certainly did not reach the broker."""

    def __init__(
        self,
        desk: Desk,
        broker: GuardedBroker,
        report_processor: ReportProcessor,
        deadline: timedelta,
    ) -> None:
        self._desk, self._broker = desk, broker
        self._report_processor = report_processor
        self._deadline = deadline
        self._lock = threading.Lock()
        self._in_flight: dict[str, datetime] = {}
        self._to_resend: dict[str, tuple[datetime, Order]] = {}
        self._failed_at: dict[str, float] = {}  # first failure of the orders that are sent again
        self._is_stopping = False

    def send(self, order: Order) -> None:
        """Place an order that is committed as `submitting`. Broker errors are recorded, not raised."""
        if is_late(order, self._desk.clock(), self._deadline):
            self._reject(order, EngineCode.SEND_DEADLINE, "the order could not be sent in time")
            return
        with self._lock:
            self._in_flight[order.id] = self._desk.clock()
        try:
            self._place(order)
        finally:
            with self._lock:
                self._in_flight.pop(order.id, None)

    @property
    def has_resends(self) -> bool:
        return bool(self._to_resend)

    def due_resends(self) -> list[Order]:
        """Return the orders to resend now. They stay queued until `drop_resends`."""
        now = self._desk.clock()
        with self._lock:
            return [
                order for at, order in self._to_resend.values() if has_come(at, now, within=_RESEND_AFTER)
            ]

    def drop_resends(self, orders: Iterable[Order]) -> None:
        """Remove orders from the queue of resends."""
        with self._lock:
            for order in orders:
                self._to_resend.pop(order.id, None)

    def end_resends(self, orders: Iterable[Order]) -> None:
        """Remove orders from the queue of resends that were ended instead of being sent again."""
        ended = list(orders)
        self.drop_resends(ended)
        for order in ended:
            self._end_recovery(order, succeeded=False)

    def reject_resends(self) -> None:
        """On shutdown, reject orders that were certainly not sent, so that the next engine need not search.

        An order whose call fails later is rejected too.
        """
        with self._lock:
            self._is_stopping = True
            resends, self._to_resend = self._to_resend, {}
        for _, order in resends.values():
            self._reject_interrupted(order)

    def mark_hung_unknown(self) -> None:
        """Mark orders `unknown` whose call has hung. A late answer of the broker is still applied."""
        now = self._desk.clock()
        with self._lock:
            hung = [order_id for order_id, since in self._in_flight.items() if abs(now - since) > HUNG_AFTER]
        for order_id in hung:
            self._report_processor.record(
                order_id,
                EventKind.UNCERTAIN,
                code=BrokerUncertain.code,
                reason="the broker did not answer",
            )

    def _place(self, order: Order) -> None:
        called_at, began = self._desk.clock(), perf_counter()
        try:
            answer = self._broker.place(order)
        except (BrokerNotReached, BrokerSessionExpired) as error:
            self._queue_resend(order, error)
        except BrokerUncertain as error:
            self._failed_at.pop(order.id, None)  # whether it was sent is searched for
            self._report_processor.record(
                order.id, EventKind.UNCERTAIN, code=error.reported_code, reason=error.detail
            )
        except BrokerError as error:
            self._reject(order, error.reported_code, error.detail)
        else:
            metrics.order_stage("acknowledge").observe(perf_counter() - began)
            if order.terms.slice_of is None:  # a later slice waits for its turn
                metrics.order_stage("send").observe(max((called_at - order.due_at).total_seconds(), 0))
            self._report_processor.process_placed(order, answer)
            self._end_recovery(order, succeeded=True)

    def _queue_resend(self, order: Order, error: BrokerError) -> None:
        now = self._desk.clock()
        self._failed_at.setdefault(order.id, time.monotonic())
        if is_late(order, now + _RESEND_AFTER, self._deadline):
            self._reject(order, error.reported_code, error.detail)
            return
        with self._lock:
            if not self._is_stopping:
                self._to_resend[order.id] = (now + _RESEND_AFTER, order)
                return
        self._reject_interrupted(order)

    def _reject_interrupted(self, order: Order) -> None:
        self._reject(order, EngineCode.INTERRUPTED, "the engine stopped before the order could be resent")

    def _reject(self, order: Order, code: str, reason: str) -> None:
        self._report_processor.record(order.id, EventKind.REJECTED, code=code, reason=reason)
        self._end_recovery(order, succeeded=False)

    def _end_recovery(self, order: Order, *, succeeded: bool) -> None:
        """Count the outcome of sending an order again, if the first request failed."""
        failed_at = self._failed_at.pop(order.id, None)
        if failed_at is not None:
            self._desk.errors.recovered(
                Recovery.ORDER_RESEND,
                f"orders {self._desk.account}",
                succeeded=succeeded,
                seconds=time.monotonic() - failed_at,
            )
