"""Idempotency: which orders a key stands for, so that a request that is repeated is not done twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select

from algosat.errors import KeyReused
from algosat.store.prepared import Prepared
from algosat.store.tables import replies

_REPLY = Prepared(
    select(replies.c.body_hash, replies.c.order_ids).where(
        replies.c.principal == bindparam("principal"), replies.c.key == bindparam("key")
    )
)
_KEEP = Prepared(insert(replies), replies.c.keys())


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key, with whose it is and which request he sent under it."""

    principal: str
    key: str
    body_hash: str


def find(connection: Connection, key: Key) -> Sequence[str] | None:
    """The orders that were placed under the key; None when it is new. Raises KeyReused."""
    row = _REPLY.first(connection, principal=key.principal, key=key.key)
    if row is None:
        return None
    if row.body_hash != key.body_hash:
        raise KeyReused(f"the Idempotency-Key {key.key!r} was used for another request")
    return list(row.order_ids)


def keep(connection: Connection, key: Key, order_ids: Sequence[str], at: datetime) -> None:
    _KEEP.run(
        connection,
        {
            "principal": key.principal,
            "key": key.key,
            "body_hash": key.body_hash,
            "order_ids": list(order_ids),
            "created_at": at,
        },
    )
