"""Booking what the broker says, many reports in one commit."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from queue import Empty, SimpleQueue

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from algosat.domain.orders import EventKind, Order, OrderEvent, PendingRequest, Status, may_happen
from algosat.domain.orders.report import OrderReport
from algosat.engine.alerts import alert
from algosat.errors import AlgosatError
from algosat.monitoring import metrics
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.store.writer import part
from algosat.trading.apply_report import AppliedReport, apply_report, tracked
from algosat.trading.desk import Desk

_log = structlog.get_logger(__name__)


class ReportProcessor:
    """The one way by which a broker's word reaches the ledger."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._queue: SimpleQueue[OrderReport | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="intake", daemon=True)
        self._told: set[str] = set()  # overfilling trades that somebody was alerted to already

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Book what has been pushed so far, then end."""
        self._queue.put(None)
        self._thread.join()

    def push(self, report: OrderReport) -> None:
        """Take a report from the broker's own thread, without keeping it waiting for the disk."""
        self._queue.put(report)

    def take(self, reports: Sequence[OrderReport], *, read_at: datetime | None = None) -> list[AppliedReport]:
        """Book reports now. One that cannot be booked is logged, and keeps none of the others out."""
        if not reports:
            return []
        taken = self._desk.writer.run(
            lambda connection: [self._receive(connection, report, read_at) for report in reports]
        )
        received = [each for each in taken if each is not None]
        for each in received:
            self._tell(each.order, each.cause, each.events)
            self._look_for_overfills(each)
        return received

    def happened(
        self, order_id: str, kind: EventKind, *, code: str | None = None, reason: str | None = None
    ) -> Order:
        """Record what the engine itself knows of an order, unless a report has overtaken it."""

        def unit(connection: Connection) -> tuple[Order, Cause, list[OrderEvent]]:
            order, cause = tracked(connection, order_id)
            if not may_happen(order, kind) or _is_answered(order, kind):
                return order, cause, []
            event = OrderEvent(kind, self._desk.clock(), code=code, reason=reason)
            return ledger.record(connection, order, event, cause, self._desk.books), cause, [event]

        order, cause, events = self._desk.writer.run(unit)
        self._tell(order, cause, events)
        return order

    def _receive(
        self, connection: Connection, report: OrderReport, read_at: datetime | None
    ) -> AppliedReport | None:
        try:
            with part(connection):
                return apply_report(connection, self._desk, report, read_at=read_at)
        except (AlgosatError, SQLAlchemyError, ValueError) as error:
            _log.error("report_not_booked", broker_order=report.broker_order_id, detail=str(error))
            return None

    def _tell(self, order: Order, cause: Cause, events: Sequence[OrderEvent]) -> None:
        """After the commit: whoever waits, the count, the log."""
        if not events:
            return
        self._desk.tell_web(order.id)
        metrics.ORDERS.labels(order.status.value).inc()
        for event in events:
            _log.info(
                event.kind.value,
                order=order.id,
                status=order.status.value,
                code=event.code,
                reason=event.reason,
                correlation_id=cause.correlation_id,
            )

    def _look_for_overfills(self, received: AppliedReport) -> None:
        for trade in received.overfills:
            if trade.id not in self._told:
                self._told.add(trade.id)
                detail = f"trade {trade.id} of {trade.quantity} exceeds what was ordered: it is not booked"
                alert(self._desk, "broker.overfill", received.order.id, received.cause, detail)

    def _serve(self) -> None:
        while True:
            reports, ending = self._next()
            try:
                self.take(reports)
            except Exception:  # noqa: BLE001 - whatever it was: the reconciler reads them again
                _log.exception("reports_not_booked", number=len(reports))
            if ending:
                return

    def _next(self) -> tuple[list[OrderReport], bool]:
        reports: list[OrderReport] = []
        item = self._queue.get()
        while item is not None:
            reports.append(item)
            try:
                item = self._queue.get_nowait()
            except Empty:
                return reports, False
        return reports, True


def _is_answered(order: Order, kind: EventKind) -> bool:
    """Whether the wish that would have failed is none any more; or what is given up turned up after all."""
    if kind is EventKind.CANCELLED:
        return order.status is not Status.NOT_FOUND
    if kind is EventKind.CANCEL_FAILED:
        return order.pending is not PendingRequest.PENDING_CANCEL
    return kind is EventKind.MODIFY_FAILED and order.pending_change is None
