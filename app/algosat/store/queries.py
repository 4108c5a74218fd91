"""What is read from the store: pages of orders and trades, the book, the market.

Lists are paged by key, never by offset: the millionth page costs what the first does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, select, text

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Order
from algosat.domain.positions import Position
from algosat.store.prepared import Prepared
from algosat.store.rows import instrument_from, order_from, position_from, quote_from
from algosat.store.tables import (
    WORKING_STATUS,
    balances,
    days,
    events,
    instruments,
    orders,
    positions,
    quotes,
    trades,
)

_ALL_WORKING = (
    select(orders)
    .where(orders.c.account == bindparam("account"), text(WORKING_STATUS))
    .order_by(orders.c.seq)
)
_WORKING_OF = Prepared(_ALL_WORKING)
_WORKING_SINCE = Prepared(_ALL_WORKING.where(orders.c.created_at <= bindparam("at")))
_REDUCING = Prepared(_ALL_WORKING.where(orders.c.reduce_only))
_QUOTE = Prepared(select(quotes).where(quotes.c.symbol == bindparam("symbol")))
_INSTRUMENT = Prepared(select(instruments).where(instruments.c.symbol == bindparam("symbol")))
_LISTED = Prepared(
    select(instruments, *(column for column in quotes.c if column is not quotes.c.symbol))
    .outerjoin(quotes, quotes.c.symbol == instruments.c.symbol)
    .where(instruments.c.symbol == bindparam("symbol"))
)
_BALANCE = Prepared(select(balances).where(balances.c.account == bindparam("account")))


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first, and the key to ask for those after them."""

    rows: Sequence[Row[Any]]
    next_cursor: int | None


def orders_page(
    connection: Connection,
    *,
    limit: int,
    cursor: int | None = None,
    since: datetime | None = None,
    **equal: str | None,
) -> Page:
    """Orders whose columns named in `equal` (status, symbol, strategy) have these values."""
    statement = select(orders)
    if since is not None:
        statement = statement.where(orders.c.created_at >= since)
    return _page(connection, orders, statement, limit, cursor, equal)


def trades_page(
    connection: Connection, *, limit: int, cursor: int | None = None, **equal: str | None
) -> Page:
    return _page(connection, trades, select(trades), limit, cursor, equal)


def events_page(
    connection: Connection,
    *,
    limit: int,
    cursor: int | None = None,
    since: datetime | None = None,
    **equal: str | None,
) -> Page:
    """Events of the audit trail whose columns named in `equal` (kind, subject, actor) have these values."""
    statement = select(events)
    if since is not None:
        statement = statement.where(events.c.at >= since)
    return _page(connection, events, statement, limit, cursor, equal)


def working(connection: Connection, account: str) -> list[Order]:
    """The account's orders that are not at an end, oldest first."""
    return [order_from(row) for row in _WORKING_OF.all(connection, account=account)]


def working_since(connection: Connection, account: str, at: datetime) -> list[Order]:
    """Those of them that were placed at that moment or before."""
    return [order_from(row) for row in _WORKING_SINCE.all(connection, account=account, at=at)]


def working_reduce_only(connection: Connection, account: str) -> list[Order]:
    """Those of them that may only reduce."""
    return [order_from(row) for row in _REDUCING.all(connection, account=account)]


def open_positions(connection: Connection, account: str) -> list[Position]:
    statement = select(positions).where(positions.c.account == account, positions.c.quantity != Decimal(0))
    return [position_from(row) for row in connection.execute(statement)]


def all_positions(connection: Connection, account: str) -> list[Position]:
    """Also those that are closed by now, for what they realised."""
    statement = select(positions).where(positions.c.account == account)
    return [position_from(row) for row in connection.execute(statement)]


def days_of(
    connection: Connection,
    account: str,
    *,
    strategy: str | None = None,
    since: date | None = None,
    until: date | None = None,
) -> Sequence[Row[Any]]:
    """What each trading day came to, by strategy, newest first."""
    statement = select(days).where(days.c.account == account)
    if strategy is not None:
        statement = statement.where(days.c.strategy == strategy)
    if since is not None:
        statement = statement.where(days.c.day >= since)
    if until is not None:
        statement = statement.where(days.c.day <= until)
    return connection.execute(statement.order_by(days.c.day.desc(), days.c.strategy)).all()


def balance(connection: Connection, account: str) -> Any:
    """The row of an account's balance; None before it was opened."""
    return _BALANCE.first(connection, account=account)


def instrument(connection: Connection, symbol: str) -> Instrument | None:
    row = _INSTRUMENT.first(connection, symbol=symbol)
    return None if row is None else instrument_from(row)


def listed(connection: Connection, symbol: str) -> tuple[Instrument | None, Quote | None]:
    """An instrument and its price, as far as they are known."""
    row = _LISTED.first(connection, symbol=symbol)
    if row is None:
        return None, None
    return instrument_from(row), None if row.last is None else quote_from(row)


def all_instruments(connection: Connection) -> list[Instrument]:
    return [instrument_from(row) for row in connection.execute(select(instruments).order_by("symbol"))]


def quote(connection: Connection, symbol: str) -> Quote | None:
    row = _QUOTE.first(connection, symbol=symbol)
    return None if row is None else quote_from(row)


def all_quotes(connection: Connection) -> dict[str, Quote]:
    return {row.symbol: quote_from(row) for row in connection.execute(select(quotes))}


def _page(
    connection: Connection,
    table: Table,
    statement: Select[Any],
    limit: int,
    cursor: int | None,
    equal: dict[str, str | None],
) -> Page:
    for name, value in equal.items():
        if value is not None:
            statement = statement.where(table.c[name] == value)
    if cursor is not None:
        statement = statement.where(table.c.seq < cursor)
    rows = connection.execute(statement.order_by(table.c.seq.desc()).limit(limit + 1)).all()
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], rows[limit - 1].seq)
