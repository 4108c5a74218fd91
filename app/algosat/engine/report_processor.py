"""Applying the broker's order reports to the ledger, many in one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from algosat.brokers.base import Ack
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import EventKind, Order, OrderEvent, PendingRequest, Status, may_happen
from algosat.domain.orders.report import OrderReport
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.store.writer import part
from algosat.trading import alerts, order_alerts
from algosat.trading.apply_report import (
    ACTOR,
    AppliedReport,
    apply_report,
    order_of,
    tracked,
    with_inferred_fill,
)
from algosat.trading.desk import Desk

_log = structlog.get_logger(__name__)


class ReportProcessor:
    """Writes everything the engine learns about an order: the broker's reports and its own findings."""

    def __init__(self, desk: Desk, renumbers: Callable[[], bool]) -> None:
        """Build a report processor; `renumbers`: whether the broker gives a changed order another number."""
        self._desk, self._renumbers = desk, renumbers
        self._queue: SimpleQueue[OrderReport] = SimpleQueue()

    @property
    def renumbers(self) -> bool:
        return self._renumbers()

    def step(self, seconds: float = 0) -> None:
        """Process the pushed reports; wait up to so many seconds for the first one.

        If the store refuses them, the reconciler reads them again in the broker's order book.
        """
        self.process(self._take_queued(seconds))

    def enqueue(self, report: OrderReport) -> None:
        """Queue a pushed report. The broker's thread does not wait for the disk."""
        self._queue.put(report)

    def process(
        self, reports: Sequence[OrderReport], *, read_at: datetime | None = None
    ) -> list[AppliedReport]:
        """Apply reports now, in one commit. A report that cannot be applied opens an alert and is skipped.

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
            self._publish(each.order, each.events)
        return applied

    def process_placed(self, order: Order, answer: Ack | OrderReport) -> None:
        """Apply the answer to a new order. After an `Ack`, only a report tells the order's state."""
        if isinstance(answer, OrderReport):
            self.process([answer])
        else:
            self.record(order.id, EventKind.ACKNOWLEDGED, broker_order_id=answer.broker_order_id)

    def infer_fill(self, report: OrderReport) -> None:
        """Book a fill in place of the trades that a report lacks, unless they have arrived meanwhile."""

        def unit(connection: Connection) -> AppliedReport | None:
            order = order_of(connection, self._desk, report)
            inferred = None if order is None else with_inferred_fill(connection, self._desk, order, report)
            return None if inferred is None else self._apply(connection, inferred, None)

        applied = self._desk.writer.run(unit)
        if applied is not None:
            self._publish(applied.order, applied.events)

    def record(
        self,
        order_id: str,
        kind: EventKind,
        *,
        code: str | None = None,
        reason: str | None = None,
        broker_order_id: str | None = None,
        alert: AlertKind | None = None,
        only_while: Status | None = None,
    ) -> Order:
        """Record an event that the engine itself observed, unless a report was applied first.

        Args:
            alert: The kind of the alert that the unit of work opens with the event.
            only_while: The status that the order must still have.
        """

        def unit(connection: Connection) -> tuple[Order, list[OrderEvent]]:
            order, cause = tracked(connection, order_id)
            has_moved_on = only_while is not None and order.status is not only_while
            if has_moved_on or not may_happen(order, kind) or _is_outdated(order, kind):
                return order, []
            event = OrderEvent(kind, self._desk.clock(), code, reason, broker_order_id)
            order = ledger.record(connection, order, event, cause, self._desk.books)
            if alert is not None:
                alerts.open_alert(connection, self._desk, alert, order.id, cause, reason or alert.help_text)
            order_alerts.after_events(connection, self._desk, order, [event], cause)
            return order, [event]

        order, events = self._desk.writer.run(unit)
        self._publish(order, events)
        return order

    def _apply(
        self, connection: Connection, report: OrderReport, read_at: datetime | None
    ) -> AppliedReport | None:
        try:
            with part(connection):
                applied = apply_report(
                    connection, self._desk, report, read_at=read_at, renumbers=self.renumbers
                )
                self._alert(connection, applied)
                return applied
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one report, the others count
            why = (str(error) or type(error).__name__).splitlines()[0]
            _log.error("report_not_booked", broker_order=report.broker_order_id, detail=why)
            self._desk.errors.record(error, f"engine {self._desk.account} reports")
            if not isinstance(error, OperationalError):  # otherwise the store fails, and not the report
                self._alert_of_refused(connection, report, why)
            return None

    def _alert_of_refused(self, connection: Connection, report: OrderReport, why: str) -> None:
        terms, cause = report.terms, Cause(ACTOR, report.broker_order_id)
        detail = (
            f"{terms.side} {terms.symbol}, {report.status}, {report.filled_quantity} filled at the broker: "
            f"{why}"
        )
        alerts.open_alert(
            connection,
            self._desk,
            AlertKind.BROKER_REPORT_REFUSED,
            report.tag or report.broker_order_id,
            cause,
            detail,
        )

    def _publish(self, order: Order, events: Sequence[OrderEvent]) -> None:
        """After the commit, notify waiting requests."""
        if events:
            self._desk.notify_web(order.id)

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
        if applied.conflicts:
            detail = "; ".join(
                f"trade {trade.id} is reported again, as {trade.quantity} at {trade.price}"
                for trade in applied.conflicts
            )
            alerts.open_alert(
                connection, self._desk, AlertKind.BROKER_TRADE_CONFLICT, order.id, cause, detail
            )
        if applied.is_ghost and not order.external:
            detail = (
                f"the order is {order.status} here and still working at the broker; "
                "the engine cancels it there"
            )
            alerts.open_alert(connection, self._desk, AlertKind.BROKER_GHOST, order.id, cause, detail)

    def _take_queued(self, seconds: float) -> list[OrderReport]:
        """Wait for a report, and return everything queued by then."""
        reports: list[OrderReport] = []
        with suppress(Empty):
            reports.append(self._queue.get(timeout=seconds))
            while True:
                reports.append(self._queue.get_nowait())
        return reports


def _is_outdated(order: Order, kind: EventKind) -> bool:
    """Return whether the request that the event answers is no longer pending."""
    if kind is EventKind.CANCEL_FAILED:
        return order.pending is not PendingRequest.PENDING_CANCEL
    return kind is EventKind.MODIFY_FAILED and order.pending_change is None
