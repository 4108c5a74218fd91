"""Stores of a given size, filled in bulk with the rows that the ledger writes one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, insert

from algosat.domain.orders import (
    EventKind,
    Order,
    OrderEvent,
    OrderTerms,
    OrderType,
    Product,
    Side,
    Trade,
    apply,
    create,
)
from algosat.domain.positions import Position, fill
from algosat.store import audit, migrate, tables
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.rows import event_data, order_values, terms_data

EVENTS_AN_ORDER: Final = 4
_BEGIN: Final = datetime(2026, 1, 5, 4, 0, tzinfo=UTC)
_CAUSE: Final = Cause("bench", "bench")
_FEES: Final = Decimal("1.25")
_CHUNK: Final = 5000


class Filler:
    """Writes filled orders with their events, trades and book, so that `verify` finds nothing."""

    def __init__(self, path: Path) -> None:
        self.database = Database(f"sqlite:///{path}")
        migrate.upgrade(self.database)
        self._count = 0
        self._last_hash = audit.GENESIS
        self._position = Position("paper", "", "BENCH-EQ", Product.INTRADAY.value)

    def grow_to(self, orders: int, *, with_events: bool = True) -> Database:
        """Fill a store with so many orders. Without events this is faster, but not verifiable."""
        while self._count < orders:
            size = min(_CHUNK, orders - self._count)
            with self.database.write() as connection:
                self._write(connection, range(self._count, self._count + size), with_events)
            self._count += size
        with self.database.write() as connection:
            self._write_book(connection)
        return self.database

    def _write(self, connection: Connection, numbers: range, with_events: bool) -> None:
        orders, events, trades = [], [], []
        for number in numbers:
            order, happened, trade = _life_of(number)
            before = self._position
            self._position = fill(before, order.terms.side, trade.quantity, trade.price, _FEES)
            trades.append(_trade_row(order, trade, self._position.realised - before.realised))
            orders.append({**order_values(order), "actor": "bench", "correlation_id": "bench"})
            if not with_events:
                continue
            events.append(self._event_row(order, EventKind.CREATED, order.created_at, terms_data(order)))
            events += [self._event_row(order, e.kind, e.at, event_data(e)) for e in happened]
        connection.execute(insert(tables.orders), orders)
        if events:
            connection.execute(insert(tables.events), events)
        connection.execute(insert(tables.trades), trades)

    def _event_row(self, order: Order, kind: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
        self._last_hash = audit.chain(self._last_hash, at, kind, order.id, _CAUSE, data)
        return {
            "at": at, "kind": kind, "subject": order.id, "actor": _CAUSE.actor,
            "correlation_id": _CAUSE.correlation_id, "data": data, "hash": self._last_hash,
        }  # fmt: skip

    def _write_book(self, connection: Connection) -> None:
        p = self._position
        for table in (tables.positions, tables.balances, tables.days):
            connection.execute(table.delete())
        connection.execute(
            insert(tables.positions),
            {
                "account": p.account, "strategy": p.strategy, "symbol": p.symbol, "product": p.product,
                "quantity": p.quantity, "cost": p.cost, "realised": p.realised, "fees": p.fees,
                "updated_at": _BEGIN,
            },
        )  # fmt: skip
        totals = {"account": p.account, "realised": p.realised, "fees": p.fees}
        connection.execute(insert(tables.balances), {**totals, "deposited": Decimal(0)})
        connection.execute(
            insert(tables.days),
            {**totals, "strategy": "", "day": _BEGIN.date(), "orders": self._count, "trades": self._count},
        )


def _life_of(number: int) -> tuple[Order, list[OrderEvent], Trade]:
    at = _BEGIN + timedelta(milliseconds=number)
    side = Side.BUY if number % 2 == 0 else Side.SELL
    price = Decimal(100) + Decimal(number % 200) / 20
    terms = OrderTerms(
        "paper", "BENCH-EQ", side, Decimal(10), OrderType.LIMIT, limit_price=price, product=Product.INTRADAY
    )
    trade = Trade(f"T{number}", Decimal(10), price, at)
    events = [
        OrderEvent(EventKind.SUBMITTING, at),
        OrderEvent(EventKind.ACCEPTED, at, broker_order_id=f"B{number}"),
        OrderEvent(EventKind.FILLED, at, trade=trade),
    ]
    order = create(f"a{number:017d}", terms, at)
    for event in events:
        order = apply(order, event)
    return order, events, trade


def _trade_row(order: Order, trade: Trade, realised: Decimal) -> dict[str, Any]:
    return {
        "account": order.terms.account, "trade_id": trade.id, "order_id": order.id,
        "symbol": order.terms.symbol, "strategy": "", "product": order.terms.product.value,
        "side": order.terms.side.value, "quantity": trade.quantity, "price": trade.price,
        "realised": realised, "fees": _FEES, "at": trade.at,
    }  # fmt: skip
