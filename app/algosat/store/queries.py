"""Queries: pages of orders, trades, events and alerts; positions, balances and market data.

Lists are paged by key, not by offset: the last page costs no more than the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    select,
    text,
)

from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Order, Product
from algosat.domain.positions import Position
from algosat.store import fallbacks
from algosat.store.prepared import Prepared
from algosat.store.rows import instrument_from, instrument_from_data, order_from, position_from, quote_from
from algosat.store.tables import (
    WORKING_STATUS,
    alerts,
    balances,
    book_differences,
    days,
    events,
    former_instruments,
    instruments,
    orders,
    other_fees,
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
_HOLDING = Prepared(
    select(positions.c.account).where(
        positions.c.strategy == bindparam("strategy"), positions.c.quantity != ZERO
    )
)
_TRADING = Prepared(
    select(orders.c.account).where(orders.c.strategy == bindparam("strategy"), text(WORKING_STATUS))
)
_WORKING_PLACED_BY = Prepared(_ALL_WORKING.where(orders.c.created_at <= bindparam("at")))
_WORKING_REDUCE_ONLY = Prepared(_ALL_WORKING.where(orders.c.reduce_only))


def _of_symbol(table: Table) -> ColumnElement[bool]:
    return and_(table.c.venue == bindparam("venue"), table.c.symbol == bindparam("symbol"))


_QUOTE = Prepared(select(quotes).where(_of_symbol(quotes)))
_POSITION_QUOTES = Prepared(
    select(quotes).where(
        quotes.c.venue == bindparam("venue"),
        quotes.c.symbol.in_(select(positions.c.symbol).where(positions.c.account == bindparam("account"))),
    )
)
_MARKETS = Prepared(
    select(instruments.c.segment, instruments.c.has_derivatives)
    .where(instruments.c.venue == bindparam("venue"))
    .distinct()
    .order_by(instruments.c.segment, instruments.c.has_derivatives)
)
_INSTRUMENT = Prepared(select(instruments).where(_of_symbol(instruments)))
_FORMER_INSTRUMENT = Prepared(select(former_instruments.c.data).where(_of_symbol(former_instruments)))
_INSTRUMENT_WITH_QUOTE = Prepared(
    select(instruments, *(column for column in quotes.c if not column.primary_key))
    .outerjoin(quotes, and_(quotes.c.venue == instruments.c.venue, quotes.c.symbol == instruments.c.symbol))
    .where(_of_symbol(instruments))
)
_HELD = Prepared(
    select(positions.c.quantity).where(
        *(column == bindparam(column.name) for column in positions.primary_key)
    )
)
_OTHER_FEES = Prepared(
    select(other_fees.c.currency, other_fees.c.amount)
    .where(other_fees.c.account == bindparam("account"))
    .order_by(other_fees.c.currency)
)
_BALANCE = Prepared(select(balances).where(balances.c.account == bindparam("account")))


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first, and the cursor of the next page; None on the last page."""

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
    """Return orders. `equal` filters by the values of columns (account, status, symbol …)."""
    statement = select(orders)
    if since is not None:
        statement = statement.where(orders.c.created_at >= since)
    return _page(connection, orders.c.seq, statement, limit, cursor, equal)


def trades_page(
    connection: Connection, *, limit: int, cursor: int | None = None, **equal: str | None
) -> Page:
    """Return trades. `equal` filters by the values of columns."""
    return _page(connection, trades.c.seq, select(trades), limit, cursor, equal)


def events_page(
    connection: Connection,
    *,
    limit: int,
    cursor: int | None = None,
    since: datetime | None = None,
    kind: str | None = None,
    **equal: str | None,
) -> Page:
    """Return events of the audit trail. `equal` filters by the values of columns (subject, actor)."""
    statement = select(events)
    if kind is not None:
        statement = statement.where(fallbacks.is_of_kind(kind))
    if since is not None:
        statement = statement.where(events.c.at >= since)
    return _page(connection, events.c.seq, statement, limit, cursor, equal)


def alerts_page(
    connection: Connection,
    *,
    limit: int,
    cursor: int | None = None,
    since: datetime | None = None,
    is_open: bool | None = None,
    acknowledged: bool | None = None,
    **equal: str | None,
) -> Page:
    """Return alerts. `equal` filters by the values of columns (account, kind …), `since` by their opening."""
    statement = select(alerts)
    if since is not None:
        statement = statement.where(alerts.c.opened_at >= since)
    if is_open is not None:
        statement = statement.where(alerts.c.closed_at.is_(None) == is_open)
    if acknowledged is not None:
        statement = statement.where(alerts.c.acknowledged_at.is_not(None) == acknowledged)
    return _page(connection, alerts.c.id, statement, limit, cursor, equal)


def differences_page(
    connection: Connection,
    account: str,
    *,
    limit: int,
    cursor: int | None = None,
    is_open: bool | None = None,
) -> Page:
    """Return differences between the books of an account and the broker's."""
    statement = select(book_differences).where(book_differences.c.account == account)
    if is_open is not None:
        statement = statement.where(book_differences.c.settled_at.is_(None) == is_open)
    return _page(connection, book_differences.c.seq, statement, limit, cursor, {})


