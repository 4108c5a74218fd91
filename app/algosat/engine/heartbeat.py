"""The engine's heartbeat: its row in the store, written about every second, and the state of each account."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, func, select, text, union

from algosat.brokers.base import BrokerSession
from algosat.clock import Clock, ClockWatch, has_come
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.instruments import Instrument
from algosat.domain.orders import Status
from algosat.engine.assembly import Components
from algosat.engine.router import Fence
from algosat.errors import CalendarUnknown, StoreFull, StoreReadOnly
from algosat.monitoring import correlation
from algosat.store import heartbeats, queries
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.tables import CREATED_STATUS, WORKING_STATUS, orders, positions
from algosat.trading import alerts
from algosat.trading.desk import Desk

_ACTOR: Final = "engine"
_WRITE_EVERY: Final = timedelta(seconds=1)
_CLOCK: Final = "clock"  # subject of the alert about it
_CLOCK_SET: Final = 1.0  # seconds; a clock that is slewed gains or loses half a millisecond a second
_BUSY_ACCOUNTS: Final = union(
    select(positions.c.account).where(positions.c.quantity != 0),
    select(orders.c.account).where(text(WORKING_STATUS)),
)
_OF_ACCOUNT: Final = orders.c.account == bindparam("account")
# Later slices wait for their turn, and after-market orders until their market has a price.
_UNSENT: Final = and_(
    text(CREATED_STATUS), _OF_ACCOUNT, orders.c.slice_of.is_(None), orders.c.send_at.is_(None)
)
_COUNTS: Final = Prepared(
    select(
        select(func.count()).where(_OF_ACCOUNT, text(WORKING_STATUS)).scalar_subquery().label("working"),
        select(func.count())
        .where(_OF_ACCOUNT, orders.c.status == Status.UNKNOWN.value)
        .scalar_subquery()
        .label("unknown"),
        select(func.count())
        .where(positions.c.account == bindparam("account"), positions.c.quantity != 0)
        .scalar_subquery()
        .label("positions"),
        select(func.min(orders.c.created_at)).where(_UNSENT).scalar_subquery().label("oldest_unsent_at"),
    )
)
_RESTART: Final = timedelta(minutes=2)  # a shorter absence is not reported


def unchecked(_connection: Connection) -> None:
    """Accept every owner, on a machine without an id."""


class Rounds:
    """The rounds of a lane's duties: when each last ended, and which of them hang."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._completed: dict[str, datetime] = {}
        self._signs: dict[str, tuple[float, int]] = {}  # last begin or end, by the monotonic clock; thread

    def begin(self, duty: str) -> None:
        """Note that the caller's thread begins a round. The first round counts from here."""
        self._signs[duty] = (time.monotonic(), threading.get_ident())
        self._completed.setdefault(duty, self._clock())

    def end(self, duty: str, *, completed: bool) -> None:
        """Note the end of a round. One that failed is not completed."""
        self._signs[duty] = (time.monotonic(), threading.get_ident())
        if completed:
            self._completed[duty] = self._clock()

    def completed(self) -> dict[str, datetime]:
        """Return when the last completed round of each duty ended."""
        return dict(self._completed)

    def hung(self, seconds: float, is_excused: Callable[[int], bool]) -> list[str]:
        """Return the duties that have neither begun nor ended a round for so long.

        `is_excused` says of a thread that another duty of the engine's process cannot help it.
        """
        now = time.monotonic()
        return [
            duty
            for duty, (at, thread) in dict(self._signs).items()
            if now - at > seconds and not is_excused(thread)
        ]


