"""Placing orders: judged and written in one unit of work, before anybody is told of them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from algosat.domain.orders import EventKind, Order, OrderEvent, OrderTerms, Status, create
from algosat.domain.risk import Denial, RiskSnapshot, gate
from algosat.monitoring import metrics
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.trading import idempotency, risk_snapshot
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey

_ACCEPTED: Final = metrics.ORDERS.labels("accepted")
_DENIED: Final = metrics.ORDERS.labels("denied")
_RANDOM_CHARACTERS: Final = 17  # of 5 bits each
_RANDOM_BYTES: Final = 11


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of the intents, in their order. A denial is an outcome too: the order's status says so."""

    orders: tuple[Order, ...]
    replayed: bool  # the key was used before: these are the orders of then
    pinned: bool = False  # ... as they were answered; else as they are now

    @property
    def order(self) -> Order:
        """The only one, where one was placed."""
        (order,) = self.orders
        return order


def place_order(desk: Desk, terms: OrderTerms, cause: Cause, *, key: IdempotencyKey | None = None) -> Placed:
    """Place one order. Returns once it is durable; the engine sends it then.

    Raises KeyReused when the key stands for another request.
    """
    return place_basket(desk, [terms], cause, key=key)


def place_basket(
    desk: Desk, legs: Sequence[OrderTerms], cause: Cause, *, key: IdempotencyKey | None = None
) -> Placed:
    """Place several orders; each is judged on the book that those before it left."""
    return once(desk, key, lambda connection: [admit(connection, desk, terms, cause) for terms in legs])


def once(desk: Desk, key: IdempotencyKey | None, work: Callable[[Connection], Sequence[Order]]) -> Placed:
    """The orders that `work` writes; with a key, the work is done once however often it is asked for."""

    def unit(connection: Connection) -> Placed:
        if key is None:
            return Placed(tuple(work(connection)), replayed=False)
        known = idempotency.find(connection, key)
        if known is not None:
            return Placed(known.orders(connection), replayed=True, pinned=known.is_pinned)
        orders = tuple(work(connection))
        kept = idempotency.keep(connection, key, orders, desk.clock())
        return Placed(orders, replayed=False, pinned=kept.is_pinned)

    placed = desk.writer.run(unit)
    if not placed.replayed:
        desk.wake_engine()
        for order in placed.orders:
            (_DENIED if order.status is Status.DENIED else _ACCEPTED).inc()
    return placed


def admit(
    connection: Connection, desk: Desk, terms: OrderTerms, cause: Cause, *, is_slice: bool = False
) -> Order:
    """Judge an intent on the book as it is, and write the order that comes of it: created, or denied.

    The slices of one order are equal on purpose: that makes none of them suspicious.
    """
    at = desk.clock()
    snapshot = risk_snapshot.read_snapshot(connection, desk, terms, at)
    if is_slice and isinstance(snapshot, RiskSnapshot):
        snapshot = replace(snapshot, is_repeat=False)
    terms, denial = gate.judge(terms, snapshot)
    return write(connection, desk, terms, denial, at, cause)


def write(
    connection: Connection, desk: Desk, terms: OrderTerms, denial: Denial | None, at: datetime, cause: Cause
) -> Order:
    order = ledger.add(connection, create(new_id(), terms, at), cause)
    if denial is None:
        ledger.count_order(connection, order, desk.calendar.trading_day(at))
        return order
    denied = OrderEvent(EventKind.DENIED, at, code=denial.code, reason=denial.detail)
    return ledger.record(connection, order, denied, cause, desk.books)


def new_id() -> str:
    """18 characters that fit every broker's tag: lowercase alphanumeric, the first one a letter."""
    return "a" + base64.b32encode(secrets.token_bytes(_RANDOM_BYTES))[:_RANDOM_CHARACTERS].decode().lower()
