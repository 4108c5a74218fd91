"""Metrics of the server's state, computed at each scrape from health, the store and the engine's heartbeat.

They need no running engine. A part that fails is logged and left out; the other metrics are still shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, bindparam, func, select, text, union

from algosat.clock import Clock
from algosat.domain.calendar import EXCHANGE_TIME, Calendar, moment
from algosat.domain.decimals import ZERO
from algosat.domain.market_phases import Phase
from algosat.domain.scope import ACCOUNT, IN_HALTS
from algosat.errors import CalendarUnknown
from algosat.host.history import History
from algosat.host.sampler import Sampler, silence
from algosat.host.trends import Leak, LeakWatch
from algosat.monitoring import metrics
from algosat.monitoring.health import Health
from algosat.monitoring.metrics import StateSample
from algosat.store import heartbeats
from algosat.store.database import Database
from algosat.store.prepared import Prepared
from algosat.store.tables import WORKING_STATUS, instruments, orders, positions, quotes
from algosat.trading import account_book, alerts, daily_pnl, halts
from algosat.trading.desk import Desk, Desks
from algosat.trading.order_backlog import OrderBacklog, order_backlogs

Samples = Iterator[StateSample]

_HELD = Prepared(select(func.count()).select_from(positions).where(positions.c.quantity != ZERO))
_IN_USE = union(
    select(positions.c.symbol).where(
        positions.c.account == bindparam("account"), positions.c.quantity != ZERO
    ),
    select(orders.c.symbol).where(orders.c.account == bindparam("account"), text(WORKING_STATUS)),
)
_NEWEST_QUOTES = Prepared(
    select(instruments.c.segment, instruments.c.has_derivatives, func.max(quotes.c.at).label("at"))
    .outerjoin(quotes, (quotes.c.venue == instruments.c.venue) & (quotes.c.symbol == instruments.c.symbol))
    .where(instruments.c.venue == bindparam("venue"), instruments.c.symbol.in_(_IN_USE))
    .group_by(instruments.c.segment, instruments.c.has_derivatives)
)
_POSTGRESQL_BYTES: Final = text("SELECT pg_database_size(current_database())")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StateMetrics(Collector):
    """The state of this server as metrics."""

    health: Health
    database: Database
    desks: Desks
    sampler: Sampler
    clock: Clock
    key_due_at: Callable[[Connection], datetime | None]
    _leaks: LeakWatch = field(default_factory=LeakWatch)

    def collect(self) -> Iterator[Metric]:
        return metrics.families(list(self._samples()))

    def _samples(self) -> Samples:
        findings = self.health.report().findings
        for name, finding in findings.items():
            yield metrics.COMPONENT_OK.at(finding.ok, name)
        yield metrics.CLOCK_OFFSET.at(self.sampler.clock_offset)
        history = self.sampler.history()
        if silence(history) is None:
            yield from _of_processes(history)
            yield from _of_leaks(self._leaks.find(history))
        # A statement to a server that does not answer would wait for its time-out, one after another.
        if self.database.is_sqlite or findings["database"].ok:
            yield from self._of_store()

    def _of_store(self) -> Samples:
        now = self.clock()
        parts: list[Callable[[Connection], Samples]] = [
            partial(_of_engine, now=now),
            partial(_of_orders, accounts=[desk.account for desk in self.desks], now=now),
            _of_positions,
            _of_halts,
            _of_alerts,
            partial(_of_files, database=self.database, now=now),
            self._of_key,
            *(partial(part, desk=desk, now=now) for desk in self.desks for part in _OF_DESK),
        ]
        for part in parts:
            yield from self._attempt(part)

    def _of_key(self, connection: Connection) -> Samples:
        due_at = self.key_due_at(connection)
        if due_at is not None:
            yield metrics.KEY_DUE.at(due_at.timestamp())

    def _attempt(self, part: Callable[[Connection], Samples]) -> list[StateSample]:
        """Return the samples of a part, or none if it fails. Each part reads in its own transaction."""
        try:
            with self.database.read() as connection:
                return list(part(connection))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one part, the others are shown
            _log.warning("metrics_incomplete", error=type(error).__name__, exc_info=error)
            return []


def _of_processes(history: History) -> Samples:
    """Yield the last figures of Algosat's processes; those of the same name are added up."""
    processes = history.latest.processes if history.latest is not None else ()
    for name in sorted({process.name for process in processes}):
        same = [process for process in processes if process.name == name]
        yield metrics.PROCESS_BYTES.at(sum(each.resident_bytes for each in same), name)
        yield metrics.PROCESS_FDS.at(sum(each.open_fds for each in same), name)
        yield metrics.PROCESS_THREADS.at(sum(each.threads for each in same), name)
        yield metrics.PROCESS_CPU.at(sum(each.cpu_seconds for each in same), name)


def _of_leaks(leaks: list[Leak]) -> Samples:
    """Yield the growth of what leaks; of several processes of one name, that of the fastest."""
    fastest: dict[tuple[str, str], float] = {}
    for leak in leaks:
        key = (leak.process.name, leak.quantity)
        fastest[key] = max(leak.per_minute, fastest.get(key, 0.0))
    for key, per_minute in fastest.items():
        yield metrics.PROCESS_LEAK.at(per_minute, *key)


def _of_engine(connection: Connection, now: datetime) -> Samples:
    """Yield what the engine has reported in its heartbeat."""
    found = heartbeats.read(connection, heartbeats.ENGINE)
    if found is None:
        return
    age = found.silence(now)
    yield metrics.HEARTBEAT_AGE.at(age.total_seconds())
    for account, state in found.accounts().items():
        yield from _of_lane(account, state, now)
        if age <= heartbeats.SILENT_AFTER:
            yield from _of_broker(account, state)


