"""Reconciliation: the broker's order book settles unknown outcomes and brings in external orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, and_, bindparam, or_, select

from algosat.brokers.base import BookHint, Feed, FeedChange, FeedState
from algosat.clock import has_come
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import LIVE, TERMINAL, EventKind, Order, OrderEvent, Status
from algosat.domain.orders.report import OrderReport
from algosat.domain.reason_codes import EngineCode
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.pending_requests import CancelModifySender
from algosat.engine.report_processor import ReportProcessor
from algosat.errors import BrokerError, BrokerUncertain
from algosat.store import ledger, queries
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import orders
from algosat.trading import alerts
from algosat.trading.apply_report import changes_anything, tracked
from algosat.trading.desk import Desk

# Orders whose outcome or state the broker has not told: of those being sent, the acknowledged ones.
_UNTOLD = Prepared(
    select(orders)
    .where(
        orders.c.account == bindparam("account"),
        or_(
            orders.c.status == Status.UNKNOWN.value,
            and_(orders.c.status == Status.SUBMITTING.value, orders.c.broker_order_id.is_not(None)),
        ),
    )
    .order_by(orders.c.seq)
)
_SUBMITTING = Prepared(
    select(orders.c.id, orders.c.broker_order_id).where(
        orders.c.status == Status.SUBMITTING.value,
        orders.c.account == bindparam("account"),
        orders.c.updated_at < bindparam("before"),
    )
)
_WHY_FORGOTTEN: Final = (
    "the outcome of sending the order could not be written",
    "the broker acknowledged the order, but does not tell its state",
)
_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (0.5, 1, 2, 4, 8, 15, 30))
_RETRY_AFTER: Final = timedelta(seconds=1)  # after a failed reading of the order book

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for an order whose outcome or state is not known."""

    since: datetime
    number: int
    next_at: datetime


