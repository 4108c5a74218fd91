"""Idempotency records: which orders an Idempotency-Key stands for, and how the request was answered.

A repeated request places nothing and gets the first answer. An answer that did not wait for the broker, or
whose wait ended without an acknowledgement, is pinned to the version of each order. An answer with an
acknowledgement needs no pin: the order's events contain it. An answer that the outcome is not known is never
repeated once the outcome is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from algosat.domain.orders import UNCERTAIN, Order
from algosat.errors import KeyReused
from algosat.store import history, ledger
from algosat.store.prepared import Prepared
from algosat.store.tables import replies
from algosat.trading.desk import Desk

_IS_OF_KEY = (replies.c.principal == bindparam("of"), replies.c.key == bindparam("under"))
_REPLY = Prepared(
    select(replies.c.body_hash, replies.c.order_ids, replies.c.versions, replies.c.close_id).where(
        *_IS_OF_KEY
    )
)
_KEEP = Prepared(insert(replies), replies.c.keys())
_PIN = Prepared(update(replies).where(*_IS_OF_KEY), ["versions"])


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """An Idempotency-Key, its owner, and a hash of the request sent under it."""

    principal: str
    key: str
    body_hash: str
    waits: bool = False  # whether the answer waits for the broker's acknowledgement


@dataclass(frozen=True, slots=True)
class Reply:
    order_ids: Sequence[str]
    versions: Sequence[int] | None
    close_id: str | None = None  # the close that the request asked for

    @property
    def is_pinned(self) -> bool:
        return self.versions is not None

    def orders(self, connection: Connection) -> tuple[Order, ...]:
        """Return the orders as they were answered, or as they are now if no answer is pinned."""
        if self.versions is None:
            return tuple(ledger.get(connection, order_id) for order_id in self.order_ids)
        answered = zip(self.order_ids, self.versions, strict=True)
        return tuple(history.at_version(connection, *each) for each in answered)


def find(connection: Connection, key: IdempotencyKey) -> Reply | None:
    """Return the record of the key, or None for a new key. Raises KeyReused for a different request."""
    row = _row(connection, key)
    if row is None:
        return None
    if row.body_hash != key.body_hash:
        raise KeyReused(f"the Idempotency-Key {key.key!r} was used for another request")
    return Reply(row.order_ids, row.versions, row.close_id)


def placed_under(connection: Connection, key: IdempotencyKey) -> tuple[Order, ...] | None:
    """Return the orders of a key, whatever its request was; None if the key was never used."""
    row = _row(connection, key)
    return None if row is None else Reply(row.order_ids, row.versions).orders(connection)


def kept_under(connection: Connection, key: IdempotencyKey) -> str | None:
    """Return the id that `keep_id` recorded, whatever the request was; None if the key was never used."""
    row = _row(connection, key)
    return None if row is None else row.order_ids[0]


def keep(
    connection: Connection,
    key: IdempotencyKey,
    orders: Sequence[Order],
    at: datetime,
    *,
    close_id: str | None = None,
) -> Reply:
    """Record the orders of a key; they are pinned as they are now unless the answer waits."""
    is_open = key.waits and not all(order.is_acknowledged for order in orders)
    versions = None if is_open else [order.version for order in orders]
    reply = Reply([order.id for order in orders], versions, close_id)
    _keep(connection, key, reply, at)
    return reply


def keep_id(connection: Connection, key: IdempotencyKey, kept_id: str, at: datetime) -> None:
    """Record the result of a key if it is not an order, such as a GTT order."""
    _keep(connection, key, Reply([kept_id], None), at)


def _keep(connection: Connection, key: IdempotencyKey, reply: Reply, at: datetime) -> None:
    values = {
        "principal": key.principal,
        "key": key.key,
        "body_hash": key.body_hash,
        "order_ids": reply.order_ids,
        "versions": reply.versions,
        "created_at": at,
        "close_id": reply.close_id,
    }
    _KEEP.run(connection, values)


def first_answer(desk: Desk, key: IdempotencyKey, order: Order) -> Order:
    """Return the order in the state that every request with this key gets, pinning it if necessary."""
    if order.is_acknowledged:
        with desk.database.read() as connection:
            return _answered(connection, key, order.id)
    return desk.writer.run(lambda connection: _answered(connection, key, order.id))


def _row(connection: Connection, key: IdempotencyKey) -> Any:
    return _REPLY.first(connection, of=key.principal, under=key.key)


def _answered(connection: Connection, key: IdempotencyKey, order_id: str) -> Order:
    reply = find(connection, key)
    if reply is not None and reply.is_pinned:
        return reply.orders(connection)[0]
    acknowledged = history.as_acknowledged(connection, order_id)
    if acknowledged is not None:
        return acknowledged
    order = ledger.get(connection, order_id)
    if order.status in UNCERTAIN:
        return order
    _PIN.run(connection, {"of": key.principal, "under": key.key, "versions": [order.version]})
    return order
