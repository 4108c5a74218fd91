"""The halts that are in force: persisted, so that they outlive every process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from algosat.domain.orders import Order
from algosat.store.prepared import Prepared
from algosat.store.tables import halts, orders

ALL: Final = "all"  # the scope of everything; every other scope is a strategy's name

_ALL_HALTS = Prepared(select(halts).order_by(halts.c.at))


@dataclass(frozen=True, slots=True)
class Halt:
    scope: str
    at: datetime
    actor: str
    reason: str
    flatten: bool  # the engine goes on closing positions until none is left
    cancels_up_to: int | None = None  # the last order when it was put: what works of them goes; None: stays

    def covers(self, strategy: str | None) -> bool:
        return self.scope in (ALL, strategy or "")

    def recalls(self, order: Order, number: int) -> bool:
        """Whether it wants an order cancelled: not a way out that was asked for while it stood.

        Orders are told apart by their number in the store: a clock may be put back.
        """
        if self.cancels_up_to is None or not self.covers(order.terms.strategy):
            return False
        return number <= self.cancels_up_to or not order.terms.reduce_only


def in_force(connection: Connection) -> list[Halt]:
    return [Halt(**row._asdict()) for row in _ALL_HALTS.all(connection)]


def reasons(connection: Connection, strategy: str | None) -> tuple[str, ...]:
    """Why a strategy (or somebody by hand, None) may open nothing now; empty when he may."""
    return tuple(f"{halt.reason} ({halt.scope})" for halt in in_force(connection) if halt.covers(strategy))


def last_order(connection: Connection) -> int:
    return connection.execute(select(func.max(orders.c.seq))).scalar() or 0


def put(connection: Connection, halt: Halt) -> None:
    lift(connection, halt.scope)
    row = {name: getattr(halt, name) for name in Halt.__slots__}
    connection.execute(insert(halts), row)


def lift(connection: Connection, scope: str) -> bool:
    """Whether there was anything to lift."""
    return connection.execute(delete(halts).where(halts.c.scope == scope)).rowcount > 0
