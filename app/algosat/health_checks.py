"""The health checks of all components."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from algosat.clock import Clock
from algosat.config.live import LiveSettings
from algosat.config.loader import load
from algosat.config.reload import difference
from algosat.config.settings import EngineSettings
from algosat.errors import ConfigurationError, StoreBusy
from algosat.host import advisor, sampler
from algosat.host.history import History
from algosat.host.probe import in_container
from algosat.monitoring.health import Check, Finding
from algosat.monitoring.textfiles import DIRECTORY, Textfiles
from algosat.security.principals import Role
from algosat.security.rate_limit import ClientLimiter
from algosat.store import heartbeats, schema_version
from algosat.store.database import Database
from algosat.store.heartbeats import Heartbeat
from algosat.store.prepared import Prepared
from algosat.store.tables import users
from algosat.store.writer import Writer
from algosat.trading.order_backlog import order_backlogs

_TIMESYNC: Final = Path("/run/systemd/timesync")  # adjtimex(2) is forbidden to the service
_UNWATCHED_AFTER: Final = timedelta(hours=1)  # failed units are counted every ten minutes
_LATE_AFTER: Final = timedelta(seconds=15)  # an idle engine's duties end several rounds in a second
_CONNECTING: Final = "broker"  # this duty fails while a broker does not start: the check `broker` says so
_AT_ONCE: Final = 1.0
_UNTOLD_AFTER: Final = timedelta(seconds=5)  # an order of unknown outcome is mostly found within two
_WRITE_SECONDS: Final = 1.0  # until the store must have taken a write; a unit of work takes milliseconds

_ADMINS = Prepared(
    select(func.count()).select_from(users).where(users.c.role == Role.ADMIN.value, ~users.c.disabled)
)


def all_checks(
    directory: Path,
    live: LiveSettings,
    database: Database,
    writer: Writer,
    limiter: ClientLimiter,
    history: Callable[[], History],
    clock: Clock,
) -> list[Check]:
    def at_once() -> float:
        return _AT_ONCE

    def now_and_then() -> float:
        return live.current.algosat.monitoring.health_check_interval

    heartbeat = _Heartbeat(database, clock, lambda: live.current.algosat.engine)
    textfiles = Textfiles(live.files.algosat.data_directory / DIRECTORY)
    return [
        Check("database", True, lambda: _database(database, writer), at_once),
        Check("security", True, lambda: _security(database), now_and_then),
        Check("config", False, lambda: _config(directory, live), now_and_then),
        Check("vps", False, lambda: _vps(live, history(), clock), at_once),
        Check("engine", True, heartbeat.engine, at_once),
        Check("machine", False, heartbeat.machine, at_once),
        Check("broker", False, heartbeat.broker, at_once),
        Check("orders", False, lambda: _orders(database, clock), at_once),
        Check("prices", False, heartbeat.prices, at_once),
        Check("clock", False, lambda: heartbeat.clock(_needs_ntp(live)), at_once),
        Check("rate_limit", False, lambda: _rate_limit(limiter), at_once),
        Check("backup", False, lambda: _backup(textfiles, clock), at_once),
        Check("drift", False, lambda: _drift(textfiles), at_once),
        Check("units", False, lambda: _units(textfiles, clock), at_once),
        Check("certificate", False, lambda: _certificate(textfiles, clock), at_once),
    ]


def _database(database: Database, writer: Writer) -> Finding:
    found = schema_version.find_versions(database)
    if found is None:
        return Finding(False, "empty: it has no schema")
    if found.is_usable:
        try:
            writer.run(heartbeats.probe, timeout=_WRITE_SECONDS, durable=False)
        except StoreBusy as error:
            return Finding(False, f"takes no writes: {error.detail}")
    return Finding(found.is_usable, f"schema version {found.head}")


def _security(database: Database) -> Finding:
    # Fails if accounts cannot be read. A fresh server has no admin: healthy, but worth showing.
    with database.read() as connection:
        return Finding(True, f"active admins: {_ADMINS.scalar(connection)}")


def _config(directory: Path, live: LiveSettings) -> Finding:
    try:
        on_disk = load(directory)
    except ConfigurationError as error:
        return Finding(False, f"the files would be refused at the next start: {len(error.errors)} problems")
    if found := difference(live.files, on_disk):
        remedies = (
            (len(found.live), "`systemctl reload algosat`"),
            (len(found.needs_restart), "a restart"),
        )
        waiting = (f"{count} need {remedy}" for count, remedy in remedies if count)
        return Finding(False, f"settings changed in the files: {', '.join(waiting)}")
    return Finding(True, f"in force, with {len(live.overrides)} overrides")


def _vps(live: LiveSettings, history: History, clock: Clock) -> Finding:
    silence = sampler.silence(history, clock().timestamp())
    if silence is not None:
        return Finding(False, f"the machine has not been read for {silence:.0f} s")
    exceeded = advisor.exceeded(history, live.current.algosat.vps)
    return Finding(not exceeded, "; ".join(exceeded) or "within its thresholds")


def _orders(database: Database, clock: Clock) -> Finding:
    """Fail while an order is unknown for longer than a broker's order book needs to tell."""
    now = clock()
    with database.read() as connection:
        backlogs = order_backlogs(connection, now).values()
    unknown, held_back = sum(each.unknown for each in backlogs), sum(each.held_back for each in backlogs)
    since = [each.unknown_since for each in backlogs if each.unknown_since is not None]
    is_untold = any(abs(now - at) > _UNTOLD_AFTER for at in since)
    return Finding(not is_untold, f"{unknown} of unknown outcome, {held_back} held back by these")


