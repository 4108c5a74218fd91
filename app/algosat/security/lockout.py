"""Who guesses passwords has to wait.

Counted for each pair of name and address, so that whoever guesses from elsewhere cannot lock the
owner out; and for each address over all names, so that trying one password on many names is seen.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from algosat.errors import LockedOut
from algosat.store.tables import login_failures

_BY_SUBJECT = select(login_failures).where(login_failures.c.subject == bindparam("of"))
_LONGEST: Final = 160


def of_pair(name: str, address: str) -> str:
    return f"{name.lower()}@{address}"[:_LONGEST]


def of_address(address: str) -> str:
    return f"address {address}"[:_LONGEST]


def count(connection: Connection, subject: str, limit: int | None, pause: timedelta, now: datetime) -> int:
    """Count an attempt before it is judged, so that many at once get no more guesses than one by one.

    The attempt that reaches `limit` is the last for `pause`; without one nobody is locked out. Raises
    LockedOut while the subject is. Returns how many attempts there were within the pause.
    """
    row = connection.execute(_BY_SUBJECT, {"of": subject}).first()
    if row is not None and row.locked_until is not None and now < row.locked_until:
        raise _locked(row.locked_until - now)
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


def forget(connection: Connection, subject: str) -> None:
    """After a success: there is nothing to hold against the subject."""
    connection.execute(delete(login_failures).where(login_failures.c.subject == subject))


def take_back(connection: Connection, subject: str) -> None:
    """After a success: that one attempt was none. The others of the subject still count."""
    row = connection.execute(_BY_SUBJECT, {"of": subject}).first()
    if row is not None:
        _put(connection, subject, {"count": max(0, row._mapping["count"] - 1), "locked_until": None})


def _put(connection: Connection, subject: str, values: dict[str, object]) -> None:
    connection.execute(update(login_failures).where(login_failures.c.subject == subject).values(**values))


def _locked(remaining: timedelta) -> LockedOut:
    seconds = max(1, int(remaining.total_seconds()) + 1)
    return LockedOut(
        f"too many failed logins; try again in {seconds} s",
        headers={"Retry-After": str(seconds)},
    )
