"""Periodic duties: linked exits, and each second loss checks, cancels, closing positions and expiry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection

from algosat.clock import has_come
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import Order
from algosat.domain.reduce_only import is_exit, oversized
from algosat.engine import auto_close, expiry
from algosat.engine.daily_loss import DailyLossWatch
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.report_processor import ReportProcessor
from algosat.errors import CalendarUnknown
from algosat.monitoring import correlation
from algosat.store import queries, retention
from algosat.store.audit import Cause
from algosat.store.disk_reserve import DiskReserve
from algosat.trading import alerts, cancel, exit_alerts, halt_cancels
from algosat.trading.advance_exits import advance_exits
from algosat.trading.desk import Desk
from algosat.trading.gtt import trigger_gtts

_ACTOR: Final = "clock"
_EVERY: Final = timedelta(seconds=1)
_EXITS_EVERY: Final = timedelta(milliseconds=200)  # quotes are written every 500 ms
_CLOSE_EVERY: Final = timedelta(seconds=5)
_SWEEP_EVERY: Final = timedelta(hours=1)
_SWEEP_AGAIN_AFTER: Final = timedelta(seconds=1)  # a sweep deletes one batch; more may be left

_CALENDAR: Final = "calendar"  # subject of the alerts about its end
_CALENDAR_ALERTS: Final = (AlertKind.CALENDAR_ENDING, AlertKind.CALENDAR_ENDED)
_STORE: Final = "store"  # subject of the alerts about its space
_STORE_ALERTS: Final = (AlertKind.STORE_FULL, AlertKind.STORE_PINNED)

Duty = Callable[[Desk], None]

_log = structlog.get_logger(__name__)


class PeriodicDuties:
    def __init__(self, desk: Desk, broker: GuardedBroker, report_processor: ReportProcessor) -> None:
        self._desk, self._broker, self._report_processor = desk, broker, report_processor
        self._next = self._next_close = self._next_exits = desk.clock()
        self.daily_loss = DailyLossWatch()

    def step(self, book_read_at: datetime | None) -> None:
        """Do the duties that are due.

        `book_read_at` is when the last complete reading of the broker's order book began.
        """
        now = self._desk.clock()
        if has_come(self._next_exits, now, within=_EXITS_EVERY):
            self._next_exits = now + _EXITS_EVERY
            advance_exits(self._desk)
            trigger_gtts(self._desk)
        if not has_come(self._next, now, within=_EVERY):
            return
        self._next = now + _EVERY
        errors = [error for duty in self._due(now, book_read_at) if (error := self._do(duty)) is not None]
        if errors:  # the gate denies new orders for this too, and health reports it
            _log.error("calendar_unknown", detail=errors[0].detail)

    def _due(self, now: datetime, book_read_at: datetime | None) -> Iterator[Duty]:
        closes = has_come(self._next_close, now, within=_CLOSE_EVERY)
        if closes and book_read_at is not None:
            # First: a position in a contract that is no longer listed has no price until it is settled.
            yield lambda desk: expiry.settle_expired(desk, self._broker, book_read_at)
        yield self.daily_loss.check
        yield cancel_oversized
        if closes:
            self._next_close = now + _CLOSE_EVERY
            yield halt_cancels.cancel_halted
            yield lambda desk: exit_alerts.close_settled(desk, Cause(_ACTOR, correlation.new()))
            yield auto_close.flatten_halted
            yield auto_close.square_off
            yield auto_close.close_near_delivery
            if book_read_at is not None:
                yield lambda desk: expiry.expire(desk, self._broker, self._report_processor, book_read_at)
            yield watch_calendar
            yield watch_store
        yield auto_close.follow_closes

    def _do(self, duty: Duty) -> CalendarUnknown | None:
        """Do one duty. A date past the calendar's end stops only the duties that need the calendar."""
        try:
            duty(self._desk)
        except CalendarUnknown as error:
            return error
        return None


def cancel_oversized(desk: Desk) -> None:
    """Cancel reduce-only orders that are larger than what is left of their position."""
    cause = Cause(_ACTOR, correlation.new())
    # The linked exit continues: its next stop has the quantity that is left of the position.
    cancel.cancel_found(desk, cause, lambda connection: _oversized(connection, desk), keeps_link=True)


def watch_calendar(desk: Desk) -> None:
    """Alert while the calendar ends soon or has ended, and close the alert when it is extended."""
    _renew_alerts(desk, _CALENDAR, _CALENDAR_ALERTS, _calendar_alerts(desk))


def watch_store(desk: Desk) -> None:
    """Alert while the disk reserve is in use or a reader makes the store grow; allocate the reserve again."""
    reserve = desk.database.reserve
    if reserve is None or not desk.is_first:  # the store is that of all accounts
        return
    if reserve.is_released:
        with suppress(OSError):
            reserve.allocate()
    _renew_alerts(desk, _STORE, _STORE_ALERTS, _store_alerts(reserve))


def _store_alerts(reserve: DiskReserve) -> dict[AlertKind, str]:
    """Return the alerts about the space of the store that are due now, with their details."""
    due = {}
    if reserve.is_released:
        due[AlertKind.STORE_FULL] = "the disk was full; entries are refused until space is free again"
    if reserve.is_wal_pinned:
        readers = ", ".join(reserve.readers()) or "no program that this engine can see"
        due[AlertKind.STORE_PINNED] = f"read transactions are open in: {readers}"
    return due


def _renew_alerts(
    desk: Desk, subject: str, kinds: Sequence[AlertKind], wanted: Mapping[AlertKind, str]
) -> None:
    """Open the wanted alerts about a subject, and close the others of these kinds."""
    with desk.database.read() as connection:
        details = {kind: alerts.open_detail(connection, desk, kind, subject) for kind in kinds}
    known = {kind: detail for kind, detail in details.items() if detail is not None}
    cause = Cause(_ACTOR, correlation.new())

    def unit(connection: Connection) -> None:
        for kind in known.keys() - wanted.keys():
            alerts.close_alert(connection, desk, kind, subject, cause)
        for kind, detail in wanted.items():
            alerts.open_alert(connection, desk, kind, subject, cause, detail)

    if known != wanted:
        desk.writer.run(unit)


def _calendar_alerts(desk: Desk) -> dict[AlertKind, str]:
    """Return the alert about the calendar that is due now, with its detail; empty if none is due."""
    left, warning = desk.calendar.days_left(desk.clock()), desk.calendar.warning(desk.clock())
    if left is None or warning is None:
        return {}
    return {AlertKind.CALENDAR_ENDED if left < 0 else AlertKind.CALENDAR_ENDING: warning}


def _oversized(connection: Connection, desk: Desk) -> list[Order]:
    exits = [order for order in queries.working_reduce_only(connection, desk.account) if is_exit(order)]
    if not exits:
        return []
    return list(oversized(exits, queries.open_positions(connection, desk.account)))


class Sweeper:
    """Deletes rows that are past their retention, in batches small enough not to delay orders."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._next = desk.clock()

    def step(self) -> None:
        """Delete a batch if it is due."""
        now = self._desk.clock()
        if not has_come(self._next, now, within=_SWEEP_EVERY):
            return
        removed = self._desk.writer.run(lambda connection: retention.sweep(connection, now))
        self._next = now + (_SWEEP_AGAIN_AFTER if removed else _SWEEP_EVERY)
        if removed:
            _log.info("swept", rows=removed)
