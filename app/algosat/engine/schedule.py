"""Periodic duties: linked exits, loss checks, cancels, closing positions, expiry, and deleting old rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection

from algosat.clock import Clock, has_come
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import Order
from algosat.domain.reduce_only import is_exit, oversized
from algosat.engine import expiry
from algosat.engine.daily_loss import DailyLossWatch
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.report_processor import ReportProcessor
from algosat.errors import CalendarUnknown
from algosat.monitoring import correlation
from algosat.security import encryption_keys
from algosat.store import queries, retention
from algosat.store.audit import Cause
from algosat.store.disk_reserve import DiskReserve
from algosat.store.leader_lock import NotLeading
from algosat.trading import alerts, auto_close, cancel, conversion_records, exit_alerts, halt_cancels
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
_KEY: Final = "encryption"  # subject of the alert about its key
_STORE: Final = "store"  # subject of the alerts about its space
_STORE_ALERTS: Final = (AlertKind.STORE_FULL, AlertKind.STORE_PINNED)

Duty = Callable[[Desk], None]

_log = structlog.get_logger(__name__)


class PeriodicDuties:
    """The duties of one account, in groups. Each group has a thread of its own, so that none delays another.

    Each method does what is due of its group. A duty that fails does not keep the others from being done; the
    method then raises the errors of all.
    """

    def __init__(
        self,
        desk: Desk,
        broker: GuardedBroker,
        report_processor: ReportProcessor,
        book_read_at: Callable[[], datetime | None],
        watch_key: Duty,
    ) -> None:
        """Build the duties.

        `book_read_at` returns when the last complete reading of the broker's order book began. `watch_key`
        alerts while the encryption key is due for rotation.
        """
        self._watch_key = watch_key
        self._desk, self._broker, self._report_processor = desk, broker, report_processor
        self._book_read_at = book_read_at
        self._next_exits, self._next_losses = _Timer(desk.clock, _EXITS_EVERY), _Timer(desk.clock, _EVERY)
        self._next_closing, self._next_halts = _Timer(desk.clock, _EVERY), _Timer(desk.clock, _CLOSE_EVERY)
        self._next_expiry, self._next_alerts = (_Timer(desk.clock, _CLOSE_EVERY) for _ in range(2))
        self._next_settlement = _Timer(desk.clock, _CLOSE_EVERY)
        self.daily_loss = DailyLossWatch()

    def advance_exits(self) -> None:
        """Advance linked exits, and trigger GTT orders."""
        if self._next_exits.has_come():
            self._do_all(advance_exits, trigger_gtts)

    def watch_losses(self) -> None:
        """Compare the P&L of the day with the loss limits and P&L exits."""
        if self._next_losses.has_come():
            self._do_all(self.daily_loss.check)

    def close(self) -> None:
        """Take the next steps of cancels and closes: those asked for, those of halts, and the square-off."""
        if not self._next_closing.has_come():
            return
        duties: list[Duty] = [cancel_oversized]
        if self._next_halts.has_come():
            duties += [
                halt_cancels.cancel_halted,
                lambda desk: exit_alerts.close_settled(desk, Cause(_ACTOR, correlation.new())),
                auto_close.flatten_halted,
                auto_close.square_off,
                auto_close.close_near_delivery,
            ]
        self._do_all(*duties, auto_close.follow_closes)

    def settle(self) -> None:
        """Settle expired contracts, once the broker's order book has been read."""
        read_at = self._book_read_at()
        if read_at is not None and self._next_settlement.has_come():
            self._do_all(lambda desk: expiry.settle_expired(desk, self._broker, read_at))

    def expire(self) -> None:
        """Expire day orders, once the broker's order book has been read."""
        read_at = self._book_read_at()
        if read_at is not None and self._next_expiry.has_come():
            self._do_all(lambda desk: expiry.expire(desk, self._broker, self._report_processor, read_at))

    def renew_alerts(self) -> None:
        """Alert while the calendar ends soon or has ended, the store has no space, or a key is due."""
        if self._next_alerts.has_come():
            self._do_all(watch_calendar, watch_store, self._watch_key)

    def _do_all(self, *duties: Duty) -> None:
        """Do each duty. A date past the calendar's end stops only the duties that need the calendar."""
        errors: list[Exception] = []
        for duty in duties:
            try:
                duty(self._desk)
            except CalendarUnknown as error:  # the gate denies new orders for this too, and health reports it
                _log.error("calendar_unknown", detail=error.detail)
            except NotLeading:
                raise
            except Exception as error:  # noqa: BLE001 - raised below, after the other duties
                errors.append(error)
        if errors:
            raise ExceptionGroup("duties failed", errors)


class _Timer:
    """Says when the next round is due. Setting the clock back makes it due."""

    def __init__(self, clock: Clock, every: timedelta) -> None:
        self._clock, self._every = clock, every
        self._next = clock()

    def has_come(self) -> bool:
        """Return whether the round is due, and set the time of the next one."""
        now = self._clock()
        if not has_come(self._next, now, within=self._every):
            return False
        self._next = now + self._every
        return True


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


def watch_key(desk: Desk, fingerprint: str, rotation_days: int) -> None:
    """Alert while the key that encrypts is due for rotation. Its age counts from the first use."""
    if not desk.is_first:  # the keys are those of all accounts
        return
    now = desk.clock()
    with desk.database.read() as connection:
        due_at = encryption_keys.due_at(connection, fingerprint, rotation_days)
    if due_at is None:
        desk.writer.run(lambda connection: encryption_keys.note(connection, fingerprint, now))
    is_due = due_at is not None and now >= due_at
    detail = f"the key {fingerprint} is in use for more than {rotation_days} days; run rotate_secrets.yml"
    wanted = {AlertKind.ENCRYPTION_KEY_DUE: detail} if is_due else {}
    _renew_alerts(desk, _KEY, (AlertKind.ENCRYPTION_KEY_DUE,), wanted)


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
    held = queries.open_positions(connection, desk.account)
    return list(oversized(exits, conversion_records.left_to_exit(connection, desk.account, held)))


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
