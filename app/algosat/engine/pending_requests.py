"""Carrying out one cancel or change at the broker.

Both may be repeated: a second cancel finds nothing to do, and a change names the full terms. What
an answer leaves open, the broker's own book decides; nothing is computed from the answer.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from algosat.domain.orders import EventKind, Order, PendingRequest, Status
from algosat.engine.codes import EngineCode
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.report_processor import ReportProcessor
from algosat.engine.throttle import FEWER_REQUESTS, Throttle
from algosat.errors import (
    BrokerError,
    BrokerNotReached,
    BrokerOrderGone,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUncertain,
)
from algosat.trading import halts
from algosat.trading.cancel import NOT_THERE
from algosat.trading.desk import Desk

_CHANGE_UNCONFIRMED_AFTER: Final = timedelta(seconds=30)


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
