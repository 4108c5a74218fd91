"""Proof on a live store that it is whole: the chain holds, and replaying events gives the rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from algosat.domain.orders import EventKind, Order, Side, apply, create
from algosat.domain.positions import Position, fill
from algosat.errors import AlgosatError
from algosat.store import audit
from algosat.store.audit import GENESIS, Cause, Event
from algosat.store.rows import event_from, intent_from, order_from, position_from
from algosat.store.tables import balances, days, orders, positions, trades


@dataclass(frozen=True, slots=True)
class Verdict:
    events: int
    orders: int
    trades: int
    findings: list[str]

    @property
    def clean(self) -> bool:
        return not self.findings


def verify(connection: Connection) -> Verdict:
    """Replay everything in the store and compare. Findings are sentences that name what is wrong."""
    replayed, events, findings = _replay(connection)
    findings += _compare_orders(connection, replayed)
    findings += _compare_book(connection)
    return Verdict(events, len(replayed), _count(connection), findings)


def _replay(connection: Connection) -> tuple[dict[str, Order], int, list[str]]:
    replayed: dict[str, Order] = {}
    findings: list[str] = []
    previous, count = GENESIS, 0
    for event in audit.all_events(connection):
        count += 1
        link = audit.chain(
            previous,
            event.at,
            event.kind,
            event.subject,
            Cause(event.actor, event.correlation_id),
            event.data,
        )
        if link != event.hash:
            findings.append(f"event {event.seq}: it does not follow from the one before it, or was changed")
        previous = event.hash
        if event.kind.startswith("order."):
            findings += _step(replayed, event)
    return replayed, count, findings


def _step(replayed: dict[str, Order], event: Event) -> list[str]:
    if event.kind == EventKind.CREATED:
        replayed[event.subject] = create(
            event.subject, intent_from(event.data), event.at, external=event.data["external"]
        )
        return []
    if event.subject not in replayed:
        return [f"event {event.seq}: order {event.subject} was never created"]
    try:
        order = apply(replayed[event.subject], event_from(event.kind, event.at, event.data))
    except AlgosatError as error:
        return [f"event {event.seq}: {error.detail}"]
    replayed[event.subject] = order
    return []


def _compare_orders(connection: Connection, replayed: dict[str, Order]) -> Iterator[str]:
    seen = 0
    rows = connection.execution_options(yield_per=1000).execute(select(orders))
    for row in rows:
        seen += 1
        stored, wanted = order_from(row), replayed.get(row.id)
        if wanted is None:
            yield f"order {row.id}: it has no events"
        elif stored != wanted:
            yield f"order {row.id} differs from what its events say: {_difference(stored, wanted)}"
    if seen < len(replayed):
        yield f"{len(replayed) - seen} orders have events but no row"


def _difference(stored: Order, wanted: Order) -> str:
    names = [name for name in Order.__slots__ if getattr(stored, name) != getattr(wanted, name)]
    return ", ".join(f"{name} {getattr(wanted, name)} (not {getattr(stored, name)})" for name in names)


def _compare_book(connection: Connection) -> Iterator[str]:
    """Positions, balances and days against the sum of all fills; each order's fills against its trades."""
    book: dict[tuple[str, str, str, str], Position] = {}
    filled: dict[str, Decimal] = defaultdict(Decimal)
    rows = connection.execution_options(yield_per=1000).execute(select(trades).order_by(trades.c.seq))
    for row in rows:
        key = (row.account, row.strategy, row.symbol, row.product)
        book[key] = fill(book.get(key, Position(*key)), Side(row.side), row.quantity, row.price, row.fees)
        filled[row.order_id] += row.quantity
    stored = {
        (row.account, row.strategy, row.symbol, row.product): position_from(row)
        for row in connection.execute(select(positions))
    }
    for key in book.keys() | stored.keys():
        if book.get(key) != stored.get(key):
            yield f"position {'/'.join(key)}: stored {stored.get(key)}, its fills give {book.get(key)}"
    yield from _compare_totals(connection, book)
    statement = select(orders.c.id, orders.c.filled_quantity).where(orders.c.filled_quantity != 0)
    in_rows = {row.id: row.filled_quantity for row in connection.execute(statement)}
    for order_id in in_rows.keys() | filled.keys():
        stated, summed = in_rows.get(order_id, 0), filled.get(order_id, 0)
        if stated != summed:
            yield f"order {order_id}: filled {stated}, its trades sum to {summed}"


def _compare_totals(connection: Connection, book: dict[Any, Position]) -> Iterator[str]:
    for table in (balances, days):
        statement = select(table.c.account, func.sum(table.c.realised), func.sum(table.c.fees))
        for account, realised, fees in connection.execute(statement.group_by(table.c.account)):
            of_account = [position for position in book.values() if position.account == account]
            wanted = (
                sum((position.realised for position in of_account), Decimal(0)),
                sum((position.fees for position in of_account), Decimal(0)),
            )
            if (realised, fees) != wanted:
                yield f"{table.name} of {account}: realised {realised}, fees {fees}; its fills give {wanted}"


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(trades)).scalar_one()