class AccountHeartbeat:
    """The state of one account's lane. One of the lane's threads asks for the broker's session."""

    def __init__(self, components: Components) -> None:
        self._components, self._desk = components, components.desk
        self.account = components.desk.account
        self.rounds = Rounds(components.desk.clock)
        self._next_look = self._desk.clock()
        self._looked_at = self._desk.clock()
        self._session: BrokerSession | None = None
        self._unavailable_since: datetime | None = None  # since when the broker takes no orders

    def step(self) -> None:
        """Ask for the broker's session if that is due."""
        now = self._desk.clock()
        if has_come(self._next_look, now, within=_WRITE_EVERY):
            self._next_look = now + _WRITE_EVERY
            self.look()

    def look(self) -> None:
        """Ask for the broker's session, which may hang in the adapter."""
        self._session = self._components.guarded_broker.session()
        is_available = self._session.active and self._components.reconciler.read_at is not None
        self._unavailable_since = None if is_available else self._unavailable_since or self._desk.clock()
        self._looked_at = self._desk.clock()

    def data(self, connection: Connection) -> dict[str, Any]:
        """Return the state of the account."""
        components, reconciler, now = self._components, self._components.reconciler, self._desk.clock()
        counts = _COUNTS.first(connection, account=self.account)
        paused_until = components.budget.paused_until(now)
        is_silent = abs(now - self._looked_at) > heartbeats.SILENT_AFTER
        unavailable_since = self._unavailable_since or (self._looked_at if is_silent else None)
        return {
            "broker": self._broker_data(now),
            "unavailable_since": _text(unavailable_since),
            "book_read_at": reconciler.read_at.isoformat() if reconciler.read_at else None,
            "unknown": counts.unknown,
            "working": counts.working,
            "positions": counts.positions,
            "unpriced": components.duties.daily_loss.unpriced,
            "oldest_unsent_at": _text(counts.oldest_unsent_at),
            "rounds": {duty: at.isoformat() for duty, at in self.rounds.completed().items()},
            "breakers": {
                operation.value: state.value
                for operation, state in components.guarded_broker.circuits().items()
            },
            "budget": {"left": components.budget.left(now), "paused_until": _text(paused_until)},
        }

    def _broker_data(self, now: datetime) -> dict[str, Any]:
        """Return the state of the broker, which is not active while its session does not answer."""
        session, silence = self._session, abs(now - self._looked_at)
        known = {"name": self._components.guarded_broker.name, "account": self.account}
        if session is None or silence > heartbeats.SILENT_AFTER:
            why = "it has not started" if session is None else "its session has not answered"
            detail = f"{why} for {silence.total_seconds():.0f} s: read the engine's log"
            return {**known, "expires_at": None, "active": False, "detail": detail}
        return {
            **known,
            "active": session.active,
            "detail": session.detail,
            "expires_at": _text(session.expires_at),
            "feeds": self._components.feeds.states(),
        }

    def write_calls(self, connection: Connection) -> None:
        """Write the numbers of calls that the broker has counted."""
        self._components.write_calls(connection)


class EngineHeartbeat:
    """The engine's row: the process, the state of its first account, and that of each account."""

    def __init__(
        self,
        first: Components,
        accounts: Sequence[AccountHeartbeat],
        require_owner: Fence = unchecked,
        clock_watch: ClockWatch | None = None,
    ) -> None:
        """Build the heartbeat.

        Args:
            require_owner: Raises NotLeading when the store no longer belongs to this machine.
            clock_watch: Notices that the machine's clock was set; None: one of this machine.
        """
        self._clock_watch = clock_watch or ClockWatch()
        self._clock_alerted = 0.0  # the setting of the clock that the last alert was about
        self._desk, self._fence, self._accounts = first.desk, first.fence, accounts
        self._require_owner = require_owner
        self._started = first.desk.clock()
        self._version = version("algosat")  # read once: the files may be replaced while the engine runs
        self._next_write = first.desk.clock()
        self._answered_at = first.desk.clock()

    def step(self) -> None:
        """Write the heartbeat if it is due."""
        now = self._desk.clock()
        if has_come(self._next_write, now, within=_WRITE_EVERY):
            self._next_write = now + _WRITE_EVERY
            self.write()

    def silence(self) -> timedelta:
        """Return the time since the store last took a write, or refused it for want of space or permission.

        A restart would help against neither, and would end the emergency cancels.
        """
        return self._desk.clock() - self._answered_at

    def write(self, *, leading: bool = True) -> None:
        """Write the heartbeat, which health checks and operators read.

        Raises NotLeading when another engine leads, so that an engine without orders to send notices it too,
        and when the store has been adopted for another machine.
        """
        with self._desk.database.read() as connection:
            data = self._data(connection, leading=leading)

        clock_set = self._clock_watch.offset()
        if is_set := abs(clock_set) >= _CLOCK_SET:
            data["clock_set"] = round(clock_set, 1)
        is_new = is_set and abs(clock_set - self._clock_alerted) >= _CLOCK_SET

        def unit(connection: Connection) -> None:
            self._fence(connection)
            self._require_owner(connection)
            if is_new:
                _alert_of_clock(connection, self._desk, clock_set)
            heartbeats.write(connection, heartbeats.ENGINE, self._desk.clock(), data)
            for account in self._accounts:
                account.write_calls(connection)

        try:
            self._desk.writer.run(unit, durable=False)
        except (StoreFull, StoreReadOnly):
            self._answered_at = self._desk.clock()
            raise
        self._answered_at = self._desk.clock()
        self._clock_alerted = clock_set if is_set else 0.0

    def _data(self, connection: Connection, *, leading: bool) -> dict[str, Any]:
        accounts = {each.account: each.data(connection) for each in self._accounts}
        return {
            "pid": os.getpid(),
            "version": self._version,
            "leading": leading,
            "started_at": self._started.isoformat(),
            **accounts[self._accounts[0].account],
            "accounts": accounts,
        }


