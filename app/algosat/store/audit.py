"""The event log: append-only, each event hashed together with the one before it.

It holds the history of every order and the audit trail of all other decisions of people and processes.
Changing, removing or inserting an event breaks the chain of hashes from there on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, insert, select

from algosat.store import fallbacks
from algosat.store.prepared import Prepared
from algosat.store.tables import events

GENESIS: Final = "0" * 64
STRATEGY: Final = "strategy:"  # prefix of the actor if it is a strategy; the name follows


@dataclass(frozen=True, slots=True)
class Cause:
    """Who caused an event, and the request that it belongs to."""

    actor: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An event to append."""

    at: datetime
    kind: str
    subject: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event."""

    seq: int
    at: datetime
    kind: str
    subject: str
    actor: str
    correlation_id: str
    data: dict[str, Any]
    hash: str
    stored_kind: str  # that the hash covers

    @property
    def cause(self) -> Cause:
        return Cause(self.actor, self.correlation_id)

    def link(self, previous: str) -> str:
        """Return the hash that the event has if it follows the event with the hash `previous`."""
        return chain(previous, self.at, self.stored_kind, self.subject, self.cause, self.data)


_LAST_HASH = Prepared(select(events.c.hash).order_by(events.c.seq.desc()).limit(1))
_INSERT = Prepared(
    insert(events).inline(), ("at", "kind", "subject", "actor", "correlation_id", "data", "hash")
)


def append(
    connection: Connection, at: datetime, kind: str, subject: str, cause: Cause, data: dict[str, Any]
) -> None:
    """Append one event, within the caller's unit of work."""
    append_all(connection, [Entry(at, kind, subject, data)], cause)


def append_all(connection: Connection, entries: Iterable[Entry], cause: Cause) -> None:
    """Append events of one cause, in this order."""
    link = _LAST_HASH.scalar(connection) or GENESIS
    for entry in entries:
        link = chain(link, entry.at, entry.kind, entry.subject, cause, entry.data)
        _INSERT.run(
            connection,
            {
                "at": entry.at,
                "kind": entry.kind,
                "subject": entry.subject,
                "actor": cause.actor,
                "correlation_id": cause.correlation_id,
                "data": entry.data,
                "hash": link,
            },
        )


def chain(previous: str, at: datetime, kind: str, subject: str, cause: Cause, data: dict[str, Any]) -> str:
    """Return the hash of an event that follows the event with the hash `previous`."""
    body = orjson.dumps(
        [previous, at.isoformat(), kind, subject, cause.actor, cause.correlation_id, data],
        option=orjson.OPT_SORT_KEYS,
    )
    return hashlib.sha256(body).hexdigest()


def digest(secret: str) -> str:
    """Return what stands in an event for a value that nobody may read there, such as a password's hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def all_events(connection: Connection, *, since: int = 0) -> Iterator[Event]:
    """Yield every event after number `since`, oldest first, without holding all of them in memory."""
    statement = select(events).where(events.c.seq > since).order_by(events.c.seq)
    # A caller may stop early, and a cursor of PostgreSQL is to be closed.
    with connection.execution_options(yield_per=1000).execute(statement) as rows:
        yield from map(_event, rows)


def events_of(connection: Connection, subject: str) -> list[Event]:
    statement = select(events).where(events.c.subject == subject).order_by(events.c.seq)
    return [_event(row) for row in connection.execute(statement)]


def first_broken_link(connection: Connection) -> int | None:
    """Return the number of the first event whose hash does not follow from the one before; None if all do."""
    previous = GENESIS
    for event in all_events(connection):
        if event.link(previous) != event.hash:
            return event.seq
        previous = event.hash
    return None


def _event(row: Row[Any]) -> Event:
    values = dict(row._mapping)
    return Event(**values | {"kind": fallbacks.exact_kind(row.kind, row.data)}, stored_kind=row.kind)
