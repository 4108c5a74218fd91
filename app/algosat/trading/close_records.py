"""Closes as they are stored: who requested what, and the progress of each line."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, func, insert, select, text, update

from algosat.domain.closing import FINISHED, CloseReason, CloseState, LineState
from algosat.domain.decimals import ZERO
from algosat.domain.orders import OrderType, Product, Side
from algosat.errors import NotFound
from algosat.store import fallbacks
from algosat.store.prepared import Prepared
from algosat.store.queries import Page
from algosat.store.tables import IS_DUST, IS_UNFINISHED, close_lines, closes, orders, positions, trades

LineKey = tuple[str, str, str]  # strategy ('' for orders placed by hand), symbol, product

_KEY: Final = ("strategy", "symbol", "product")
_BY_ID = Prepared(select(closes).where(closes.c.id == bindparam("close_id")))
_UNFINISHED = Prepared(
    select(closes).where(closes.c.account == bindparam("account"), text(IS_UNFINISHED)).order_by(closes.c.seq)
)
_LINES = Prepared(
    select(close_lines)
    .where(close_lines.c.close_id == bindparam("close_id"))
    .order_by(*(close_lines.c[name] for name in _KEY))
)
_DUST = Prepared(
    select(*(positions.c[name] for name in _KEY))
    .join(close_lines, and_(*(close_lines.c[name] == positions.c[name] for name in ("account", *_KEY))))
    .where(
        positions.c.account == bindparam("account"),
        positions.c.quantity != ZERO,
        text(IS_DUST),
        close_lines.c.finished_at >= positions.c.updated_at,
    )
)
_FILLED_SINCE = Prepared(
    select(trades.c.quantity, orders.c.seq)
    .join(orders, orders.c.id == trades.c.order_id)
    .where(
        trades.c.symbol == bindparam("symbol"),
        trades.c.seq > bindparam("after"),
        trades.c.account == bindparam("account"),
        trades.c.strategy == bindparam("strategy"),
        trades.c.product == bindparam("product"),
        trades.c.side == bindparam("side"),
    )
)


@dataclass(frozen=True, slots=True)
class CloseLine:
    """One position of a close: the quantity held, the quantity to close, and the progress."""

    close_id: str
    strategy: str  # '' for orders placed by hand
    symbol: str
    product: Product
    account: str
    held: Decimal  # when the close was asked; negative: short
    quantity: Decimal  # to be closed
    denies_entries: bool  # the gate denies orders that would open or increase this position
    updated_at: datetime
    state: LineState = LineState.CANCELLING
    detail: str = ""
    order_ids: tuple[str, ...] = ()  # of the exits it placed
    watched_ids: tuple[str, ...] = ()  # those of them whose outcome has not been judged
    refusals: int = 0  # one after another
    retry_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def key(self) -> LineKey:
        return self.strategy, self.symbol, self.product.value

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    def in_state(self, state: LineState, detail: str) -> CloseLine:
        return replace(self, state=state, detail=detail)


@dataclass(frozen=True, slots=True)
class Close:
    """A close: one request to be flat, or smaller, in one or more lines."""

    id: str
    account: str
    actor: str
    correlation_id: str
    reason: CloseReason
    strategy: str | None  # None: every strategy's positions; '': those of orders placed by hand
    symbol: str | None
    product: Product | None
    type: OrderType
    limit_price: Decimal | None
    quantity: Decimal | None
    share: Decimal | None  # percent
    trades_up_to: int  # number of the newest trade when it was asked
    orders_up_to: int | None  # number of the newest order it cancels; None: it cancels later ones, too
    created_at: datetime
    finished_at: datetime | None = None
    lines: tuple[CloseLine, ...] = ()

    @property
    def is_partial(self) -> bool:
        return self.quantity is not None or self.share is not None

    @property
    def state(self) -> CloseState:
        states = {line.state for line in self.lines}
        if LineState.NEEDS_PERSON in states:
            return CloseState.NEEDS_PERSON
        if states & {LineState.CANCELLING, LineState.SENDING}:
            return CloseState.CLOSING
        if LineState.WAITING in states:
            return CloseState.WAITING
        return CloseState.STOPPED if LineState.STOPPED in states else CloseState.FINISHED


_COLUMNS: Final = tuple(column.name for column in closes.c if column is not closes.c.seq)
_ADD = Prepared(insert(closes).inline(), _COLUMNS)
_ADD_LINE = Prepared(insert(close_lines), close_lines.c.keys())


def add(connection: Connection, close: Close) -> Close:
    """Store a new close and its lines."""
    _ADD.run(connection, {name: _plain(getattr(close, name)) for name in _COLUMNS})
    for line in close.lines:
        _ADD_LINE.run(connection, _values(line))
    return close


def put_line(connection: Connection, line: CloseLine) -> None:
    """Store the present state of a line."""
    values = _values(line)
    key = [close_lines.c[name] == values.pop(name) for name in ("close_id", *_KEY)]
    connection.execute(update(close_lines).where(*key).values(values))


def finish(connection: Connection, close_id: str, at: datetime) -> bool:
    """Mark the close finished if all its lines are. Returns whether it was marked now."""
    close = get(connection, close_id)
    if close.finished_at is not None or not all(line.is_finished for line in close.lines):
        return False
    connection.execute(update(closes).where(closes.c.id == close_id).values(finished_at=at))
    return True


def get(connection: Connection, close_id: str) -> Close:
    """Return a close by id. Raises NotFound."""
    row = _BY_ID.first(connection, close_id=close_id)
    if row is None:
        raise NotFound(f"there is no close {close_id}")
    return _with_lines(connection, row)


def unfinished(connection: Connection, account: str) -> list[Close]:
    """Return the closes of an account that are under way, oldest first."""
    return [_with_lines(connection, row) for row in _UNFINISHED.all(connection, account=account)]


def dust(connection: Connection, account: str) -> set[LineKey]:
    """Return the positions that a close has left because they are too small for an order."""
    return {(row.strategy, row.symbol, row.product) for row in _DUST.all(connection, account=account)}


def page(
    connection: Connection, account: str, *, limit: int, cursor: int | None, is_finished: bool | None
) -> tuple[list[Close], int | None]:
    """Return closes, newest first, and the cursor of the next page."""
    statement = select(closes).where(closes.c.account == account)
    if is_finished is not None:
        finished_at = closes.c.finished_at
        statement = statement.where(finished_at.is_not(None) if is_finished else finished_at.is_(None))
    if cursor is not None:
        statement = statement.where(closes.c.seq < cursor)
    rows = connection.execute(statement.order_by(closes.c.seq.desc()).limit(limit + 1)).all()
    found = Page(rows, None) if len(rows) <= limit else Page(rows[:limit], rows[limit - 1].seq)
    return [_with_lines(connection, row) for row in found.rows], found.next_cursor


def newest_trade(connection: Connection) -> int:
    return connection.execute(select(func.max(trades.c.seq))).scalar() or 0


def newest_order(connection: Connection) -> int:
    return connection.execute(select(func.max(orders.c.seq))).scalar() or 0


def filled_since(
    connection: Connection, line: CloseLine, side: Side, trades_up_to: int, *, orders_up_to: int | None = None
) -> Decimal:
    """Return the quantity filled in the line since a trade, by orders of this side up to an order number."""
    rows = _FILLED_SINCE.all(
        connection,
        symbol=line.symbol,
        after=trades_up_to,
        account=line.account,
        strategy=line.strategy,
        product=line.product.value,
        side=side.value,
    )
    return sum((row.quantity for row in rows if orders_up_to is None or row.seq <= orders_up_to), ZERO)


def _with_lines(connection: Connection, row: Any) -> Close:
    values = {each.name: getattr(row, each.name) for each in fields(Close) if each.name != "lines"}
    values["reason"] = CloseReason(row.reason)
    values["type"] = OrderType(row.type)
    values["product"] = None if row.product is None else Product(row.product)
    lines = tuple(_line(each) for each in _LINES.all(connection, close_id=row.id))
    return Close(**values, lines=lines)


def _line(row: Any) -> CloseLine:
    values = row._asdict()
    values["product"] = Product(row.product)
    values["state"] = fallbacks.value_of(LineState, row.state, values.pop("state_exact"))
    values["order_ids"], values["watched_ids"] = tuple(row.order_ids), tuple(row.watched_ids)
    return CloseLine(**values)


def _values(line: CloseLine) -> dict[str, Any]:
    values = {each.name: _plain(getattr(line, each.name)) for each in fields(CloseLine)}
    return {**values, **fallbacks.columns("state", line.state)}


def _plain(value: Any) -> Any:
    """Convert a value of a line to one that its column accepts."""
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
