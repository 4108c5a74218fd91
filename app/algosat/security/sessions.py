"""Login sessions: every token belongs to one, so that a logout ends it everywhere at once."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from algosat.store.tables import sessions

_BY_ID = select(sessions).where(sessions.c.id == bindparam("session_id"))


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    user_id: int
    refresh_hash: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    address: str
    user_agent: str


def new_id() -> str:
    return str(uuid.uuid4())


def fingerprint(token: str) -> str:
    """Return the stored form of a refresh token: a stolen store reveals no session."""
    return hashlib.sha256(token.encode()).hexdigest()


def add(connection: Connection, session: Session) -> None:
    connection.execute(
        insert(sessions), {name: getattr(session, name) for name in session.__dataclass_fields__}
    )


def find(connection: Connection, session_id: str) -> Session | None:
    row = connection.execute(_BY_ID, {"session_id": session_id}).first()
    return None if row is None else _from_row(row)


def alive(connection: Connection, user_id: int, now: datetime) -> Sequence[Session]:
    """Return the user's sessions that are neither revoked nor expired, newest first."""
    statement = (
        select(sessions)
        .where(sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None), sessions.c.expires_at > now)
        .order_by(sessions.c.created_at.desc())
    )
    return [_from_row(row) for row in connection.execute(statement)]


def rotate(connection: Connection, session_id: str, refresh_hash: str, at: datetime, until: datetime) -> None:
    _change(connection, session_id, refresh_hash=refresh_hash, last_seen_at=at, expires_at=until)


def touch(connection: Connection, session_id: str, at: datetime) -> None:
    _change(connection, session_id, last_seen_at=at)


def revoke(connection: Connection, session_id: str, at: datetime) -> bool:
    """End a session. Returns False if it had ended before."""
    statement = update(sessions).where(sessions.c.id == session_id, sessions.c.revoked_at.is_(None))
    return connection.execute(statement.values(revoked_at=at)).rowcount == 1


def _change(connection: Connection, session_id: str, **values: Any) -> None:
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(**values))


def _from_row(row: Row[Any]) -> Session:
    return Session(**row._mapping)
