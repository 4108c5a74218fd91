"""Token grants: the two tokens of a login, and the session behind them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from algosat.config.live import LiveSettings
from algosat.security import sessions
from algosat.security.sessions import Session
from algosat.security.tokens import Tokens
from algosat.security.users import User

LONGEST_SESSION: Final = timedelta(days=90)  # from the login, however often it is refreshed


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a login."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Grant:
    """The result of a successful login or refresh."""

    user: User
    session_id: str
    access_token: str
    refresh_token: str
    lifetime: timedelta  # of the access token


@dataclass(frozen=True, slots=True)
class TokenGrants:
    tokens: Tokens
    live: LiveSettings

    def session_lifetime(self) -> timedelta:
        return timedelta(days=self.live.current.algosat.security.refresh_token_expire_days)

    def grant(self, user: User, session_id: str) -> Grant:
        lifetime = timedelta(minutes=self.live.current.algosat.security.access_token_expire_minutes)
        access = self.tokens.access(user.username, session_id, lifetime)
        refresh = self.tokens.refresh(user.username, session_id, self.session_lifetime())
        return Grant(user, session_id, access, refresh, lifetime)

    def session_end(self, now: datetime, began: datetime) -> datetime:
        """Return when a session that is used now ends, which is never later than its longest life."""
        return min(now + self.session_lifetime(), began + LONGEST_SESSION)

    def session(self, grant: Grant, client: Client, now: datetime) -> Session:
        return Session(
            id=grant.session_id,
            user_id=grant.user.id,
            refresh_hash=sessions.fingerprint(grant.refresh_token),
            created_at=now,
            last_seen_at=now,
            expires_at=self.session_end(now, now),
            revoked_at=None,
            address=client.address[:64],
            user_agent=client.user_agent[:256],
        )