class WaitingHeartbeat:
    """The engine's row while the store belongs to another machine: the process lives and does not lead."""

    def __init__(self, desks: Sequence[Desk]) -> None:
        self._desk, self._desks = desks[0], desks
        self._version = version("algosat")
        self._started = self._desk.clock()
        with self._desk.database.read() as connection:
            last = heartbeats.read(connection, heartbeats.ENGINE)
        self._led_until = None if last is None else last.led_until.isoformat()

    def write(self) -> None:
        """Write the row, unless the owner's engine leads, as it may on PostgreSQL."""
        now = self._desk.clock()

        def unit(connection: Connection) -> None:
            last = heartbeats.read(connection, heartbeats.ENGINE)
            if last is not None and last.leads(now):
                self._led_until = last.at.isoformat()
                return
            heartbeats.write(connection, heartbeats.ENGINE, now, self._data())

        self._desk.writer.run(unit, durable=False)

    def _data(self) -> dict[str, Any]:
        detail = "not connected: the store belongs to another machine"
        accounts = {
            each.account: {
                "broker": {"name": each.venue, "account": each.account, "active": False, "detail": detail}
            }
            for each in self._desks
        }
        return {
            "pid": os.getpid(),
            "version": self._version,
            "leading": False,
            "started_at": self._started.isoformat(),
            "led_until": self._led_until,
            heartbeats.OTHER_MACHINE: True,
            **accounts[self._desk.account],
            "accounts": accounts,
        }


def _alert_of_clock(connection: Connection, desk: Desk, seconds: float) -> None:
    direction = "back" if seconds < 0 else "forward"
    detail = f"the clock was set {direction} by {abs(seconds):.1f} s, to {desk.clock():%Y-%m-%d %H:%M:%S} UTC"
    cause = Cause(_ACTOR, correlation.new())
    alerts.open_alert(connection, desk, AlertKind.CLOCK_SET, _CLOCK, cause, detail)


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def alert_of_absence(desk: Desk) -> None:
    """Open an alert if no engine ran during trading hours and there are positions or working orders.

    Some things cannot be caught up on, such as a loss limit that was passed, or a price at which the engine
    would have acted. Without the alert the operator would not know.
    """
    now = desk.clock()
    with desk.database.read() as connection:
        last = heartbeats.read(connection, heartbeats.ENGINE)
        symbols = {position.symbol for position in queries.open_positions(connection, desk.account)}
        symbols |= {order.terms.symbol for order in queries.working(connection, desk.account)}
        instruments = [queries.instrument(connection, desk.venue, symbol) for symbol in sorted(symbols)]
    if last is None or not any(_traded(desk, each, last.led_until, now) for each in instruments if each):
        return
    detail = (
        f"no engine ran between {last.led_until:%Y-%m-%d %H:%M} and {now:%Y-%m-%d %H:%M} UTC, while the "
        "market of open positions or working orders traded. Loss limits were not watched in that time"
    )
    desk.writer.run(
        lambda connection: alerts.open_alert(
            connection,
            desk,
            AlertKind.ENGINE_AWAY,
            heartbeats.ENGINE,
            Cause(_ACTOR, correlation.new()),
            detail,
        )
    )


def alert_of_missing_accounts(desks: Sequence[Desk]) -> None:
    """Open an alert for each account with positions or orders that the settings no longer name."""
    desk, configured = desks[0], {each.account for each in desks}
    kind, cause = AlertKind.ACCOUNT_NOT_CONFIGURED, Cause(_ACTOR, correlation.new())
    with desk.database.read() as connection:
        missing = set(connection.execute(_BUSY_ACCOUNTS).scalars()) - configured
        alerted = alerts.open_subjects(connection, desk, kind)

    def unit(connection: Connection) -> None:
        for account in sorted(missing - alerted):
            detail = (
                f"account {account} has open positions or working orders, but the settings name only "
                f"{', '.join(sorted(configured))}: nothing sends or watches its orders"
            )
            alerts.open_alert(connection, desk, kind, account, cause, detail)
        for account in sorted(alerted - missing):
            alerts.close_alert(connection, desk, kind, account, cause)

    if missing != alerted:
        desk.writer.run(unit)


def _traded(desk: Desk, instrument: Instrument, since: datetime, until: datetime) -> bool:
    """Return whether the market of an instrument was open for longer than a restart takes."""
    where = (instrument.segment, instrument.has_derivatives)
    try:
        opens = desk.calendar.next_open(*where, since)
        closes = desk.calendar.closes_at(*where, opens) or until
    except CalendarUnknown:
        return False
    if closes >= until or closes - opens > _RESTART:
        return min(closes, until) - opens > _RESTART
    return _traded(desk, instrument, closes, until)