def accounts_of(connection: Connection, strategy: str) -> set[str]:
    """Return the accounts on which a strategy has an open position or a working order."""
    found = (*_HOLDING.each(connection, strategy=strategy), *_TRADING.each(connection, strategy=strategy))
    return {row.account for row in found}


def working(connection: Connection, account: str) -> list[Order]:
    """Return the working orders of an account, oldest first."""
    return [order_from(row) for row in _WORKING_OF.all(connection, account=account)]


def working_placed_by(connection: Connection, account: str, at: datetime) -> list[Order]:
    """Return the working orders placed at or before `at`, oldest first."""
    return [order_from(row) for row in _WORKING_PLACED_BY.all(connection, account=account, at=at)]


def working_reduce_only(connection: Connection, account: str) -> list[Order]:
    """Return the working reduce-only orders of an account, oldest first."""
    return [order_from(row) for row in _WORKING_REDUCE_ONLY.all(connection, account=account)]


def open_positions(connection: Connection, account: str) -> list[Position]:
    """Return the positions of an account that are not flat."""
    statement = select(positions).where(positions.c.account == account, positions.c.quantity != ZERO)
    return [position_from(row) for row in connection.execute(statement)]


def held(connection: Connection, account: str, strategy: str, symbol: str, product: str) -> Decimal:
    """Return the quantity held; negative: short."""
    key = {"account": account, "strategy": strategy, "symbol": symbol, "product": product}
    found: Decimal | None = _HELD.scalar(connection, **key)
    return ZERO if found is None else found


def open_intraday(connection: Connection, account: str) -> Sequence[Row[Any]]:
    """Return the rows of the intraday positions that are not flat; `updated_at` is their last trade."""
    statement = select(positions).where(
        positions.c.account == account,
        positions.c.product == Product.INTRADAY.value,
        positions.c.quantity != ZERO,
    )
    return connection.execute(statement).all()


def all_positions(connection: Connection, account: str) -> list[Position]:
    """Return all positions of an account, closed ones included for their realised P&L."""
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
    """Return the daily totals of each strategy, newest first."""
    statement = select(days).where(days.c.account == account)
    if strategy is not None:
        statement = statement.where(days.c.strategy == strategy)
    if since is not None:
        statement = statement.where(days.c.day >= since)
    if until is not None:
        statement = statement.where(days.c.day <= until)
    return connection.execute(statement.order_by(days.c.day.desc(), days.c.strategy)).all()


def balance(connection: Connection, account: str) -> Any:
    """Return the balance row of an account; None if it is not open."""
    return _BALANCE.first(connection, account=account)


def other_fees_of(connection: Connection, account: str) -> list[Any]:
    """Return the fees of an account in other currencies than its own: `currency` and `amount`."""
    return _OTHER_FEES.all(connection, account=account)


def instrument(connection: Connection, venue: str, symbol: str) -> Instrument | None:
    """Return an instrument, also if it is no longer listed and still held."""
    row = _INSTRUMENT.first(connection, venue=venue, symbol=symbol)
    if row is not None:
        return instrument_from(row)
    former = _FORMER_INSTRUMENT.scalar(connection, venue=venue, symbol=symbol)
    return None if former is None else instrument_from_data(former)


def listed(connection: Connection, venue: str, symbol: str) -> tuple[Instrument | None, Quote | None]:
    """Return an instrument and its quote, each None if unknown."""
    row = _INSTRUMENT_WITH_QUOTE.first(connection, venue=venue, symbol=symbol)
    if row is None:
        return None, None
    return instrument_from(row), None if row.last is None else quote_from(row)


def listed_markets(connection: Connection, venue: str) -> list[tuple[str, bool]]:
    """Return segment and `has_derivatives` of the instruments: each pair has hours of its own."""
    return [(row.segment, row.has_derivatives) for row in _MARKETS.all(connection, venue=venue)]


def all_instruments(connection: Connection, venue: str) -> list[Instrument]:
    statement = select(instruments).where(instruments.c.venue == venue).order_by("symbol")
    return [instrument_from(row) for row in connection.execute(statement)]


def quote(connection: Connection, venue: str, symbol: str) -> Quote | None:
    row = _QUOTE.first(connection, venue=venue, symbol=symbol)
    return None if row is None else quote_from(row)


def position_quotes(connection: Connection, venue: str, account: str) -> dict[str, Quote]:
    """Return the quotes of the symbols in which the account has or had positions."""
    rows = _POSITION_QUOTES.each(connection, venue=venue, account=account)
    return {row.symbol: quote_from(row) for row in rows}


def _filtered(column: Column[Any]) -> ColumnElement[Any]:
    """Return a column to filter a page by. SQLite would look up the account, and sort all its rows."""
    return column.concat("") if column.name == "account" else column


def _page(
    connection: Connection,
    key: Column[int],
    statement: Select[Any],
    limit: int,
    cursor: int | None,
    equal: dict[str, str | None],
) -> Page:
    for name, value in equal.items():
        if value is not None:
            statement = statement.where(_filtered(key.table.c[name]) == value)
    if cursor is not None:
        statement = statement.where(key < cursor)
    rows = connection.execute(statement.order_by(key.desc()).limit(limit + 1)).all()
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], rows[limit - 1]._mapping[key])
