"""Log in, refresh, change the password and log out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from algosat.clock import Clock
from algosat.config.live import LiveSettings
from algosat.errors import WrongCredentials
from algosat.monitoring import metrics
from algosat.security import sessions, users
from algosat.security.login_attempts import Attempt, LoginAttempts
from algosat.security.passwords import Passwords, require_strong
from algosat.security.sessions import Session
from algosat.security.token_grants import Client, Grant, TokenGrants
from algosat.security.tokens import refused
from algosat.security.users import User
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Identity:
    database: Database
    writer: Writer
    live: LiveSettings
    token_grants: TokenGrants
    login_attempts: LoginAttempts
    passwords: Passwords
    clock: Clock

    def log_in(self, name: str, password: str, client: Client, correlation_id: str) -> Grant:
        """Log in. Raises WrongCredentials, or LockedOut after too many attempts.

        A wrong name and a wrong password have the same message and timing.
        """
        attempt = Attempt(name, client.address, correlation_id, self.clock())
        self.login_attempts.begin(attempt)
        with self.database.read() as connection:
            user = users.find(connection, name)
        stored = None if user is None or user.disabled else user.password_hash
        if not self.passwords.fits(stored, password) or user is None:
            self.login_attempts.failed(attempt, user.username if user else None)
            raise users.wrong_credentials()

        grant = self.token_grants.grant(user, sessions.new_id())
        session = self.token_grants.session(grant, client, attempt.at)
        cause = Cause(f"user:{user.username}", correlation_id)
        new_hash = self.passwords.hash(password) if self.passwords.is_outdated(user.password_hash) else None

        def open_session(connection: Connection) -> None:
            users.require_unchanged(connection, user)
            self.login_attempts.clear(connection, attempt)
            sessions.add(connection, session)
            if new_hash is not None:
                users.rehash(connection, user.username, new_hash, attempt.at, cause)
            data = {"address": client.address, "session": session.id}
            audit.append(connection, attempt.at, "security.login", user.username, cause, data)

        self.writer.run(open_session)
        metrics.SECURITY_EVENTS.labels("login").inc()
        return grant

    def refresh(self, refresh_token: str, correlation_id: str) -> Grant:
        """Return new tokens for the valid refresh token of a session, which can be used once.

        A token that was used before is in two hands, so its session ends. Raises Unauthenticated.
        """
        session_id = self.token_grants.tokens.verify_refresh(refresh_token).session_id
        now = self.clock()
        with self.database.read() as connection:
            _, user = self._valid_session(connection, session_id, now)
        fresh = self.token_grants.grant(user, session_id)
        offered = sessions.fingerprint(refresh_token)

        def rotate(connection: Connection) -> Grant | None:
            session, _ = self._valid_session(connection, session_id, now)
            if session.refresh_hash == offered:
                next_hash = sessions.fingerprint(fresh.refresh_token)
                until = self.token_grants.session_end(now, session.created_at)
                sessions.rotate(connection, session_id, next_hash, now, until)
                return fresh
            sessions.revoke(connection, session_id, now)
            cause, data = Cause(f"user:{user.username}", correlation_id), {"session": session_id}
            audit.append(connection, now, "security.refresh_reused", user.username, cause, data)
            return None

        grant = self.writer.run(rotate)
        if grant is None:
            metrics.SECURITY_EVENTS.labels("refresh_reused").inc()
            raise refused("This refresh token was used before, so its session has ended")
        return grant

    def change_password(
        self, name: str, session_id: str, address: str, current: str, new: str, cause: Cause
    ) -> None:
        """Change the password and end the user's other sessions.

        Wrong current passwords count as failed logins. Raises WrongCredentials, LockedOut or WeakPassword.
        """
        require_strong(new, name)
        attempt = Attempt(name, address, cause.correlation_id, self.clock())
        self.login_attempts.begin(attempt)
        with self.database.read() as connection:
            user = users.get(connection, name)
        if not self.passwords.fits(user.password_hash, current):
            self.login_attempts.failed(attempt, name)
            raise WrongCredentials("The current password is wrong")
        new_hash = self.passwords.hash(new)

        def change(connection: Connection) -> None:
            users.require_unchanged(connection, user)
            self.login_attempts.clear(connection, attempt)
            users.set_password(connection, name, new_hash, attempt.at, cause, keep=session_id)

        self.writer.run(change)

    def log_out(self, session_id: str, cause: Cause, owner: str) -> None:
        now = self.clock()

        def close(connection: Connection) -> None:
            sessions.revoke(connection, session_id, now)
            audit.append(connection, now, "security.logout", owner, cause, {"session": session_id})

        self.writer.run(close)
        metrics.SECURITY_EVENTS.labels("logout").inc()

    def _valid_session(self, connection: Connection, session_id: str, now: datetime) -> tuple[Session, User]:
        session = sessions.find(connection, session_id)
        user = None if session is None else users.by_id(connection, session.user_id)
        if session is None or user is None or user.disabled or not self._is_open(session, now):
            raise refused("The session has ended")
        return session, user

    def _is_open(self, session: Session, now: datetime) -> bool:
        idle = timedelta(seconds=self.live.current.security.authentication.session_timeout)
        return session.revoked_at is None and now < session.expires_at and now < session.last_seen_at + idle
