"""Users in the store. Every change is an event of the audit trail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, func, insert, select, true, update

from algosat.errors import InvalidBody, LastAdmin, NotFound, UserExists, WrongCredentials
from algosat.security.principals import Role
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.tables import sessions, users

NAME_FORM: Final = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"

_BY_NAME = select(users).where(users.c.username == bindparam("name"))


@dataclass(frozen=True, slots=True)
class User:
    id: int
    username: str
    role: Role
    disabled: bool
    created_at: datetime
    password_changed_at: datetime
    password_hash: str


def require_name(name: str) -> None:
    """Check the form of a user's name. Raises InvalidBody."""
    if not re.fullmatch(NAME_FORM, name):
        raise InvalidBody(
            "a user's name has 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit"
        )


def find(connection: Connection, name: str) -> User | None:
    row = connection.execute(_BY_NAME, {"name": name}).first()
    return None if row is None else _from_row(row)


def by_id(connection: Connection, user_id: int) -> User | None:
    row = connection.execute(select(users).where(users.c.id == user_id)).first()
    return None if row is None else _from_row(row)


def get(connection: Connection, name: str) -> User:
    user = find(connection, name)
    if user is None:
        raise NotFound(f"there is no user {name}")
    return user


def wrong_credentials() -> WrongCredentials:
    """Return the error for an unknown name and for a wrong password, which must not differ."""
    return WrongCredentials("The username or the password is wrong")


def require_unchanged(connection: Connection, checked: User) -> None:
    """Check, within the unit of work after a password check, that the user has not changed since.

    Checking a password takes time, in which it may have been replaced. Raises WrongCredentials.
    """
    user = by_id(connection, checked.id)
    if user is None or user.disabled or user.password_hash != checked.password_hash:
        raise wrong_credentials()


def everybody(connection: Connection) -> Sequence[User]:
    return [_from_row(row) for row in connection.execute(select(users).order_by(users.c.username))]


def add(
    connection: Connection, name: str, password_hash: str, role: Role, at: datetime, cause: Cause
) -> User:
    known = connection.execute(select(users.c.username).where(func.lower(users.c.username) == name.lower()))
    if (existing := known.scalar()) is not None:
        raise UserExists(f"there is a user {existing} already; names differ by more than their case")
    values = {"created_at": at, "password_changed_at": at, "disabled": False}
    connection.execute(
        insert(users), {"username": name, "password_hash": password_hash, "role": role.value, **values}
    )
    audit.append(connection, at, "user.added", name, cause, {"role": role.value, **_told(password_hash)})
    return get(connection, name)


def set_password(
    connection: Connection, name: str, password_hash: str, at: datetime, cause: Cause, *, keep: str = ""
) -> None:
    """Set the password and end the user's sessions except `keep`."""
    user = get(connection, name)
    _change(connection, user, password_hash=password_hash, password_changed_at=at)
    _end_sessions(connection, user, at, keep)
    data = {**_told(password_hash), "kept": keep}
    audit.append(connection, at, "user.password_changed", name, cause, data)


def set_role(connection: Connection, name: str, role: Role, at: datetime, cause: Cause) -> None:
    user = get(connection, name)
    if user.role is Role.ADMIN and role is not Role.ADMIN:
        _require_another_admin(connection, user)
    _change(connection, user, role=role.value)
    audit.append(
        connection, at, "user.role_changed", name, cause, {"from": user.role.value, "to": role.value}
    )


def set_disabled(connection: Connection, name: str, disabled: bool, at: datetime, cause: Cause) -> None:
    user = get(connection, name)
    if disabled and user.role is Role.ADMIN:
        _require_another_admin(connection, user)
    _change(connection, user, disabled=disabled)
    if disabled:
        _end_sessions(connection, user, at, "")
    audit.append(connection, at, "user.disabled" if disabled else "user.enabled", name, cause, {})


def end_sessions(connection: Connection, name: str | None, at: datetime, cause: Cause) -> int:
    """End the login sessions of a user, or of all users if `name` is None.

    Expired sessions are ended too: a clock that is ahead must not spare one.

    Returns how many had not been ended before. Raises NotFound if there is no such user.
    """
    of = sessions.c.user_id == get(connection, name).id if name is not None else true()
    not_ended = sessions.c.revoked_at.is_(None)
    ended = connection.execute(update(sessions).where(of, not_ended).values(revoked_at=at)).rowcount
    data = {"number": ended, "everybody": name is None}
    audit.append(connection, at, "security.sessions_ended", name or "everybody", cause, data)
    return ended


def rehash(connection: Connection, name: str, password_hash: str, at: datetime, cause: Cause) -> None:
    """Store a new hash of the same password."""
    connection.execute(update(users).where(users.c.username == name).values(password_hash=password_hash))
    audit.append(connection, at, "user.password_rehashed", name, cause, _told(password_hash))


def _told(password_hash: str) -> dict[str, str]:
    """Return what an event tells of a password, by which `store verify` sees that the hash was replaced."""
    return {"password_digest": audit.digest(password_hash)}


def _change(connection: Connection, user: User, **values: Any) -> None:
    connection.execute(update(users).where(users.c.id == user.id).values(**values))


def _end_sessions(connection: Connection, user: User, at: datetime, keep: str) -> None:
    connection.execute(
        update(sessions)
        .where(sessions.c.user_id == user.id, sessions.c.revoked_at.is_(None), sessions.c.id != keep)
        .values(revoked_at=at)
    )


def _require_another_admin(connection: Connection, user: User) -> None:
    others = (
        select(func.count())
        .select_from(users)
        .where(users.c.role == Role.ADMIN.value, ~users.c.disabled, users.c.id != user.id)
    )
    if not connection.execute(others).scalar_one():
        raise LastAdmin(f"{user.username} is the last admin: add another one first")


def _from_row(row: Row[Any]) -> User:
    return User(**{**row._mapping, "role": Role(row.role)})
