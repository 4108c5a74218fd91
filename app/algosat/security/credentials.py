"""Credentials of the brokers: encrypted fields of any name, which only the engine needs in clear.

A login at a broker has one name and may have any number of fields: keys, secrets, a TOTP seed, and tokens
with an expiry. Every change is an event of the audit trail, which names the fields and never their values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select, true

from algosat.config.settings import AccountSettings
from algosat.errors import InvalidBody, NotFound
from algosat.security import encryption_keys
from algosat.security.keyring import Keyring, key_of
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.tables import credentials

FIELD_FORM: Final = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
LONGEST: Final = 8192  # characters of a value; a private key in PEM has 3,300
MOST_FIELDS: Final = 32

_SET: Final = "credentials.set"
_DELETED: Final = "credentials.deleted"
_SHOWN: Final = 2  # characters at either end of a masked value
_LONG: Final = 16  # a shorter value is masked whole
_MASK: Final = "****"


@dataclass(frozen=True, slots=True)
class BrokerLogin:
    """A login at a broker, by the broker's name and the login's own."""

    broker: str
    name: str

    def __str__(self) -> str:
        return f"{self.broker}:{self.name}"

    @classmethod
    def of(cls, account: AccountSettings) -> BrokerLogin:
        """Return the login of an account: the one that its settings name, or one with the account's name."""
        return cls(account.broker, account.credentials or account.name)


@dataclass(frozen=True, slots=True)
class NewValue:
    """The value to store in a field, and when it expires."""

    value: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CredentialField:
    """What may be shown of a stored credential: everything but its value."""

    login: BrokerLogin
    field: str
    key: str  # fingerprint of the vault key that opens it
    set_at: datetime
    set_by: str
    expires_at: datetime | None


def put(
    connection: Connection,
    keyring: Keyring,
    login: BrokerLogin,
    values: Mapping[str, NewValue],
    at: datetime,
    cause: Cause,
    *,
    keep_others: bool,
) -> None:
    """Set fields of a login, and delete its other fields unless `keep_others`.

    Raises InvalidBody for a value that has expired already, is too long or cannot be stored.
    """
    refused = [name for name, new in values.items() if not _can_be_stored(new.value)]
    if refused:
        raise InvalidBody(f"the value of {refused[0]} is not text of 1 to {LONGEST} characters")
    expired = [name for name, new in values.items() if new.expires_at is not None and new.expires_at <= at]
    if expired:
        raise InvalidBody(f"expires_at of {expired[0]} is in the past: omit it for what does not expire")
    replaced = credentials.c.field.in_(values) if keep_others else true()
    connection.execute(delete(credentials).where(_is_of(login), replaced))
    if values:
        rows = [_row(keyring, login, name, new, at, cause) for name, new in values.items()]
        connection.execute(insert(credentials), rows)
        encryption_keys.note(connection, keyring.fingerprint(), at)
    audit.append(connection, at, _SET, str(login), cause, {"fields": sorted(values)})


def remove(connection: Connection, login: BrokerLogin, at: datetime, cause: Cause, field: str | None) -> None:
    """Delete one field of a broker login, or all its fields if `field` is None.

    Raises NotFound if nothing is stored under that name.
    """
    found = [row.field for row in _rows(connection, login) if field in (None, row.field)]
    if not found:
        raise NotFound(f"there are no credentials {login}" + (f" with a field {field}" if field else ""))
    connection.execute(delete(credentials).where(_is_of(login), credentials.c.field.in_(found)))
    audit.append(connection, at, _DELETED, str(login), cause, {"fields": found})


def listed(connection: Connection, now: datetime, login: BrokerLogin | None = None) -> list[CredentialField]:
    """Return the fields of a login, or of all, without those that have expired."""
    return [
        CredentialField(
            BrokerLogin(row.broker, row.name),
            row.field,
            key_of(row.value),
            row.set_at,
            row.set_by,
            row.expires_at,
        )
        for row in _rows(connection, login, now)
    ]


def values(connection: Connection, keyring: Keyring, login: BrokerLogin, now: datetime) -> dict[str, str]:
    """Return the fields of a login with their values, without those that have expired.

    Raises EncryptionKeyUnknown or EncryptedValueDamaged.
    """
    return {
        row.field: keyring.decrypt(row.value, _context(login, row.field)).decode()
        for row in _rows(connection, login, now)
    }


def masked(value: str) -> str:
    """Return the ends of a long value, which tell two of them apart; nothing of a short one."""
    return f"{value[:_SHOWN]}{_MASK}{value[-_SHOWN:]}" if len(value) >= _LONG else _MASK


def _can_be_stored(value: str) -> bool:
    # A text from JSON may have half a character, which has no bytes.
    return 0 < len(value) <= LONGEST and not any("\ud800" <= each <= "\udfff" for each in value)


def _row(
    keyring: Keyring, login: BrokerLogin, field: str, new: NewValue, at: datetime, cause: Cause
) -> dict[str, Any]:
    return {
        "broker": login.broker,
        "name": login.name,
        "field": field,
        "value": keyring.encrypt(new.value.encode(), _context(login, field)),
        "set_at": at,
        "set_by": cause.actor,
        "expires_at": new.expires_at,
    }


def _rows(
    connection: Connection, login: BrokerLogin | None, now: datetime | None = None
) -> Sequence[Row[Any]]:
    statement = select(credentials).order_by(credentials.c.broker, credentials.c.name, credentials.c.field)
    if login is not None:
        statement = statement.where(_is_of(login))
    if now is not None:
        statement = statement.where(or_(credentials.c.expires_at.is_(None), credentials.c.expires_at > now))
    return connection.execute(statement).all()


def _is_of(login: BrokerLogin) -> ColumnElement[bool]:
    return (credentials.c.broker == login.broker) & (credentials.c.name == login.name)


def _context(login: BrokerLogin, field: str) -> str:
    return f"credentials:{login}:{field}"
