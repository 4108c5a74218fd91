"""Applying the broker's order reports to the ledger, many in one commit."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from queue import Empty, SimpleQueue

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from algosat.brokers.base import Ack
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import EventKind, Order, OrderEvent, PendingRequest, Status, may_happen
from algosat.domain.orders.report import OrderReport
from algosat.errors import AlgosatError
from algosat.monitoring import metrics
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.store.writer import part
from algosat.trading import alerts, order_alerts
from algosat.trading.apply_report import AppliedReport, apply_report, tracked
from algosat.trading.desk import Desk

_log = structlog.get_logger(__name__)


class ReportProcessor:
    """Writes everything the engine learns about an order: the broker's reports and its own findings."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._queue: SimpleQueue[OrderReport | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="report-processor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Process the reports queued so far, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def enqueue(self, report: OrderReport) -> None:
        """Queue a pushed report. The broker's thread does not wait for the disk."""
        self._queue.put(report)

    def process(
        self, reports: Sequence[OrderReport], *, read_at: datetime | None = None
    ) -> list[AppliedReport]:
        """Apply reports now, in one commit. A report that cannot be applied is logged and skipped.

        Args:
            reports: Answers, pushed reports or entries of the order book.
            read_at: When the reading of the order book began; None for answers and pushed reports.
        """
        if not reports:
            return []
        results = self._desk.writer.run(
            lambda connection: [self._apply(connection, report, read_at) for report in reports]
        )
        applied = [each for each in results if each is not None]
        for each in applied:
            self._publish(each.order, each.cause, each.events)
        return applied

    def process_placed(self, order: Order, answer: Ack | OrderReport) -> None:
        """Apply the answer to a new order. After an `Ack`, only a report tells the order's state."""
        if isinstance(answer, OrderReport):
            self.process([answer])
        else:
            self.record(order.id, EventKind.ACKNOWLEDGED, broker_order_id=answer.broker_order_id)

    def record(
        self,
        order_id: str,
        kind: EventKind,
        *,
        code: str | None = None,
        reason: str | None = None,
        broker_order_id: str | None = None,
        alert: AlertKind | None = None,
    ) -> Order:
        """Record an event that the engine itself observed, unless a report was applied first.

        With the event, the unit of work opens an alert of the kind `alert`, if one is given.
        """

        def unit(connection: Connection) -> tuple[Order, Cause, list[OrderEvent]]:
            order, cause = tracked(connection, order_id)
            if not may_happen(order, kind) or _is_outdated(order, kind):
                return order, cause, []
            event = OrderEvent(kind, self._desk.clock(), code, reason, broker_order_id)
            order = ledger.record(connection, order, event, cause, self._desk.books)
            if alert is not None:
                alerts.open_alert(connection, self._desk, alert, order.id, cause, reason or alert.help_text)
            order_alerts.after_events(connection, self._desk, order, [event], cause)
            return order, cause, [event]

        order, cause, events = self._desk.writer.run(unit)
        self._publish(order, cause, events)
        return order

    def _apply(
        self, connection: Connection, report: OrderReport, read_at: datetime | None
    ) -> AppliedReport | None:
        try:
            with part(connection):
                applied = apply_report(connection, self._desk, report, read_at=read_at)
                self._alert(connection, applied)
                return applied
        except (AlgosatError, SQLAlchemyError, ValueError) as error:
            _log.error("report_not_booked", broker_order=report.broker_order_id, detail=str(error))
            return None

    def _publish(self, order: Order, cause: Cause, events: Sequence[OrderEvent]) -> None:
        """After the commit, notify waiting requests, count and log."""
        if not events:
            return
        self._desk.notify_web(order.id)
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

    def _alert(self, connection: Connection, applied: AppliedReport) -> None:
        """Open the alerts that follow from an applied report."""
        order, cause = applied.order, applied.cause
        order_alerts.after_events(connection, self._desk, order, applied.events, cause)
        if applied.overfills:
            detail = "; ".join(
                f"trade {trade.id} of {trade.quantity} exceeds the ordered quantity and is not booked"
                for trade in applied.overfills
            )
            alerts.open_alert(connection, self._desk, AlertKind.BROKER_OVERFILL, order.id, cause, detail)
        if applied.is_ghost and not order.external:
            detail = (
                f"the order is {order.status} here and still working at the broker; "
                "the engine cancels it there"
            )
            alerts.open_alert(connection, self._desk, AlertKind.BROKER_GHOST, order.id, cause, detail)

    def _run(self) -> None:
        while True:
            reports, is_last = self._next_batch()
            try:
                self.process(reports)
            except Exception:  # noqa: BLE001 - the thread must go on; the reconciler reads these reports again
                _log.exception("reports_not_booked", number=len(reports))
            if is_last:
                return

    def _next_batch(self) -> tuple[list[OrderReport], bool]:
        """Wait for a report and return everything queued by then, and whether the thread is to end."""
        reports: list[OrderReport] = []
        item = self._queue.get()
        while item is not None:
            reports.append(item)
            try:
                item = self._queue.get_nowait()
            except Empty:
                return reports, False
        return reports, True


def _is_outdated(order: Order, kind: EventKind) -> bool:
    """Whether the order has moved on: its request is no longer pending, or the missing order was found."""
    if kind is EventKind.CANCELLED:
        return order.status is not Status.NOT_FOUND
    if kind is EventKind.CANCEL_FAILED:
        return order.pending is not PendingRequest.PENDING_CANCEL
    return kind is EventKind.MODIFY_FAILED and order.pending_change is None
