"""Login attempts: counted, locked out when there are too many, and alerted when they look suspicious.

Attempts are counted for each pair of user name and address, so that guessing from elsewhere cannot lock the
owner out, and for each address over all names, so that trying one password on many names is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from algosat.config.live import LiveSettings
from algosat.errors import LockedOut
from algosat.monitoring import metrics
from algosat.security.keyring import Keyring
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.tables import login_failures
from algosat.store.writer import Writer

_BY_SUBJECT: Final = select(login_failures).where(login_failures.c.subject == bindparam("of"))
_LONGEST: Final = 160  # characters of a subject
_NAME_DIGITS: Final = 32  # of the hash of a name

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    name: str
    address: str
    correlation_id: str
    at: datetime

    @property
    def cause(self) -> Cause:
        return Cause("anonymous", self.correlation_id)


@dataclass(frozen=True, slots=True)
class LoginAttempts:
    writer: Writer
    live: LiveSettings
    keyring: Keyring

    def begin(self, attempt: Attempt) -> None:
        """Count an attempt before the password is checked. Raises LockedOut after too many attempts."""
        settings = self.live.current.security
        rules, watch = settings.authentication, settings.monitoring
        pause = timedelta(seconds=rules.lockout_duration)
        block_at = watch.alert_threshold if watch.block_suspicious_ips else None

        def count(connection: Connection) -> int:
            attempts = _count(connection, _address(attempt.address), block_at, pause, attempt.at)
            _count(connection, self._pair(attempt), rules.max_login_attempts, pause, attempt.at)
            if attempts == watch.alert_threshold:
                data = {"attempts": attempts, "blocked": watch.block_suspicious_ips}
                audit.append(connection, attempt.at, "security.alert", attempt.address, attempt.cause, data)
            return attempts

        try:
            attempts = self.writer.run(count)
        except LockedOut:
            metrics.SECURITY_EVENTS.labels("locked_out").inc()
            raise
        if attempts == watch.alert_threshold:
            metrics.SECURITY_EVENTS.labels("alert").inc()
            _log.warning("many_failed_logins", address=attempt.address, attempts=watch.alert_threshold)

    def failed(self, attempt: Attempt, known_as: str | None) -> None:
        """Record a failed attempt, under the user's name or as unknown.

        A name that no user has is not recorded: people type their password there by mistake.
        """
        metrics.SECURITY_EVENTS.labels("login_failed").inc()
        if self.live.current.security.monitoring.log_failed_attempts:
            subject, data = known_as or "unknown", {"address": attempt.address}
            self.writer.run(
                lambda connection: audit.append(
                    connection, attempt.at, "security.login_failed", subject, attempt.cause, data
                )
            )

    def clear(self, connection: Connection, attempt: Attempt) -> None:
        """Undo the count of an attempt that succeeded, within the unit of work of the login.

        The count of the user at this address is deleted; the other attempts from the address still count.
        """
        pair = self._pair(attempt)
        connection.execute(delete(login_failures).where(login_failures.c.subject == pair))
        address = _address(attempt.address)
        row = connection.execute(_BY_SUBJECT, {"of": address}).first()
        if row is not None:
            _put(connection, address, {"count": max(0, row._mapping["count"] - 1), "locked_until": None})

    def _pair(self, attempt: Attempt) -> str:
        """Return the subject of a name at an address. The name is hashed: it may be a password."""
        name = self.keyring.digest(attempt.name.lower(), "login")[:_NAME_DIGITS]
        return f"login {name}@{attempt.address}"[:_LONGEST]


def _address(address: str) -> str:
    return f"address {address}"[:_LONGEST]


def _count(connection: Connection, subject: str, limit: int | None, pause: timedelta, now: datetime) -> int:
    """Count an attempt and return how many there were within the pause. Raises LockedOut.

    Counting comes before the check, so that concurrent attempts get no more guesses than attempts one by one.
    The attempt that reaches `limit` is the last one for `pause`; None: no limit.
    """
    row = connection.execute(_BY_SUBJECT, {"of": subject}).first()
    if row is not None and row.locked_until is not None and now < row.locked_until:
        raise _locked_out(row.locked_until - now)
    is_fresh = row is None or now >= row.last_at + pause
    attempts = 1 if is_fresh or row is None else row._mapping["count"] + 1
    locked_until = now + pause if limit is not None and attempts >= limit else None
    values = {"count": attempts, "last_at": now, "locked_until": locked_until}
    if row is None:
        connection.execute(delete(login_failures).where(login_failures.c.last_at < now - pause))
        connection.execute(insert(login_failures), {"subject": subject, **values})
    else:
        _put(connection, subject, values)
    return attempts


def _put(connection: Connection, subject: str, values: dict[str, object]) -> None:
    connection.execute(update(login_failures).where(login_failures.c.subject == subject).values(**values))


def _locked_out(remaining: timedelta) -> LockedOut:
    seconds = max(1, int(remaining.total_seconds()) + 1)
    return LockedOut(
        f"too many failed logins; try again in {seconds} s",
        headers={"Retry-After": str(seconds)},
    )
