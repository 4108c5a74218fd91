"""Confirmation of a step on the server with an admin's password, without a login session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection

from algosat.clock import Clock
from algosat.security import users
from algosat.security.login_attempts import Attempt, LoginAttempts
from algosat.security.passwords import Passwords
from algosat.security.principals import Role
from algosat.store.audit import Cause
from algosat.store.database import Database

_ADDRESS: Final = "local"  # of attempts that come from the server itself

T = TypeVar("T")


def run_confirmed(
    database: Database,
    attempts: LoginAttempts,
    passwords: Passwords,
    clock: Clock,
    credentials: tuple[str, str],
    correlation_id: str,
    unit: Callable[[Connection, Cause], T],
) -> T:
    """Run a unit of work in the name of an admin, if name and password are right.

    Wrong passwords count as failed logins. Name, password and role that are wrong have the same message.
    Raises WrongCredentials, or LockedOut after too many attempts; then the unit of work does not run.
    """
    name, password = credentials
    attempt = Attempt(name, _ADDRESS, correlation_id, clock())
    attempts.begin(attempt)
    with database.read() as connection:
        user = users.find(connection, name)
    usable = user is not None and not user.disabled and user.role is Role.ADMIN
    stored = user.password_hash if user is not None and usable else None
    if not passwords.fits(stored, password) or user is None:
        attempts.failed(attempt, user.username if user else None)
        raise users.wrong_credentials()
    confirmed = user

    def confirmed_unit(connection: Connection) -> T:
        users.require_unchanged(connection, confirmed)
        attempts.clear(connection, attempt)
        return unit(connection, Cause(f"user:{confirmed.username}", correlation_id))

    return attempts.writer.run(confirmed_unit)
