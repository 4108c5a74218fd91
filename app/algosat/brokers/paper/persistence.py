"""The paper exchange's tables, read and written: its orders, their trades, and where its market stood.

Whoever opens them takes the exchange over: what is written under an earlier opening, by an engine
that does not know yet that another one has taken its place, is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection, Select, bindparam, select, update

from algosat.brokers.paper import codec
from algosat.brokers.paper.tables import paper_orders, paper_state, paper_trades
from algosat.domain.orders import LIVE, Trade
from algosat.errors import BrokerNotReached
from algosat.exchange.market import Market
from algosat.exchange.order_book import BookOrder
from algosat.exchange.prices.random_walk import Paths
from algosat.store.prepared import Prepared
from algosat.store.upsert import replace_rows

T = TypeVar("T")

# Rows of the state beside those of the symbols, none of which is written in lower case.
_EXCHANGE: Final = "exchange"
_OPENING: Final = "opening"

_STILL_OURS: Final = Prepared(
    update(paper_state).where(paper_state.c.name == _OPENING, paper_state.c.data == bindparam("opening")),
    ("at",),
)


class UnitRunner(Protocol):
    """What the paper exchange needs of the store's writer."""

    def run(self, work: Callable[[Connection], T], *, durable: bool = True) -> T: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where the exchange stands."""

    market: Market
    paths: Paths


class Persistence:
    """The tables, opened by one venue."""

    def __init__(self, store: UnitRunner) -> None:
        self._store = store
        self._opening: dict[str, int] = {}
        self._written: Snapshot | None = None

    def open(self, day: date, at: datetime) -> tuple[Snapshot | None, Sequence[BookOrder]]:
        """Take the exchange over: where it stood, if it ever ran, and its orders of the day and still live.

        What was in flight is lost, as it would be on a wire.
        """

        def work(connection: Connection) -> tuple[dict[str, int], Snapshot | None, Sequence[BookOrder]]:
            rows = connection.execute(select(paper_state.c.name, paper_state.c.data))
            state = {row.name: row.data for row in rows}
            opening = {"number": state.pop(_OPENING, {"number": 0})["number"] + 1}
            replace_rows(paper_state).run(connection, {"name": _OPENING, "at": at, "data": opening})
            live = [status.value for status in LIVE]
            wanted = (paper_orders.c.day == day) | paper_orders.c.status.in_(live)
            orders = _orders(connection, select(paper_orders).where(wanted))
            return opening, _snapshot(state, orders), orders

        self._opening, self._written, orders = self._store.run(work)
        return self._written, orders

    def save(self, orders: Iterable[BookOrder], now: Snapshot, at: datetime) -> None:
        """Write these orders in their newest form, their trades, and what else has changed.

        It does not wait for the disk: a power cut that takes it takes with it whatever anybody wrote, and
        said, because of it. Raises BrokerNotReached when another engine has opened the exchange since.
        """
        changed = {order.id: order for order in orders}.values()
        rows = [codec.order_row(order) for order in changed]
        trades = [row for order in changed for row in codec.trade_rows(order)]
        state = list(_state_rows(self._written, now, at))

        def work(connection: Connection) -> None:
            if _STILL_OURS.run(connection, {"opening": self._opening, "at": at}) != 1:
                raise BrokerNotReached("another engine has taken over the paper exchange")
            # Whether they are there already or not: a write whose outcome was lost may be repeated.
            replace_rows(paper_orders).run_each(connection, rows)
            replace_rows(paper_trades).run_each(connection, trades)
            replace_rows(paper_state).run_each(connection, state)

        self._store.run(work, durable=False)
        self._written = now

    def with_tag(self, tag: str) -> Sequence[BookOrder]:
        """Orders of any day."""
        query = select(paper_orders).where(paper_orders.c.tag == tag)
        return self._store.run(lambda connection: _orders(connection, query))


def _state_rows(before: Snapshot | None, now: Snapshot, at: datetime) -> Iterable[dict[str, Any]]:
    """Rows of what differs from the snapshot before: values that did not change are the same objects."""
    yield {"name": _EXCHANGE, "at": at, "data": {"sequence": now.market.sequence}}
    for symbol, path in now.paths.items():
        book = now.market.book(symbol)
        same_path = before is not None and before.paths.get(symbol) is path
        if not same_path or before is None or before.market.books.get(symbol) is not book:
            data = {"path": codec.path_data(path), "book": codec.book_data(book)}
            yield {"name": symbol, "at": at, "data": data}


def _snapshot(state: dict[str, Any], orders: Sequence[BookOrder]) -> Snapshot | None:
    exchange = state.pop(_EXCHANGE, None)
    if exchange is None:
        return None
    live: dict[str, list[BookOrder]] = {symbol: [] for symbol in state}
    for order in orders:
        if order.is_live:
            live[order.terms.symbol].append(order)
    books = {symbol: codec.book_of(symbol, data["book"], live[symbol]) for symbol, data in state.items()}
    paths = {symbol: codec.path_of(data["path"]) for symbol, data in state.items()}
    return Snapshot(Market(books=books, sequence=exchange["sequence"]), paths)


def _orders(connection: Connection, query: Select[Any]) -> Sequence[BookOrder]:
    """Oldest first, with their trades."""
    rows = connection.execute(query.order_by(paper_orders.c.id)).mappings().all()
    trades: dict[str, list[Trade]] = {}
    for start in range(0, len(rows), 500):  # databases bound how many values a statement may carry
        ids = [row["id"] for row in rows[start : start + 500]]
        found = connection.execute(select(paper_trades).where(paper_trades.c.order_id.in_(ids))).mappings()
        for row in found:
            trades.setdefault(row["order_id"], []).append(codec.trade_of(row))
    return [codec.order_of(row, codec.in_order(trades.get(row["id"], []))) for row in rows]
