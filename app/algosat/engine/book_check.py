"""Comparison of an account's books with what the broker states.

The books are compared when the engine starts, when the broker session becomes readable again, after orders
may have been missed, after the end of each trading day, and on request. A comparison that shows a difference
is repeated until the difference is certain or gone; while one is open, the books are compared each minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from algosat.brokers.base import Feed, FeedChange, FeedState
from algosat.clock import has_come
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.book_comparison import (
    BookComparison,
    BookFigures,
    DifferenceKind,
    cash_of_broker,
    figures_of_broker,
    kinds_compared,
)
from algosat.domain.calendar import date_at
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.reconciler import Reconciler
from algosat.errors import BrokerError, BrokerNotReached, CalendarUnknown
from algosat.monitoring import correlation
from algosat.store.audit import Cause
from algosat.trading import alerts, book_adjustments, book_differences
from algosat.trading.book_differences import ComparisonOutcome
from algosat.trading.desk import Desk

_ACTOR: Final = "engine"
_LOOK_EVERY: Final = timedelta(seconds=1)  # for a reason to compare
_AGAIN: Final = timedelta(minutes=1)  # while a difference is open, or the day is not compared yet
_AGAIN_AFTER_FAILURE: Final = timedelta(seconds=30)
_LONGEST_FAILURE: Final = timedelta(minutes=10)  # without an alert
_GRACE: Final = timedelta(minutes=60)  # after continuous trading, for auctions and the broker's own bookings
_LONGEST_BREAK: Final = 30  # days without trading
# Seconds after which an uncertain comparison is repeated. Figures that never rest are left to the evening.
_REPEATS: Final = (10, 10, 20, 40, 60)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Seen:
    """The reasons for a comparison that have been seen."""

    is_readable: bool = False
    requested_at: datetime | None = None
    evening: date | None = None


class BookCheck:
    """Compares the books of one account when that is due."""

    def __init__(self, desk: Desk, broker: GuardedBroker, reconciler: Reconciler) -> None:
        self._desk, self._broker, self._reconciler = desk, broker, reconciler
        self._comparison = BookComparison()
        self._next_look = desk.clock()
        self._next_at: datetime | None = self._next_look  # None: no comparison is due
        self._seen = _Seen()
        self._repeats = 0
        self._failing_since: datetime | None = None

    def feed_changed(self, change: FeedChange) -> None:
        """Compare the books at the next step if orders may have been missed, as after a reconnect."""
        if change.feed is Feed.ORDERS and change.state is not FeedState.DOWN:
            self._set_due()

    def step(self) -> None:
        """Compare the books if that is due."""
        now = self._desk.clock()
        if not self._kinds or not has_come(self._next_look, now, within=_LOOK_EVERY):
            return
        self._next_look = now + _LOOK_EVERY
        with self._desk.database.read() as connection:
            state = book_differences.read_state(connection, self._desk.account)
        evening = self._evening(now)
        missing = evening if state.evening is None or state.evening < evening else None
        self._look(state.requested_at, missing)
        if self._next_at is None or not has_come(self._next_at, now, within=_AGAIN):
            return
        if self._seen.is_readable:
            self._compare(missing)
        elif missing is not None:
            self._fail("the broker session has ended, and the last trading day is not compared yet")

    def _set_due(self) -> None:
        self._next_at, self._repeats = self._desk.clock(), 0

    def _look(self, requested_at: datetime | None, evening: date | None) -> None:
        """Look for a new reason to compare: the session is back, a request, or the end of a trading day."""
        now = _Seen(self._broker.session().is_readable, requested_at, evening)
        before, self._seen = self._seen, now
        if (
            (now.is_readable and not before.is_readable)
            or now.requested_at != before.requested_at
            or (now.evening is not None and now.evening != before.evening)
        ):
            self._set_due()

    @property
    def _kinds(self) -> frozenset[DifferenceKind]:
        return kinds_compared(self._broker.capabilities)

    def _evening(self, now: datetime) -> date:
        """Return the last trading day that has ended, with the time for the broker's own bookings."""
        calendar, segments = self._desk.calendar, self._desk.sessions.segments
        today = date_at(calendar, now)
        yesterday = today - timedelta(days=1)
        if calendar.days_left(now) is None:  # the market never closes
            return yesterday
        for days in range(_LONGEST_BREAK):
            at = now - timedelta(days=days)
            try:
                found = [
                    calendar.closes_at(segment, derivatives, at)
                    for segment in segments
                    for derivatives in (False, True)
                ]
            except CalendarUnknown:
                return yesterday
            closes = [each for each in found if each is not None]
            if closes and max(closes) + _GRACE <= now:
                return today - timedelta(days=days)
        return yesterday

    def _compare(self, evening: date | None) -> None:
        try:
            figures = self.read().of_kinds(self._kinds)
        except BrokerError as error:
            self._fail(error.detail)
            return
        self._comparison = self._comparison.next(figures, self._reconciler.read_at)
        cause, now = Cause(_ACTOR, correlation.new()), self._desk.clock()
        outcome = self._desk.writer.run(lambda connection: self._store(connection, evening, cause))
        self._failing_since = None
        self._next_at = self._next(now, outcome, evening)
        _log.info(
            "books_compared",
            account=self._desk.account,
            outcome=outcome.value,
            differences=[f"{each.item.subject}: {each}" for each in self._comparison.certain],
            correlation_id=cause.correlation_id,
        )

    def read(self) -> BookFigures:
        """Apply a reading of the broker's order book, then read the broker's figures and our own.

        Raises BrokerError.
        """
        if not self._reconciler.read_book():
            raise BrokerNotReached("the broker's order book could not be read")
        broker, can, desk = self._broker, self._broker.capabilities, self._desk
        theirs = figures_of_broker(
            broker.positions() if can.has_positions else (), broker.holdings() if can.has_holdings else ()
        )
        funds = broker.funds() if can.has_funds else ()
        theirs |= cash_of_broker(each for each in funds if each.currency == desk.currency)
        at = desk.clock()
        with desk.database.read() as connection:
            ours = book_differences.own_positions(connection, desk.account)
            ours |= book_differences.own_cash(connection, desk, desk.currency)
            filled, stated, unbooked = book_differences.filled_quantities(
                connection, self._desk, self._reconciler.reports
            )
            converting = book_differences.converting(connection, desk.account)
        return BookFigures(at, ours | filled, theirs | stated, unbooked, converting)

    def _store(self, connection: Connection, evening: date | None, cause: Cause) -> ComparisonOutcome:
        """Import what was bought elsewhere, and store what differs for certain and the outcome."""
        desk, comparison = self._desk, self._comparison
        certain = book_adjustments.import_holdings(connection, desk, comparison.certain, cause)
        book_differences.put(connection, desk, certain, comparison, self._kinds, cause)
        outcome = ComparisonOutcome.AGREE
        if comparison.sightings:
            is_certain = len(certain) == len(comparison.sightings)
            outcome = ComparisonOutcome.DIFFER if is_certain else ComparisonOutcome.UNCERTAIN
        changes: dict[str, Any] = {"compared_at": desk.clock(), "outcome": outcome.value, "detail": None}
        if evening is not None and outcome is not ComparisonOutcome.UNCERTAIN:
            changes["evening"] = evening
        book_differences.put_state(connection, desk, **changes)
        alerts.close_alert(connection, desk, AlertKind.BOOK_NOT_COMPARED, desk.account, cause)
        return outcome

    def _next(self, now: datetime, outcome: ComparisonOutcome, evening: date | None) -> datetime | None:
        """Return when to compare again, or None if nothing waits."""
        if outcome is ComparisonOutcome.AGREE:
            return None
        if outcome is ComparisonOutcome.UNCERTAIN and self._repeats < len(_REPEATS):
            self._repeats += 1
            return now + timedelta(seconds=_REPEATS[self._repeats - 1])
        return now + _AGAIN if self._comparison.certain or evening is not None else None

    def _fail(self, detail: str) -> None:
        """Try again later, and alert after a while."""
        desk, now = self._desk, self._desk.clock()
        self._next_at = now + _AGAIN_AFTER_FAILURE
        if self._failing_since is None or self._failing_since > now:
            self._failing_since = now
        _log.warning("books_not_compared", account=desk.account, detail=detail)
        if now < self._failing_since + _LONGEST_FAILURE:
            return
        cause = Cause(_ACTOR, correlation.new())
        text = f"not compared since {self._failing_since:%Y-%m-%d %H:%M:%S} UTC: {detail}"

        def unit(connection: Connection) -> None:
            outcome = ComparisonOutcome.NOT_READ.value
            book_differences.put_state(connection, desk, outcome=outcome, detail=detail)
            alerts.open_alert(connection, desk, AlertKind.BOOK_NOT_COMPARED, desk.account, cause, text)

        desk.writer.run(unit)
