"""Attempts at a password: counted, and told of when they become suspicious."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from algosat.config.live import LiveSettings
from algosat.monitoring import metrics
from algosat.security import lockout
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.writer import Writer

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

    def begin(self, attempt: Attempt) -> None:
        """Count an attempt, before it is judged. Raises TooManyRequests when there were too many."""
        settings = self.live.current.protection
        rules, watch = settings.authentication, settings.monitoring
        pause = timedelta(seconds=rules.lockout_duration)
        block_at = watch.alert_threshold if watch.block_suspicious_ips else None
        address = lockout.of_address(attempt.address)

        def count(connection: Connection) -> int:
            attempts = lockout.count(connection, address, block_at, pause, attempt.at)
            pair = lockout.of_pair(attempt.name, attempt.address)
            lockout.count(connection, pair, rules.max_login_attempts, pause, attempt.at)
            if attempts == watch.alert_threshold:
                data = {"attempts": attempts, "blocked": watch.block_suspicious_ips}
                audit.append(connection, attempt.at, "security.alert", attempt.address, attempt.cause, data)
            return attempts

        if self.writer.run(count) == watch.alert_threshold:
            metrics.SECURITY_EVENTS.labels("alert").inc()
            _log.warning("many_failed_logins", address=attempt.address, attempts=watch.alert_threshold)

    def failed(self, attempt: Attempt, known_as: str | None) -> None:
        """Note that it was wrong; by the user's name, or as unknown when nobody has it.

        A name nobody has is not written down: people type their password there by mistake.
        """
        metrics.SECURITY_EVENTS.labels("login_failed").inc()
        if self.live.current.protection.monitoring.log_failed_attempts:
            subject, data = known_as or "unknown", {"address": attempt.address}
            self.writer.run(
                lambda connection: audit.append(
                    connection, attempt.at, "security.login_failed", subject, attempt.cause, data
                )
            )


def forgive(connection: Connection, attempt: Attempt) -> None:
    """It was right: within the unit of work that follows from it."""
    lockout.forget(connection, lockout.of_pair(attempt.name, attempt.address))
    lockout.take_back(connection, lockout.of_address(attempt.address))
