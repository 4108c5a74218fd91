"""Placing orders: judged and written in one unit of work, before anybody is told of them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from algosat.domain import risk
from algosat.domain.orders import EventKind, Intent, Order, OrderEvent, Status, create
from algosat.domain.protection import protection_price
from algosat.domain.risk import Denial, Picture
from algosat.monitoring import metrics
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.trading import replies, sight
from algosat.trading.desk import Desk
from algosat.trading.replies import Key

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


def place(desk: Desk, intent: Intent, cause: Cause, *, key: Key | None = None) -> Placed:
    """Place one order. Returns once it is durable; the engine sends it then.

    Raises KeyReused when the key stands for another request.
    """
    return basket(desk, [intent], cause, key=key)


def basket(desk: Desk, intents: Sequence[Intent], cause: Cause, *, key: Key | None = None) -> Placed:
    """Place several orders; each is judged on the book that those before it left."""
    return once(desk, key, lambda connection: [admit(connection, desk, intent, cause) for intent in intents])


def once(desk: Desk, key: Key | None, work: Callable[[Connection], Sequence[Order]]) -> Placed:
    """The orders that `work` writes; with a key, the work is done once however often it is asked for."""

    def unit(connection: Connection) -> Placed:
        if key is None:
            return Placed(tuple(work(connection)), replayed=False)
        known = replies.find(connection, key)
        if known is not None:
            return Placed(known.orders(connection), replayed=True, pinned=known.is_pinned)
        orders = tuple(work(connection))
        kept = replies.keep(connection, key, orders, desk.clock())
        return Placed(orders, replayed=False, pinned=kept.is_pinned)

    placed = desk.writer.run(unit)
    if not placed.replayed:
        desk.wake_engine()
        for order in placed.orders:
            (_DENIED if order.status is Status.DENIED else _ACCEPTED).inc()
    return placed


def admit(
    connection: Connection, desk: Desk, intent: Intent, cause: Cause, *, is_slice: bool = False
) -> Order:
    """Judge an intent on the book as it is, and write the order that comes of it: created, or denied.

    The slices of one order are equal on purpose: that makes none of them suspicious.
    """
    at = desk.clock()
    picture = sight.see(connection, desk, intent, at)
    if is_slice and isinstance(picture, Picture):
        picture = replace(picture, is_repeat=False)
    intent, denial = judge(intent, picture)
    return write(connection, desk, intent, denial, at, cause)


def write(
    connection: Connection, desk: Desk, intent: Intent, denial: Denial | None, at: datetime, cause: Cause
) -> Order:
    order = ledger.add(connection, create(new_id(), intent, at), cause)
    if denial is None:
        ledger.count_order(connection, order, desk.calendar.trading_day(at))
        return order
    denied = OrderEvent(EventKind.DENIED, at, code=denial.code, reason=denial.detail)
    return ledger.record(connection, order, denied, cause, desk.books)


def judge(intent: Intent, picture: Picture | Denial) -> tuple[Intent, Denial | None]:
    """The intent with its protection price, and why it may not be placed, if it may not."""
    if isinstance(picture, Denial):
        return intent, picture
    protected = replace(intent, protection_price=protection_price(intent, picture.instrument, picture.quote))
    return protected, risk.judge(protected, picture)


def new_id() -> str:
    """18 characters that fit every broker's tag: lowercase alphanumeric, the first one a letter."""
    return "a" + base64.b32encode(secrets.token_bytes(_RANDOM_BYTES))[:_RANDOM_CHARACTERS].decode().lower()