def _rate_limit(limiter: ClientLimiter) -> Finding:
    if limiter.ping():
        return Finding(True, "the configured storage is in use")
    return Finding(False, "Redis does not answer: each worker counts for itself")


def _backup(textfiles: Textfiles, clock: Clock) -> Finding:
    drilled = textfiles.values("algosat_backup_drill_success")
    if not drilled:
        return Finding(True, "no restore drill has reported yet")
    now = clock().timestamp()
    overdue = {
        place: now - due
        for place, due in textfiles.values("algosat_backup_due_timestamp_seconds").items()
        if due < now
    }
    problems = [f"{place}: its restore drill failed" for place, success in drilled.items() if not success]
    problems += [
        f"{place}: the next backup is {late / 3600:.0f} h overdue" for place, late in overdue.items()
    ]
    return Finding(not problems, "; ".join(problems) or "verified by a restore drill")


def _drift(textfiles: Textfiles) -> Finding:
    found = textfiles.values("algosat_drift_differences")
    if not found:
        return Finding(True, "not compared with the inventory yet")
    count = sum(found.values())
    if count:
        return Finding(False, f"{count:.0f} differences from the inventory: run site.yml")
    # The date, because the comparison runs on another machine and may have stopped.
    moments = textfiles.values("algosat_drift_timestamp_seconds").values()
    return Finding(
        True, "no difference" + "".join(f" on {datetime.fromtimestamp(it, UTC):%Y-%m-%d}" for it in moments)
    )


def _units(textfiles: Textfiles, clock: Clock) -> Finding:
    looked = textfiles.values("algosat_units_timestamp_seconds").values()
    if not looked:
        return Finding(True, "not counted yet")
    count = len(textfiles.values("algosat_unit_failed"))
    if count:
        return Finding(False, f"{count} units failed: systemctl --failed lists them")
    count = len(textfiles.values("algosat_unit_restarting"))
    if count:
        return Finding(False, f"{count} units keep restarting: systemctl list-units --state=auto-restart")
    silence = clock() - datetime.fromtimestamp(max(looked), UTC)
    if silence > _UNWATCHED_AFTER:
        return Finding(False, "no longer counted: systemctl status failed-units.timer")
    return Finding(True, "no failed unit")


def _certificate(textfiles: Textfiles, clock: Clock) -> Finding:
    due = textfiles.values("algosat_certificate_due_timestamp_seconds").values()
    if not due:
        return Finding(True, "not checked yet")
    late = clock().timestamp() - min(due)
    if late > 0:
        return Finding(False, f"renewal is {late / 3600:.0f} h overdue: journalctl -u tls-renew")
    return Finding(True, "renewed in time")


def _needs_ntp(live: LiveSettings) -> bool:
    """Return whether a clock that is not synchronised is a fault. A container has its host's clock."""
    return live.files.algosat.environment == "production" and not in_container()


