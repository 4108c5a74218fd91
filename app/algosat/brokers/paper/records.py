"""The paper exchange's tables, read and written: its orders, their trades, and where its market stood."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, insert, select

from algosat.brokers.paper import codec
from algosat.brokers.paper.book import BookOrder
from algosat.brokers.paper.market import Market
from algosat.brokers.paper.tables import paper_orders, paper_state, paper_trades
from algosat.brokers.paper.walk import Paths
from algosat.domain.orders import LIVE, Trade

_EXCHANGE: Final = "exchange"  # no symbol is written in lower case


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the exchange needs to go on where it stood."""

    market: Market
    paths: Paths


def load(connection: Connection, day: date) -> tuple[Snapshot | None, Sequence[BookOrder]]:
    """Where the exchange stood, and the orders of the day."""
    return load_snapshot(connection), orders_of_day(connection, day)


def save(
    connection: Connection, orders: Iterable[BookOrder], before: Snapshot | None, now: Snapshot, at: datetime
) -> None:
    """What changed since the snapshot before."""
    save_orders(connection, orders)
    save_snapshot(connection, before, now, at)


def save_orders(connection: Connection, orders: Iterable[BookOrder]) -> None:
    """Bring the rows of these orders up to date; their trades are only ever added to."""
    newest = list({order.id: order for order in orders}.values())
    if not newest:
        return
    ids = [order.id for order in newest]
    known = set(
        connection.execute(select(paper_trades.c.id).where(paper_trades.c.order_id.in_(ids))).scalars()
    )
    connection.execute(delete(paper_orders).where(paper_orders.c.id.in_(ids)))
    connection.execute(insert(paper_orders), [codec.order_row(order) for order in newest])
    trades = [row for order in newest for row in codec.trade_rows(order) if row["id"] not in known]
    if trades:
        connection.execute(insert(paper_trades), trades)


def save_snapshot(connection: Connection, before: Snapshot | None, now: Snapshot, at: datetime) -> None:
    """Write what differs from the snapshot before; values that did not change are the same objects."""
    rows = [{"name": _EXCHANGE, "at": at, "data": {"sequence": now.market.sequence}}]
    for symbol, path in now.paths.items():
        book = now.market.book(symbol)
        if (
            before is None
            or before.paths.get(symbol) is not path
            or before.market.books.get(symbol) is not book
        ):
            data = {"path": codec.path_data(path), "book": codec.book_data(book)}
            rows.append({"name": symbol, "at": at, "data": data})
    names = [row["name"] for row in rows]
    connection.execute(delete(paper_state).where(paper_state.c.name.in_(names)))
    connection.execute(insert(paper_state), rows)


def load_snapshot(connection: Connection) -> Snapshot | None:
    """Where the exchange stood, or None when it has never run. What was in flight is lost, as on a wire."""
    rows = connection.execute(select(paper_state.c.name, paper_state.c.data)).all()
    data: dict[str, dict[str, Any]] = {row.name: row.data for row in rows}
    exchange = data.pop(_EXCHANGE, None)
    if exchange is None:
        return None
    live = load_orders(
        connection, select(paper_orders).where(paper_orders.c.status.in_([status.value for status in LIVE]))
    )
    books = {
        symbol: codec.book_of(symbol, each["book"], [order for order in live if order.terms.symbol == symbol])
        for symbol, each in data.items()
    }
    paths = {symbol: codec.path_of(each["path"]) for symbol, each in data.items()}
    return Snapshot(Market(books=books, sequence=exchange["sequence"]), paths)


def orders_of_day(connection: Connection, day: date) -> Sequence[BookOrder]:
    return load_orders(connection, select(paper_orders).where(paper_orders.c.day == day))


def orders_with_tag(connection: Connection, tag: str) -> Sequence[BookOrder]:
    return load_orders(connection, select(paper_orders).where(paper_orders.c.tag == tag))


def load_orders(connection: Connection, query: Select[Any]) -> Sequence[BookOrder]:
    """Oldest first, with their trades."""
    rows = connection.execute(query.order_by(paper_orders.c.id)).mappings().all()
    trades = _trades(connection, [row["id"] for row in rows])
    return [codec.order_of(row, tuple(trades.get(row["id"], ()))) for row in rows]


def _trades(connection: Connection, order_ids: Sequence[str]) -> dict[str, list[Trade]]:
    trades: dict[str, list[Trade]] = {}
    for start in range(0, len(order_ids), 500):  # databases bound how many values a statement may carry
        chunk = order_ids[start : start + 500]
        rows = connection.execute(select(paper_trades).where(paper_trades.c.order_id.in_(chunk))).mappings()
        for row in rows:
            trades.setdefault(row["order_id"], []).append(codec.trade_of(row))
    # Trades are numbered after their order: …-2 came before …-10.
    return {
        order_id: sorted(each, key=lambda trade: int(trade.id.rpartition("-")[2]))
        for order_id, each in trades.items()
    }
