"""Who guesses passwords has to wait.

Counted for each pair of name and address: whoever guesses from elsewhere cannot lock the owner out.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from algosat.config.settings import Authentication
from algosat.errors import TooManyRequests
from algosat.store.tables import login_failures

_BY_SUBJECT = select(login_failures).where(login_failures.c.subject == bindparam("of"))
_LONGEST: Final = 160


def subject_of(name: str, address: str) -> str:
    return f"{name.lower()}@{address}"[:_LONGEST]


def count(connection: Connection, subject: str, rules: Authentication, now: datetime) -> None:
    """Count an attempt before it is judged, so that many at once get no more guesses than one by one.

    Raises TooManyRequests when the subject is locked out. `forget` takes it back after a success.
    """
    row = connection.execute(_BY_SUBJECT, {"of": subject}).first()
    if row is not None and row.locked_until is not None and now < row.locked_until:
        raise _locked(row.locked_until - now)
    pause = timedelta(seconds=rules.lockout_duration)
    is_fresh = row is None or now >= row.last_at + pause
    attempts = 1 if is_fresh or row is None else row._mapping["count"] + 1
    locked_until = now + pause if attempts >= rules.max_login_attempts else None
    values = {"count": attempts, "last_at": now, "locked_until": locked_until}
    if row is None:
        connection.execute(delete(login_failures).where(login_failures.c.last_at < now - pause))
        connection.execute(insert(login_failures), {"subject": subject, **values})
    else:
        statement = update(login_failures).where(login_failures.c.subject == subject)
        connection.execute(statement.values(**values))


def forget(connection: Connection, subject: str) -> None:
    connection.execute(delete(login_failures).where(login_failures.c.subject == subject))


def _locked(remaining: timedelta) -> TooManyRequests:
    seconds = max(1, int(remaining.total_seconds()) + 1)
    return TooManyRequests(
        f"too many failed logins; try again in {seconds} s",
        code="locked_out",
        headers={"Retry-After": str(seconds)},
    )
