"""Authenticate requests. This runs on every request, so it is written to be cheap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from algosat.config.settings import AuthenticationSettings
from algosat.errors import StoreBusy, Unauthenticated
from algosat.monitoring import correlation
from algosat.security import sessions
from algosat.security.principals import ANONYMOUS, Principal
from algosat.security.session_lookup import Lookup, Standing
from algosat.security.tokens import Tokens, refused
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.writer import Writer

_log = structlog.get_logger(__name__)

_SECOND: Final = 1_000_000  # microseconds
_RECORD_INTERVAL: Final = 60 * _SECOND  # a session's last request is recorded to the minute


class Authenticator:
    def __init__(
        self,
        tokens: Tokens,
        lookup: Lookup,
        writer: Writer,
        clock: Callable[[], float],  # seconds since 1970
    ) -> None:
        self._tokens = tokens
        self._lookup = lookup
        self._writer = writer
        self._clock = clock
        self._recorded: dict[str, int] = {}

    def identify(self, authorization: str | None, rules: AuthenticationSettings) -> Principal:
        """Return the principal of an Authorization header. Raises Unauthenticated."""
        if not rules.enabled:
            return ANONYMOUS
        if authorization is None:
            raise Unauthenticated(
                "Send `Authorization: Bearer <access_token>`; POST /auth/login gives one",
                headers={"WWW-Authenticate": "Bearer"},
            )
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise refused("Only the scheme Bearer is supported")
        session_id = self._tokens.verify_access(token.strip()).session_id
        return self._principal(session_id, rules.session_timeout * _SECOND)

    def _principal(self, session_id: str, timeout: int) -> Principal:
        standing = self._lookup.find(session_id)
        now = int(self._clock() * _SECOND)
        if standing is None or not _is_open(standing, now, timeout):
            if standing is not None and standing.revoked_at is None:
                # Otherwise it would live again with a longer time-out.
                self._end(session_id, standing.username, now)
            raise refused("The session has ended")
        if now - standing.last_seen_at > min(_RECORD_INTERVAL, timeout // 4):
            self._record(session_id, now)
        return Principal(standing.username, standing.role, session_id)

    def _end(self, session_id: str, username: str, now: int) -> None:
        def end(connection: Connection) -> None:
            if sessions.revoke(connection, session_id, _time(now)):
                cause = Cause(f"user:{username}", correlation.current.get())
                data = {"session": session_id}
                audit.append(connection, _time(now), "security.session_expired", username, cause, data)

        self._write(end)

    def _record(self, session_id: str, now: int) -> None:
        if now - self._recorded.get(session_id, 0) < _SECOND:
            return  # another thread is recording it
        self._recorded = {known: at for known, at in self._recorded.items() if now - at < _RECORD_INTERVAL}
        self._recorded[session_id] = now
        self._write(lambda connection: sessions.touch(connection, session_id, _time(now)))

    def _write(self, work: Callable[[Connection], None]) -> None:
        try:
            self._writer.run(work, timeout=1)
        except (StoreBusy, SQLAlchemyError) as error:  # reads must keep working when the disk is full
            _log.warning("session_not_recorded", reason=str(error))


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / _SECOND, UTC)


def _is_open(standing: Standing, now: int, timeout: int) -> bool:
    return (
        standing.revoked_at is None
        and not standing.disabled
        and now < standing.expires_at
        and now < standing.last_seen_at + timeout
    )
