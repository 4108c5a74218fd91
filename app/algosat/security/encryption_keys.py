"""Encryption keys in use: how old they are, what each of them opens, and their rotation in the store.

Every process gets a new key before `rotate` wraps the stored values with it, in small units of work
(playbooks/rotate_secrets.yml). Old keys stay in the vault: neither a crash between two units nor a backup
from before leaves a value that cannot be opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Column, Connection, Table, Text, Update, insert, select, type_coerce, update

from algosat.errors import AlgosatError, EncryptedValueDamaged
from algosat.security.keyring import Keyring, key_of
from algosat.store.database import Database
from algosat.store.prepared import Prepared
from algosat.store.tables import encryption_keys, metadata
from algosat.store.types import Encrypted
from algosat.store.writer import Writer

_BATCH: Final = 100  # values that one unit of work wraps again; orders wait for the store meanwhile
_FIRST_USED = Prepared(
    select(encryption_keys.c.fingerprint, encryption_keys.c.first_used_at).order_by(
        encryption_keys.c.first_used_at
    )
)


@dataclass(frozen=True, slots=True)
class Usage:
    """How many values each key opens, by fingerprint, and the places of values that no key can open."""

    values: Counter[str]
    damaged: tuple[str, ...]


@dataclass(slots=True)
class Rotation:
    """The outcome of a rotation."""

    rewrapped: int = 0
    failed: list[str] = field(default_factory=list)  # place and reason of each value that stays as it was


def note(connection: Connection, fingerprint: str, at: datetime) -> None:
    """Record the first use of a key, unless it is known."""
    if fingerprint not in first_uses(connection):
        connection.execute(insert(encryption_keys), {"fingerprint": fingerprint, "first_used_at": at})


def first_uses(connection: Connection) -> dict[str, datetime]:
    """Return when each key was used first, by fingerprint, the oldest first."""
    return dict(_FIRST_USED.all(connection))


def due_at(connection: Connection, fingerprint: str, rotation_days: int) -> datetime | None:
    """Return when a key is due for rotation; None before its first use."""
    first_used_at = first_uses(connection).get(fingerprint)
    return None if first_used_at is None else first_used_at + timedelta(days=rotation_days)


def usage(connection: Connection) -> Usage:
    """Return which keys open the values of the store, or of a snapshot of it."""
    counted: Counter[str] = Counter()
    damaged = []
    for column in _columns():
        for row in _rows(connection, column):
            try:
                counted[key_of(row.token)] += 1
            except EncryptedValueDamaged:
                damaged.append(_place(column, row))
    return Usage(counted, tuple(damaged))


def rotate(database: Database, writer: Writer, keyring: Keyring, at: datetime) -> Rotation:
    """Wrap every stored value with the first key. A value that cannot be opened stays as it is."""
    outcome = Rotation()
    writer.run(lambda connection: note(connection, keyring.fingerprint(), at))
    for column in _columns():
        with database.read() as connection:
            rows = [row for row in _rows(connection, column) if not _is_current(row.token, keyring)]
        updates = list(_updates(column, rows, keyring, outcome))
        for start in range(0, len(updates), _BATCH):
            outcome.rewrapped += writer.run(partial(_run, updates[start : start + _BATCH]))
    return outcome


def _columns() -> Iterator[Column[bytes]]:
    for table in metadata.sorted_tables:
        yield from (column for column in table.columns if isinstance(column.type, Encrypted))


def _rows(connection: Connection, column: Column[bytes]) -> Sequence[Any]:
    return connection.execute(select(*_key(column), column.label("token")).where(column.is_not(None))).all()


def _is_current(token: bytes, keyring: Keyring) -> bool:
    try:
        return key_of(token) == keyring.fingerprint()
    except EncryptedValueDamaged:
        return False


def _updates(
    column: Column[bytes], rows: Sequence[Any], keyring: Keyring, outcome: Rotation
) -> Iterator[Update]:
    """Yield the update of each value; add the values that cannot be opened to the outcome."""
    for row in rows:
        try:
            token = keyring.rewrap(row.token)
        except AlgosatError as error:
            outcome.failed.append(f"{_place(column, row)}: {error.detail}")
            continue
        is_row = [key == getattr(row, key.name) for key in _key(column)]
        # A value that was replaced meanwhile stays.
        is_same = type_coerce(column, Text) == row.token.decode()
        yield update(_table(column)).where(*is_row, is_same).values({column.name: token})


def _run(updates: Sequence[Update], connection: Connection) -> int:
    return sum(connection.execute(each).rowcount for each in updates)


def _table(column: Column[bytes]) -> Table:
    return column.table


def _key(column: Column[bytes]) -> list[Column[Any]]:
    return list(_table(column).primary_key.columns)


def _place(column: Column[bytes], row: Any) -> str:
    key = ", ".join(str(getattr(row, each.name)) for each in _key(column))
    return f"{_table(column).name}.{column.name} of {key}"