class Reconciler:
    def __init__(
        self,
        desk: Desk,
        broker: GuardedBroker,
        report_processor: ReportProcessor,
        cancel_modify: CancelModifySender,
        *,
        every: timedelta,
        window: timedelta,
        forgotten_after: timedelta,
    ) -> None:
        """Build a reconciler.

        Args:
            every: The interval between readings of the order book.
            window: How long an `unknown` order is searched for before it becomes `not_found`.
            forgotten_after: An order that is `submitting` for longer becomes `unknown`.
        """
        self._desk, self._broker, self._cancel_modify = desk, broker, cancel_modify
        self._report_processor = report_processor
        self._every = every
        self._window = window
        self._forgotten_after = forgotten_after
        self._searches: dict[str, _Search] = {}
        self._next_read = desk.clock()
        self._ended: dict[str, OrderReport] = {}
        self.read_at: datetime | None = None  # when the last complete reading of the order book began
        self.reports: Sequence[OrderReport] = ()  # of that reading
        self.unknown = 0  # number of orders

    def mark_interrupted(self) -> None:
        """Mark orders `unknown` that the previous engine left as `submitting`.

        The broker has acknowledged some: they are at the broker, and are searched for as they are.
        """

        def unit(connection: Connection) -> list[Order]:
            submitting = [
                order
                for order in queries.working(connection, self._desk.account)
                if order.status is Status.SUBMITTING and order.broker_order_id is None
            ]
            return [self._interrupt(connection, order) for order in submitting]

        for order in self._desk.writer.run(unit):
            _log.warning("order_interrupted", order=order.id)

    def step(self) -> None:
        """Read the order book if that is due, and search for the orders that are due."""
        if has_come(self._next_read, self._desk.clock(), within=max(self._every, _RETRY_AFTER)):
            self.read_book()
        self._mark_forgotten()
        untold = self._untold()
        self.unknown = sum(order.status is Status.UNKNOWN for order in untold)
        self._searches = {order.id: self._search_of(order) for order in untold}
        for order in untold:
            self._search(order)

    def read_book(self) -> bool:
        """Read the whole order book and apply what has changed. Return whether it could be read."""
        read_at = self._desk.clock()
        self._next_read = read_at + min(_RETRY_AFTER, self._every)
        if not self._broker.session().is_readable:
            return False
        try:
            reports = self._broker.read_book(BookHint()).reports
        except BrokerError as error:
            _log.warning("book_not_read", detail=error.detail)
            return False
        for applied in self._report_processor.process(self._changes(reports, read_at), read_at=read_at):
            if applied.is_ghost and not applied.order.external:
                self._cancel_modify.cancel_ghost(applied.order)
        self._close_alerts(reports)
        self.read_at, self._next_read = read_at, read_at + self._every
        self.reports = reports
        return True

    def feed_changed(self, change: FeedChange) -> None:
        """Read the order book at the next step if reports may have been missed, as after a reconnect."""
        if change.feed is Feed.ORDERS and change.state is not FeedState.DOWN:
            self._next_read = self._desk.clock()

    def _changes(self, reports: Sequence[OrderReport], read_at: datetime) -> list[OrderReport]:
        """Return the reports that would change anything. A final report that was seen before is skipped."""
        before, self._ended = self._ended, {}
        changes = []
        with self._desk.database.read() as connection:
            for report in reports:
                if before.get(report.broker_order_id) == report:
                    self._ended[report.broker_order_id] = report
                elif changes_anything(connection, self._desk, report, read_at):
                    changes.append(report)
                elif report.status in TERMINAL:
                    self._ended[report.broker_order_id] = report
        return changes

    def _interrupt(self, connection: Connection, order: Order) -> Order:
        order, cause = tracked(connection, order.id)
        reason = "the engine stopped while the order was being sent"
        event = OrderEvent(EventKind.UNCERTAIN, self._desk.clock(), EngineCode.INTERRUPTED, reason)
        return ledger.record(connection, order, event, cause, self._desk.books)

    def _mark_forgotten(self) -> None:
        """Mark orders `unknown` whose outcome could not be written, or whose state is not told."""
        before = self._desk.clock() - self._forgotten_after
        with self._desk.database.read() as connection:
            forgotten = _SUBMITTING.all(connection, account=self._desk.account, before=before)
        for row in forgotten:
            _log.warning("order_forgotten", order=row.id)
            self._report_processor.record(
                row.id,
                EventKind.UNCERTAIN,
                code=BrokerUncertain.code,
                reason=_WHY_FORGOTTEN[row.broker_order_id is not None],
            )

    def _untold(self) -> list[Order]:
        with self._desk.database.read() as connection:
            return [order_from(row) for row in _UNTOLD.all(connection, account=self._desk.account)]

    def _search_of(self, order: Order) -> _Search:
        """Return the order's search. One that began in the future (the clock was set back) starts again.

        An acknowledged order that becomes `unknown` continues with its delays; its window begins then.
        """
        now, known = self._desk.clock(), self._searches.get(order.id)
        if known is not None and known.since <= now:
            return known
        return _Search(min(order.updated_at, now), 0, now + _DELAYS[0])

    def _search(self, order: Order) -> None:
        search, now = self._searches[order.id], self._desk.clock()
        if not has_come(search.next_at, now, within=_DELAYS[-1]):
            return
        number = search.number + 1
        delay = _DELAYS[min(number, len(_DELAYS) - 1)]
        self._searches[order.id] = _Search(search.since, number, now + delay)
        try:
            report = self._broker.find(order)
        except BrokerError as error:
            _log.warning("search_failed", order=order.id, detail=error.detail)
            return
        if report is not None:
            self._report_processor.process([report], read_at=now)
        elif order.status is Status.SUBMITTING:
            return  # acknowledged: the book lags. `_mark_forgotten` ends the wait
        elif order.code == EngineCode.INTERRUPTED and self._broker.capabilities.fences:
            self._report_processor.record(
                order.id,
                EventKind.REJECTED,
                code=EngineCode.NEVER_SENT,
                reason=EngineCode.NEVER_SENT.help_text,
            )
        elif now >= search.since + self._window:
            self._conclude(order, search)

    def _conclude(self, order: Order, search: _Search) -> None:
        """Mark an order `not_found` after its window, if a complete order book read since then lacks it."""
        now = self._desk.clock()
        # A reading from the future was before the clock was set back: its age is not known.
        if self.read_at is None or not search.since + self._window <= self.read_at <= now:
            self._next_read = now
            return
        detail = f"not in the broker's order book after {self._window.total_seconds():g} s"
        self._report_processor.record(
            order.id,
            EventKind.NOT_FOUND,
            code=EngineCode.NOT_FOUND,
            reason=detail,
            alert=AlertKind.BROKER_NOT_FOUND,
        )

    def _close_alerts(self, reports: Sequence[OrderReport]) -> None:
        """Close the alerts of ghosts that no longer work, and of orders that are no longer `not_found`."""
        working = {report.tag for report in reports if report.status in LIVE}
        with self._desk.database.read() as connection:
            ghosts = alerts.open_subjects(connection, self._desk, AlertKind.BROKER_GHOST)
            missing = alerts.open_subjects(connection, self._desk, AlertKind.BROKER_NOT_FOUND)
            over = [
                *((AlertKind.BROKER_GHOST, order_id) for order_id in sorted(ghosts - working)),
                *(
                    (AlertKind.BROKER_NOT_FOUND, order_id)
                    for order_id in sorted(missing)
                    if tracked(connection, order_id)[0].status is not Status.NOT_FOUND
                ),
            ]
        if over:
            self._desk.writer.run(lambda connection: self._close_each(connection, over))

    def _close_each(self, connection: Connection, over: Sequence[tuple[AlertKind, str]]) -> None:
        for kind, order_id in over:
            _, cause = tracked(connection, order_id)
            alerts.close_alert(connection, self._desk, kind, order_id, cause)