class _Heartbeat:
    """The checks that read the engine's heartbeat: the engine, its broker session, and missing prices."""

    def __init__(self, database: Database, clock: Clock, rules: Callable[[], EngineSettings]) -> None:
        self._database = database
        self._clock, self._rules = clock, rules

    def engine(self) -> Finding:
        found = self._read()
        if found is None:
            return Finding(False, "has never run on this store")
        silence = found.silence(self._clock())
        if silence > heartbeats.SILENT_AFTER:
            return Finding(False, f"silent for {silence.total_seconds():.0f} s")
        late = [
            f"account {account}: {problem}"
            for account, state in found.accounts().items()
            for problem in self._late(state, found.at)
        ]
        if late:
            return Finding(False, "; ".join(late))
        return Finding(True, f"running, process {found.data.get('pid', 'unknown')}")

    def machine(self) -> Finding:
        found = self._read()
        if found is not None and found.data.get(heartbeats.OTHER_MACHINE):  # no names: health is public
            detail = "the store belongs to another machine, and nothing is sent: sudo algosat engine adopt"
            return Finding(False, detail)
        return Finding(True, "the store belongs to this machine")

    def broker(self) -> Finding:
        found = self._read()
        if found is None or found.silence(self._clock()) > heartbeats.SILENT_AFTER:
            return Finding(False, "unknown while the engine is silent")
        accounts = found.accounts()
        brokers = {name: data.get("broker") or {} for name, data in accounts.items()}
        details = [_broker_detail(name, broker, len(brokers)) for name, broker in brokers.items()]
        unread = [
            f"account {account}: the order book was last read {age.total_seconds():.0f} s ago"
            for account, state in accounts.items()
            if (age := self._age_of_unread_book(state, found.at)) is not None
        ]
        is_active = all(broker.get("active") for broker in brokers.values())
        return Finding(is_active and not unread, "; ".join(details + unread))

    def _late(self, state: Mapping[str, Any], at: datetime) -> Iterator[str]:
        """Yield what one account's lane has not done in time, by the engine's clock."""
        for duty, ended_at in (state.get("rounds") or {}).items():
            age = at - datetime.fromisoformat(ended_at)
            if age > _LATE_AFTER and duty != _CONNECTING:
                yield f"the duty {duty} has not completed a round for {age.total_seconds():.0f} s"
        if (oldest := state.get("oldest_unsent_at")) is not None:
            waited = at - datetime.fromisoformat(oldest)
            # The router sends or rejects an order by its deadline.
            if waited > timedelta(seconds=self._rules().send_deadline_seconds) + _LATE_AFTER:
                yield f"an order has waited {waited.total_seconds():.0f} s to be sent"

    def _age_of_unread_book(self, state: Mapping[str, Any], at: datetime) -> timedelta | None:
        """Return the age of the last reading of the order book if the next one is overdue."""
        read_at = state.get("book_read_at")
        if read_at is None or not (state.get("broker") or {}).get("active"):
            return None
        age = at - datetime.fromisoformat(read_at)
        overdue_after = 3 * timedelta(seconds=self._rules().reconcile_seconds)
        return age if age > max(overdue_after, _LATE_AFTER) else None

    def prices(self) -> Finding:
        found = self._read()
        states = found.accounts().values() if found else ()
        unpriced = [symbol for state in states for symbol in state.get("unpriced") or ()]
        if unpriced:  # only their number: health is public
            detail = f"{len(unpriced)} symbols held have no price and take no entries: GET /risk lists them"
            return Finding(False, detail)
        return Finding(True, "every position has a price")

    def clock(self, needs_ntp: bool) -> Finding:
        found = self._read()
        leads = found is not None and found.silence(self._clock()) <= heartbeats.SILENT_AFTER
        if found and leads and (step := found.data.get("clock_set")) is not None:
            direction = "back" if step < 0 else "forward"
            return Finding(False, f"was set {direction} by {abs(step):.1f} s in the last ten minutes")
        if not _TIMESYNC.is_dir():
            return Finding(True, "was not set lately; systemd-timesyncd does not run here")
        if not (_TIMESYNC / "synchronized").exists():
            return Finding(not needs_ntp, "not synchronised yet: timedatectl timesync-status")
        return Finding(True, "synchronised")

    def _read(self) -> Heartbeat | None:
        with self._database.read() as connection:
            return heartbeats.read(connection, heartbeats.ENGINE)


def _broker_detail(account: str, broker: Mapping[str, Any], accounts: int) -> str:
    name = broker.get("name", "unknown")
    where = name if accounts == 1 else f"account {account} at {name}"
    return f"{where}: {broker.get('detail', 'no detail')}"
