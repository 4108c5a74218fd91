"""Reconciliation: the broker's order book settles unknown outcomes and brings in external orders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, bindparam, select

from algosat.brokers.base import BookHint, BookReading, Feed, FeedChange, FeedState
from algosat.clock import has_come
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import (
    LIVE,
    TERMINAL,
    EventKind,
    Order,
    OrderEvent,
    PendingRequest,
    Status,
    Validity,
)
from algosat.domain.orders.report import OrderReport, latest_of_each
from algosat.domain.reason_codes import EngineCode
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.pending_requests import CancelModifySender
from algosat.engine.report_processor import ReportProcessor
from algosat.errors import AlgosatError, BrokerBookTooShort, BrokerError, BrokerUncertain
from algosat.monitoring import correlation
from algosat.resilience.error_log import Recovery
from algosat.store import ledger, queries
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import orders
from algosat.trading import alerts
from algosat.trading.apply_report import ACTOR, changes_anything, order_of, tracked
from algosat.trading.desk import Desk

# Orders whose outcome or state the broker has not told. In one statement, SQLite would read all orders.
_UNKNOWN, _ACKNOWLEDGED = (
    Prepared(
        select(orders)
        .where(orders.c.account == bindparam("account"), orders.c.status == status.value, *conditions)
        .order_by(orders.c.seq)
    )
    for status, conditions in (
        (Status.UNKNOWN, ()),
        (Status.SUBMITTING, (orders.c.broker_order_id.is_not(None),)),
    )
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
_ALERT_AFTER: Final = timedelta(seconds=30)  # of trades that are missing, and of orders that have vanished
_INFER_AFTER: Final = timedelta(minutes=2)  # a trade book lags by seconds; a fill inferred too early is wrong
_UNKNOWN_ALERT_AFTER: Final = timedelta(seconds=10)
_RETRY_AFTER: Final = timedelta(seconds=1)  # after a failed reading of the order book

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for an order: its outcome is not known, its trades are missing, or it has vanished."""

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
        self._vanished: dict[str, _Search] = {}
        self._untraded: dict[str, _Search] = {}  # orders filled at the broker, whose trades are missing
        self._last: BookReading | None = None  # the reading at `read_at`
        self._next_read = desk.clock()
        self._reading = threading.Lock()
        self._ended: dict[str, OrderReport] = {}
        self.read_at: datetime | None = None  # when the last complete reading of the order book began
        self.reports: Sequence[OrderReport] = ()  # of that reading
        self._book_place = f"engine {desk.account} order book"  # place in the error log
        self._unknown_since: dict[str, datetime] = {}
        self._unknown_detail: str | None = ""  # of the alert; "": one may be open from before

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
        self._searches = {order.id: self._search_of(order) for order in untold}
        for order in untold:
            self._search(order)
        self._watch_unknown(untold)

    def read_book(self) -> bool:
        """Read the whole order book and apply what has changed. Return whether it could be read.

        One thread reads at a time: the duties `reconcile`, `books` and `conversions` call this.
        """
        with self._reading:
            return self._read_book()

    def _read_book(self) -> bool:
        read_at = self._desk.clock()
        self._next_read = read_at + min(_RETRY_AFTER, self._every)
        if not self._broker.session().is_readable:
            return False
        try:
            reading = self._broker.read_book(self._hint())
        except BrokerError as error:
            _log.warning("book_not_read", detail=error.detail)
            self._desk.errors.round_failed(error, self._book_place)
            return False
        self._desk.errors.round_passed(self._book_place)
        reports = latest_of_each(reading.reports)
        for applied in self._report_processor.process(self._changes(reports, read_at), read_at=read_at):
            if applied.is_ghost and not applied.order.external:
                self._cancel_modify.cancel_ghost(applied.order, applied.number)
        self._watch_trades(reports)
        self._watch_presence(replace(reading, reports=reports), read_at)
        self._close_alerts(reports)
        self._next_read = read_at + self._every
        if not reading.complete:
            _log.warning("book_not_complete", reports=len(reports))
            return False
        self.read_at, self._last = read_at, reading
        self.reports = tuple({report.broker_order_id: report for report in reports}.values())
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
                elif self._changes_anything(connection, report, read_at):
                    changes.append(report)
                elif report.status in TERMINAL:
                    self._ended[report.broker_order_id] = report
        return changes

    def _changes_anything(self, connection: Connection, report: OrderReport, read_at: datetime) -> bool:
        try:
            return changes_anything(
                connection, self._desk, report, read_at, renumbers=self._report_processor.renumbers
            )
        except (ArithmeticError, TypeError, ValueError, AlgosatError):
            return True  # applying it opens the alert, and the other reports count

    def _hint(self) -> BookHint:
        """Return what the reading must contain, for brokers that have to be told."""
        if not self._broker.capabilities.book_needs_hint:
            return BookHint()
        with self._desk.database.read() as connection:
            working = queries.working(connection, self._desk.account)
        numbers = {order.broker_order_id for order in working if order.broker_order_id is not None}
        return BookHint(
            since=min((order.due_at for order in working), default=None),
            symbols=frozenset(order.terms.symbol for order in working),
            numbers=frozenset(numbers),
        )

    def _watch_trades(self, reports: Sequence[OrderReport]) -> None:
        """Follow orders that are filled at the broker while its trade book lags behind.

        The order is read by itself; then an alert opens, and at last a fill is inferred, which the trades
        replace once they arrive.
        """
        lacking = [report for report in reports if _lacks_trades(report)]
        if not lacking and not self._untraded:
            return
        with self._desk.database.read() as connection:
            found = [(order_of(connection, self._desk, report), report) for report in lacking]
        behind = {
            order.id: (order, report)
            for order, report in found
            if order is not None and order.filled_quantity < report.filled_quantity
        }
        self._untraded = {order_id: self._begun(self._untraded, order_id) for order_id in behind}
        for order_id, (order, report) in behind.items():
            waited = self._desk.clock() - self._untraded[order_id].since
            if waited >= _ALERT_AFTER:
                missing = report.filled_quantity - order.filled_quantity
                detail = (
                    f"{missing} of {report.filled_quantity} {order.terms.symbol} filled lack their trades"
                )
                self._open_alert(AlertKind.BROKER_TRADES_MISSING, order, detail)
            if self._is_due(self._untraded, order_id):
                self._read_again(order)
            if waited >= _INFER_AFTER:
                self._report_processor.infer_fill(report)

    def _watch_presence(self, reading: BookReading, read_at: datetime) -> None:
        """Alert about orders that work here and are no longer in the broker's order book."""
        present = {report.tag for report in reading.reports} | {
            number for report in reading.reports for number in (report.broker_order_id, report.replaces)
        }
        with self._desk.database.read() as connection:
            working = queries.working(connection, self._desk.account)
        absent = {
            order.id: order
            for order in working
            if order.status in LIVE
            and order.id not in present
            and order.broker_order_id not in present
            and order.updated_at < read_at
            and reading.proves_absence(order.due_at)
        }
        self._vanished = {order_id: self._begun(self._vanished, order_id) for order_id in absent}
        for order_id, order in absent.items():
            waited = self._desk.clock() - self._vanished[order_id].since
            if self._is_due(self._vanished, order_id) and self._read_again(order):
                del self._vanished[order_id]
            elif waited >= _ALERT_AFTER:
                detail = (
                    f"{order.terms.side} {order.remaining_quantity} {order.terms.symbol}: the order is "
                    f"{order.status} here, and the broker's order book lacks it. It may have been filled: "
                    "compare the position with the broker's, then cancel the order here"
                )
                self._open_alert(AlertKind.BROKER_VANISHED, order, detail)

    def _begun(self, searches: Mapping[str, _Search], order_id: str) -> _Search:
        """Return the search for an order, begun now if there is none, or if it began in the future."""
        now, known = self._desk.clock(), searches.get(order_id)
        return known if known is not None and known.since <= now else _Search(now, 0, now + _DELAYS[0])

    def _is_due(self, searches: dict[str, _Search], order_id: str) -> bool:
        """Return whether the order is to be read by itself now, and schedule the next time."""
        search, now = searches[order_id], self._desk.clock()
        if not has_come(search.next_at, now, within=_DELAYS[-1]):
            return False
        number = search.number + 1
        delay = _DELAYS[min(number, len(_DELAYS) - 1)]
        searches[order_id] = _Search(search.since, number, now + delay)
        return True

    def _read_again(self, order: Order) -> bool:
        """Read an order by itself, and apply what the broker says. Return whether the broker has it."""
        read_at = self._desk.clock()
        try:
            report = self._broker.find(order)
        except BrokerError as error:
            _log.warning("search_failed", order=order.id, detail=error.detail)
            return False
        if report is None:
            return False
        self._report_processor.process([report], read_at=read_at)
        return True

    def _open_alert(self, kind: AlertKind, order: Order, detail: str) -> None:
        def unit(connection: Connection) -> None:
            _, cause = tracked(connection, order.id)
            alerts.open_alert(connection, self._desk, kind, order.id, cause, detail)

        with self._desk.database.read() as connection:
            known = alerts.open_detail(connection, self._desk, kind, order.id)
        if known != detail:
            self._desk.writer.run(unit)

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
            found = [each.all(connection, account=self._desk.account) for each in (_UNKNOWN, _ACKNOWLEDGED)]
        return [order_from(row) for rows in found for row in rows]

    def _watch_unknown(self, untold: Sequence[Order]) -> None:
        """Count the searches that have ended, and alert while one takes long."""
        now = self._desk.clock()
        searched = (order for order in untold if order.id in self._searches)
        unknown = {order.id: order for order in searched if order.status is Status.UNKNOWN}
        for order_id, since in self._unknown_since.items():
            if order_id not in unknown:
                self._end_search(since, succeeded=True)
        self._unknown_since = {order_id: self._searches[order_id].since for order_id in unknown}
        late = [
            (since, order_id)
            for order_id, since in self._unknown_since.items()
            if now - since >= _UNKNOWN_ALERT_AFTER
        ]
        detail = None
        if late:
            since, order = min(late)[0], unknown[min(late)[1]]
            detail = (
                f"{order.terms.side} {order.terms.symbol}, order {order.id}: its outcome is not known since "
                f"{since:%H:%M:%S} UTC. Entries of its strategy in this symbol are denied until it is"
            )
        if detail != self._unknown_detail:
            self._desk.writer.run(lambda connection: self._put_unknown_alert(connection, detail))
            self._unknown_detail = detail

    def _end_search(self, since: datetime, *, succeeded: bool) -> None:
        seconds = abs((self._desk.clock() - since).total_seconds())
        place = f"orders {self._desk.account}"
        self._desk.errors.recovered(Recovery.ORDER_SEARCH, place, succeeded=succeeded, seconds=seconds)

    def _put_unknown_alert(self, connection: Connection, detail: str | None) -> None:
        kind, cause = AlertKind.BROKER_OUTCOME_UNKNOWN, Cause(ACTOR, correlation.new())
        if detail is None:
            alerts.close_alert(connection, self._desk, kind, self._desk.account, cause)
        else:
            alerts.open_alert(connection, self._desk, kind, self._desk.account, cause, detail)

    def _search_of(self, order: Order) -> _Search:
        """Return the order's search. One that began in the future (the clock was set back) starts again.

        An acknowledged order that becomes `unknown` continues with its delays; its window begins then.
        """
        now, known = self._desk.clock(), self._searches.get(order.id)
        if known is not None and known.since <= now:
            return known
        return _Search(min(order.updated_at, now), 0, now + _DELAYS[0])

    def _search(self, order: Order) -> None:
        if not self._is_due(self._searches, order.id):
            return
        search, now = self._searches[order.id], self._desk.clock()
        try:
            report = self._broker.find_on(order, self._trading_day(order.due_at))
        except BrokerBookTooShort as error:
            if now >= search.since + self._window:
                self._leave_to_person(order, error.detail)
            return
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

    def _leave_to_person(self, order: Order, why: str) -> None:
        """Alert about an order whose outcome the broker cannot show, and end it if its cancel is requested.

        An order that may still work is not ended.
        """
        terms = order.terms
        if order.pending is PendingRequest.PENDING_CANCEL and self._has_ended(order):
            self._report_processor.record(
                order.id, EventKind.CANCELLED, reason=f"given up: {why}", only_while=Status.UNKNOWN
            )
            return
        detail = (
            f"{terms.side} {order.remaining_quantity} {terms.symbol}: {why}. The order may have been filled: "
            "compare the position with the broker's, then cancel the order here"
        )
        self._open_alert(AlertKind.BROKER_OUTCOME_MISSED, order, detail)

    def _has_ended(self, order: Order) -> bool:
        """Return whether the order, with whatever outcome, ended with an earlier trading day."""
        is_earlier = self._trading_day(order.due_at) < self._trading_day(self._desk.clock())
        return is_earlier and order.terms.validity in (Validity.DAY, Validity.IOC)

    def _trading_day(self, at: datetime) -> date:
        return self._desk.books.trading_day(at)

    def _conclude(self, order: Order, search: _Search) -> None:
        """Mark an order `not_found` after its window, if a complete order book read since then lacks it.

        The book proves nothing about an order that was sent before the time it goes back to.
        """
        now = self._desk.clock()
        # A reading from the future was before the clock was set back: its age is not known.
        if self.read_at is None or not search.since + self._window <= self.read_at <= now:
            self._next_read = now
            return
        if self._last is None or not self._proves_absence(order, self._last):
            return
        detail = f"not in the broker's order book after {self._window.total_seconds():g} s"
        self._report_processor.record(
            order.id,
            EventKind.NOT_FOUND,
            code=EngineCode.NOT_FOUND,
            reason=detail,
            alert=AlertKind.BROKER_NOT_FOUND,
        )
        self._unknown_since.pop(order.id, None)
        del self._searches[order.id]
        self._end_search(search.since, succeeded=False)

    def _proves_absence(self, order: Order, reading: BookReading) -> bool:
        """Return whether the reading, or the broker's book of an earlier day, covers the order's time."""
        is_earlier = self._trading_day(order.due_at) < self._trading_day(self._desk.clock())
        return reading.proves_absence(order.due_at) or (is_earlier and self._broker.capabilities.has_history)

    def _close_alerts(self, reports: Sequence[OrderReport]) -> None:
        """Close the alerts about orders whose condition has ended."""
        working = {report.tag for report in reports if report.status in LIVE}
        is_over: dict[AlertKind, Callable[[Order], bool]] = {
            AlertKind.BROKER_GHOST: lambda order: order.id not in working,
            AlertKind.BROKER_NOT_FOUND: lambda order: order.status is not Status.NOT_FOUND,
            AlertKind.BROKER_VANISHED: lambda order: order.id not in self._vanished,
            AlertKind.BROKER_TRADES_MISSING: lambda order: (
                order.id not in self._untraded and order.code != EngineCode.FILL_INFERRED
            ),
        }
        with self._desk.database.read() as connection:
            over = [
                (kind, order_id)
                for kind, is_settled in is_over.items()
                for order_id in sorted(alerts.open_subjects(connection, self._desk, kind))
                if is_settled(tracked(connection, order_id)[0])
            ]
        if over:
            self._desk.writer.run(lambda connection: self._close_each(connection, over))

    def _close_each(self, connection: Connection, over: Sequence[tuple[AlertKind, str]]) -> None:
        for kind, order_id in over:
            _, cause = tracked(connection, order_id)
            alerts.close_alert(connection, self._desk, kind, order_id, cause)


def _lacks_trades(report: OrderReport) -> bool:
    try:
        return report.lacks_trades
    except ArithmeticError:  # not a number: the report is refused, and an alert is open
        return False
