"""Proof on a live store that it is whole: the chain holds, and replaying events gives the rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, func, select

from algosat.domain.orders import EventKind, Order, Side, apply, create
from algosat.domain.positions import Position, fill
from algosat.errors import AlgosatError
from algosat.store import audit
from algosat.store.audit import GENESIS, Cause, Event
from algosat.store.rows import event_from, intent_from, order_from, position_from
from algosat.store.tables import balances, days, orders, positions, trades

_ZERO: Final = Decimal(0)
_Filled = tuple[Decimal, Decimal]  # quantity and value
_Total = tuple[Decimal, Decimal]  # realised and fees
_NOTHING_FILLED: Final[_Filled] = (_ZERO, _ZERO)


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
    filled: dict[str, _Filled] = defaultdict(lambda: _NOTHING_FILLED)
    number: Counter[tuple[str, str]] = Counter()
    rows = connection.execution_options(yield_per=1000).execute(select(trades).order_by(trades.c.seq))
    for row in rows:
        key = (row.account, row.strategy, row.symbol, row.product)
        before = book.get(key, Position(*key))
        after = book[key] = fill(before, Side(row.side), row.quantity, row.price, row.fees)
        if after.realised - before.realised != row.realised:
            yield f"trade {row.trade_id}: realised {row.realised}, not {after.realised - before.realised}"
        quantity, value = filled[row.order_id]
        filled[row.order_id] = (quantity + row.quantity, value + row.quantity * row.price)
        number[row.account, row.strategy] += 1
    stored = {
        (row.account, row.strategy, row.symbol, row.product): position_from(row)
        for row in connection.execute(select(positions))
    }
    for key in book.keys() | stored.keys():
        if book.get(key) != stored.get(key):
            yield f"position {'/'.join(key)}: stored {stored.get(key)}, its fills give {book.get(key)}"
    yield from _compare_totals(connection, book, number)
    statement = select(orders.c.id, orders.c.filled_quantity, orders.c.filled_value)
    filled_rows = connection.execute(statement.where(orders.c.filled_quantity != 0))
    in_rows = {row.id: (row.filled_quantity, row.filled_value) for row in filled_rows}
    for order_id in in_rows.keys() | filled.keys():
        stated, summed = in_rows.get(order_id, _NOTHING_FILLED), filled[order_id]
        if stated != summed:
            yield f"order {order_id}: filled {_words(stated)}, its trades sum to {_words(summed)}"


def _compare_totals(
    connection: Connection, book: dict[Any, Position], number: Counter[tuple[str, str]]
) -> Iterator[str]:
    """The account's balance, and the days of each strategy, against the positions that all fills give."""
    accounts: dict[str, _Total] = defaultdict(lambda: (_ZERO, _ZERO))
    strategies: dict[tuple[str, str], _Total] = defaultdict(lambda: (_ZERO, _ZERO))
    for each in book.values():
        of_account, of_strategy = accounts[each.account], strategies[each.account, each.strategy]
        accounts[each.account] = (of_account[0] + each.realised, of_account[1] + each.fees)
        strategies[each.account, each.strategy] = (
            of_strategy[0] + each.realised,
            of_strategy[1] + each.fees,
        )
    kept = {row.account: (row.realised, row.fees) for row in connection.execute(select(balances))}
    for account in kept.keys() | accounts.keys():
        if kept.get(account) != accounts[account]:
            yield f"balances of {account}: {kept.get(account)}, its fills give {accounts[account]}"
    sums = (func.sum(days.c[name]) for name in ("realised", "fees", "trades"))
    by_strategy = select(days.c.account, days.c.strategy, *sums).group_by(days.c.account, days.c.strategy)
    counted = {(account, of): tuple(totals) for account, of, *totals in connection.execute(by_strategy)}
    for key in counted.keys() | strategies.keys():
        wanted = (*strategies[key], number[key])
        if counted.get(key) != wanted:
            yield f"days of {'/'.join(key)}: {counted.get(key)}, its fills give {wanted}"


def _words(filled: _Filled) -> str:
    return f"{filled[0]} for {filled[1]}"


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(trades)).scalar_one()