def _of_lane(account: str, state: dict[str, Any], now: datetime) -> Samples:
    """Yield the ages of what one account's lane has done last. They grow while the engine is away."""
    for duty, at in (state.get("rounds") or {}).items():
        yield metrics.ROUND_AGE.at(_age(at, now), account, duty)
    if (read_at := state.get("book_read_at")) is not None:
        yield metrics.BOOK_READ_AGE.at(_age(read_at, now), account)
    if (expires_at := (state.get("broker") or {}).get("expires_at")) is not None:
        yield metrics.SESSION_EXPIRES.at(datetime.fromisoformat(expires_at).timestamp(), account)


def _of_broker(account: str, state: dict[str, Any]) -> Samples:
    """Yield what is known of a broker only while the engine runs."""
    for feed, feed_state in ((state.get("broker") or {}).get("feeds") or {}).items():
        yield metrics.FEED_UP.at(feed_state == "up", account, feed)
    for operation, circuit in (state.get("breakers") or {}).items():
        yield metrics.BREAKER_OPEN.at(circuit != "closed", account, operation)
    for window, left in ((state.get("budget") or {}).get("left") or {}).items():
        yield metrics.CALLS_LEFT.at(left, account, window)


def _of_orders(connection: Connection, accounts: list[str], now: datetime) -> Samples:
    found = order_backlogs(connection, now)
    for account in accounts:
        backlog = found.get(account, OrderBacklog())
        yield metrics.ORDERS_WORKING.at(backlog.working, account)
        yield metrics.ORDERS_UNKNOWN.at(backlog.unknown, account)
        yield metrics.ORDERS_HELD_BACK.at(backlog.held_back, account)
        yield metrics.ORDER_UNSENT_AGE.at(_seconds(now - (backlog.unsent_since or now)), account)


def _of_positions(connection: Connection) -> Samples:
    yield metrics.POSITIONS.at(_HELD.scalar(connection))


def _of_halts(connection: Connection) -> Samples:
    scopes = {halt.scope.name(IN_HALTS) for halt in halts.all_in_force(connection)}
    yield metrics.HALTED.at(IN_HALTS in scopes, IN_HALTS)
    for scope in sorted(scopes - {IN_HALTS}):
        yield metrics.HALTED.at(1, scope)


def _of_alerts(connection: Connection) -> Samples:
    for kind, number in alerts.numbers_open(connection).items():
        yield metrics.ALERTS.at(number, kind.value, kind.severity.value)


def _of_account(connection: Connection, desk: Desk, now: datetime) -> Samples:
    book = account_book.read_book(connection, desk.account, desk.venue)
    labels = (desk.account, desk.currency)
    yield metrics.EXPOSURE.at(float(sum(line.exposure for line in book.exposures)), *labels)
    pnl = daily_pnl.daily_pnl(connection, desk, ACCOUNT, desk.books.trading_day(now), book)
    yield metrics.PNL_DAY.at(float(pnl), *labels)


def _of_market(connection: Connection, desk: Desk, now: datetime) -> Samples:  # noqa: ARG001
    with suppress(CalendarUnknown):  # an alert is open
        yield metrics.MARKET_OPEN.at(desk.calendar.is_open(now), desk.account)


def _of_prices(connection: Connection, desk: Desk, now: datetime) -> Samples:
    rows = _NEWEST_QUOTES.all(connection, account=desk.account, venue=desk.venue)
    since = [_expected_since(desk.calendar, row, now) for row in rows]
    ages = [_seconds(now - at) for at in since if at is not None]
    if ages:
        yield metrics.QUOTE_AGE.at(max(ages), desk.account)


_OF_DESK: Final = (_of_account, _of_market, _of_prices)


def _expected_since(calendar: Calendar, row: Any, now: datetime) -> datetime | None:
    """Return since when a newer quote of a market could have come; None while the market is closed."""
    try:
        if calendar.phase(row.segment, row.has_derivatives, now) is not Phase.CONTINUOUS:
            return None
        window = calendar.window(row.segment, row.has_derivatives, now)
    except CalendarUnknown:
        return None
    opened = None if window is None else moment(now.astimezone(EXCHANGE_TIME).date(), window.start)
    return max((at for at in (opened, row.at) if at is not None), default=None)


def _of_files(connection: Connection, database: Database, now: datetime) -> Samples:
    """Yield sizes of the store, and the time since its last commit by any process."""
    if database.path is None:
        yield metrics.STORE_BYTES.at(connection.execute(_POSTGRESQL_BYTES).scalar_one())
        beats = heartbeats.last_of_all(connection)
        if beats is not None:
            yield metrics.STORE_WRITE_AGE.at(_seconds(now - beats))
        return
    size, changed_at = _file(database.path)
    wal_size, wal_changed_at = _file(database.path.with_name(f"{database.path.name}-wal"))
    yield metrics.STORE_BYTES.at(size)
    yield metrics.STORE_WAL_BYTES.at(wal_size)
    yield metrics.STORE_WRITE_AGE.at(abs(now.timestamp() - max(changed_at, wal_changed_at)))


def _file(path: Path) -> tuple[int, float]:
    """Return size and time of the last change of a file; zeros if it is missing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0.0
    return found.st_size, found.st_mtime


def _age(at: str, now: datetime) -> float:
    return _seconds(now - datetime.fromisoformat(at))


def _seconds(age: timedelta) -> float:
    """Return an age in seconds. What is dated ahead, from before the clock was put back, counts as old."""
    return abs(age.total_seconds())
