"""Place orders: judged and stored in one unit of work, before the engine or the client learns of them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter
from typing import Final

from sqlalchemy import Connection

from algosat.domain.orders import EventKind, Order, OrderChange, OrderEvent, OrderTerms, Status, create
from algosat.domain.risk import Denial, DenialCode, RiskSnapshot, gate
from algosat.monitoring import metrics
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.store.writer import part
from algosat.trading import exit_alerts, idempotency, risk_snapshot
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey

_RANDOM_CHARACTERS: Final = 17  # of 5 bits each
_RANDOM_BYTES: Final = 11
_FIRST_PRICE_AWAITED: Final = timedelta(seconds=2)  # after the opening

_Judged = tuple[OrderTerms, Denial | None, RiskSnapshot]  # an order's terms after the gate


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
    desk: Desk,
    legs: Sequence[OrderTerms],
    cause: Cause,
    *,
    key: IdempotencyKey | None = None,
    all_or_none: bool = False,
) -> Placed:
    """Place several orders. Each is checked against the book that includes the orders before it.

    With `all_or_none` every leg is denied if the gate denies one.
    """

    def admit_legs(connection: Connection) -> list[Order]:
        if all_or_none:
            return _admit_all_or_none(connection, desk, legs, cause)
        return [admit(connection, desk, terms, cause) for terms in legs]

    return once(desk, key, admit_legs, legs)


def once(
    desk: Desk,
    key: IdempotencyKey | None,
    work: Callable[[Connection], Sequence[Order]],
    wanted: Sequence[OrderTerms],
) -> Placed:
    """Return the orders that `work` stores. With a key, `work` runs once for all repeats of a request.

    Raises EngineAway or BrokerNotReached if one of the wanted orders is to be sent now, and nobody could.
    """

    def unit(connection: Connection) -> Placed:
        known = None if key is None else idempotency.find(connection, key)
        if known is not None:
            return Placed(known.orders(connection), replayed=True, pinned=known.is_pinned)
        desk.require_engine(connection, wanted)
        if key is None:
            return Placed(tuple(work(connection)), replayed=False)
        orders = tuple(work(connection))
        kept = idempotency.keep(connection, key, orders, desk.clock())
        return Placed(orders, replayed=False, pinned=kept.is_pinned)

    began = perf_counter()
    placed = desk.writer.run(unit)
    if not placed.replayed:
        metrics.order_stage("accept").observe(perf_counter() - began)
        desk.wake_engine()
    return placed


def admit(connection: Connection, desk: Desk, terms: OrderTerms, cause: Cause) -> Order:
    """Judge an order on the present book and store it as created or denied."""
    return write(connection, desk, *_judged(connection, desk, terms), cause)


def _judged(connection: Connection, desk: Desk, terms: OrderTerms) -> _Judged:
    snapshot = risk_snapshot.read_snapshot(connection, desk, terms, desk.clock())
    return *gate.judge(terms, snapshot), snapshot


def _admit_all_or_none(
    connection: Connection, desk: Desk, legs: Sequence[OrderTerms], cause: Cause
) -> list[Order]:
    """Store all legs as created, or all as denied."""
    judged: list[_Judged] = []
    try:
        with part(connection):
            orders: list[Order] = []
            for terms in legs:  # each leg is checked with those before it, so these must be stored
                judged.append(_judged(connection, desk, terms))
                orders.append(write(connection, desk, *judged[-1], cause))
            if any(order.status is Status.DENIED for order in orders):
                raise _LegDenied
            return orders
    except _LegDenied:
        number, why = next((at, denial) for at, (_, denial, _) in enumerate(judged, 1) if denial is not None)
        other = Denial(DenialCode.BASKET_DENIED, f"leg {number} of the basket was denied: {why.detail}")
        return [
            write(connection, desk, terms, denial or other, snapshot, cause)
            for terms, denial, snapshot in judged
        ]


class _LegDenied(Exception):
    """The gate denied a leg of a basket that is placed whole or not at all."""


def judge_again(connection: Connection, desk: Desk, order: Order, cause: Cause) -> OrderChange | Denial:
    """Check an after-market order at the moment it is sent.

    A market exit waits briefly for the first price of the day, and is then sent without one.

    Returns its terms with a new protection price, or the denial.
    """
    terms = order.terms.as_regular()
    snapshot = risk_snapshot.read_snapshot(connection, desk, terms, desk.clock(), replacing=order.id)
    terms, denial = gate.judge(terms, snapshot.without_one_order())
    if denial is not None:
        return denial
    if exit_alerts.is_sent_unpriced(terms, snapshot) and snapshot.at - order.due_at < _FIRST_PRICE_AWAITED:
        return Denial(DenialCode.STALE_QUOTE, f"{terms.symbol} has no price yet today")
    exit_alerts.after_gate(connection, desk, terms, None, snapshot, cause)
    return OrderChange(terms.quantity, **terms.prices)


def write(
    connection: Connection,
    desk: Desk,
    terms: OrderTerms,
    denial: Denial | None,
    snapshot: RiskSnapshot,
    cause: Cause,
) -> Order:
    """Store an order that the gate has judged by this snapshot, as created or denied.

    Raises StoreFull for an entry while the space that is left is kept for exits.
    """
    if denial is None and not terms.reduce_only and desk.database.reserve is not None:
        desk.database.reserve.require_room_for_entries()
    order = ledger.add(connection, create(new_id(), terms, snapshot.at), cause)
    if terms.reduce_only:
        exit_alerts.after_gate(connection, desk, terms, denial, snapshot, cause)
    if denial is None:
        ledger.count_order(connection, order, desk.books.trading_day(order.due_at))
        desk.books.observe(connection, None, order, (), cause)
        return order
    denied = OrderEvent(EventKind.DENIED, snapshot.at, code=denial.code, reason=denial.detail)
    return ledger.record(connection, order, denied, cause, desk.books)


def new_id(letter: str = "a") -> str:
    """Return a new id that fits any broker's tag: 18 lowercase alphanumeric characters, first a letter."""
    return letter + base64.b32encode(secrets.token_bytes(_RANDOM_BYTES))[:_RANDOM_CHARACTERS].decode().lower()
