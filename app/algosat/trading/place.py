"""Place orders: judged and stored in one unit of work, before the engine or the client learns of them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from algosat.domain.orders import EventKind, Order, OrderChange, OrderEvent, OrderTerms, Status, create
from algosat.domain.risk import Denial, RiskSnapshot, gate
from algosat.monitoring import metrics
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.trading import exit_alerts, idempotency, risk_snapshot
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey

_ACCEPTED: Final = metrics.ORDERS.labels("accepted")
_DENIED: Final = metrics.ORDERS.labels("denied")
_RANDOM_CHARACTERS: Final = 17  # of 5 bits each
_RANDOM_BYTES: Final = 11


@dataclass(frozen=True, slots=True)
class Placed:
    """The stored orders, in the sequence of the request. A denied order is an outcome: see its status."""

    orders: tuple[Order, ...]
    replayed: bool  # the key was used before, and these are its orders
    pinned: bool = False  # the replayed orders are in their answered state, otherwise in their present one

    @property
    def order(self) -> Order:
        """The order, if exactly one was requested."""
        (order,) = self.orders
        return order


def place_order(desk: Desk, terms: OrderTerms, cause: Cause, *, key: IdempotencyKey | None = None) -> Placed:
    """Place one order. Returns once the order is durable; the engine then sends it.

    Raises KeyReused if the key was used for another request.
    """
    return place_basket(desk, [terms], cause, key=key)


def place_basket(
    desk: Desk, legs: Sequence[OrderTerms], cause: Cause, *, key: IdempotencyKey | None = None
) -> Placed:
    """Place several orders. Each is judged on the book with the orders before it."""
    return once(desk, key, lambda connection: [admit(connection, desk, terms, cause) for terms in legs])


def once(desk: Desk, key: IdempotencyKey | None, work: Callable[[Connection], Sequence[Order]]) -> Placed:
    """Return the orders that `work` stores. With a key, `work` runs once for all repeats of a request."""

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
    """Judge an order on the present book and store it as created or denied.

    Slices of one order are equal by design, so they are not suspected of being repeats.
    """
    snapshot = risk_snapshot.read_snapshot(connection, desk, terms, desk.clock())
    if is_slice:
        snapshot = replace(snapshot, is_repeat=False)
    terms, denial = gate.judge(terms, snapshot)
    return write(connection, desk, terms, denial, snapshot, cause)


def judge_again(connection: Connection, desk: Desk, order: Order) -> OrderChange | Denial:
    """Judge an after-market order at the moment it is sent.

    Returns its terms with the protection price of now, or the denial.
    """
    terms = order.terms.as_regular()
    snapshot = risk_snapshot.read_snapshot(connection, desk, terms, desk.clock(), replacing=order.id)
    terms, denial = gate.judge(terms, snapshot.without_one_order())
    return denial or OrderChange(terms.quantity, **terms.prices)


def write(
    connection: Connection,
    desk: Desk,
    terms: OrderTerms,
    denial: Denial | None,
    snapshot: RiskSnapshot,
    cause: Cause,
) -> Order:
    """Store an order that the gate has judged by this snapshot, as created or denied."""
    order = ledger.add(connection, create(new_id(), terms, snapshot.at), cause)
    if terms.reduce_only:
        exit_alerts.after_gate(connection, desk, terms, denial, snapshot, cause)
    if denial is None:
        ledger.count_order(connection, order, desk.books.trading_day(order.due_at))
        return order
    denied = OrderEvent(EventKind.DENIED, snapshot.at, code=denial.code, reason=denial.detail)
    return ledger.record(connection, order, denied, cause, desk.books)


def new_id() -> str:
    """Return a new id that fits any broker's tag: 18 lowercase alphanumeric characters, first a letter."""
    return "a" + base64.b32encode(secrets.token_bytes(_RANDOM_BYTES))[:_RANDOM_CHARACTERS].decode().lower()
