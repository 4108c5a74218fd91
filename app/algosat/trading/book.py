"""The account's book as the gate needs it: what is held and working, line by line, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, text, type_coerce

from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Product, Side
from algosat.domain.risk import Line
from algosat.store.tables import WORKING_STATUS, instruments, orders, positions, quotes
from algosat.store.types import Scaled

Key = tuple[str, str, str]  # strategy, symbol, product

_ZERO: Final = Decimal(0)
_POSITIONS = select(
    positions.c.strategy,
    positions.c.symbol,
    positions.c.product,
    positions.c.quantity,
    positions.c.cost,
    positions.c.realised,
    positions.c.fees,
).where(positions.c.account == bindparam("account"))
_WORKING = select(
    orders.c.id,
    orders.c.strategy,
    orders.c.symbol,
    orders.c.product,
    orders.c.side,
    type_coerce(orders.c.quantity - orders.c.filled_quantity, Scaled).label("remaining"),
    orders.c.limit_price,
    orders.c.protection_price,
    orders.c.trigger_price,
).where(orders.c.account == bindparam("account"), text(WORKING_STATUS))
_MARKS = (
    select(instruments.c.symbol, instruments.c.kind, quotes.c.last)
    .join(quotes, quotes.c.symbol == instruments.c.symbol)
    .where(instruments.c.symbol.in_(bindparam("symbols", expanding=True)))
)


@dataclass(frozen=True, slots=True)
class Book:
    lines: tuple[Line, ...]
    working_orders: dict[str, int]  # by strategy
    earned: dict[str, Decimal]  # by strategy: what was realised, less fees, since the account was opened
    unpriced: frozenset[str]  # symbols in the book without instrument or price: their lines are missing

    def lines_of(self, strategy: str) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.strategy == strategy)

    def worth(self, strategy: str | None = None) -> Decimal:
        """Everything won and lost so far, open positions at their last price; of one strategy, or of all."""
        earned = sum(self.earned.values(), _ZERO) if strategy is None else self.earned.get(strategy, _ZERO)
        lines = self.lines if strategy is None else self.lines_of(strategy)
        return earned + sum((line.unrealised for line in lines), _ZERO)


@dataclass(slots=True)
class _Tally:
    """What a line adds up to while rows are read."""

    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO
    buys: Decimal = _ZERO
    sells: Decimal = _ZERO
    dearest: Decimal = _ZERO


@dataclass(slots=True)
class _Tallies:
    lines: dict[Key, _Tally] = field(default_factory=dict)
    working: dict[str, int] = field(default_factory=dict)
    earned: dict[str, Decimal] = field(default_factory=dict)

    def of(self, row: Any) -> _Tally:
        return self.lines.setdefault((row.strategy, row.symbol, row.product), _Tally())

    def add_positions(self, rows: Iterable[Any]) -> None:
        for row in rows:
            self.earned[row.strategy] = self.earned.get(row.strategy, _ZERO) + row.realised - row.fees
            if row.quantity:
                tally = self.of(row)
                tally.quantity, tally.cost = row.quantity, row.cost

    def add_working(self, rows: Iterable[Any]) -> None:
        for row in rows:
            self.working[row.strategy] = self.working.get(row.strategy, 0) + 1
            tally = self.of(row)
            if row.side == Side.BUY:
                tally.buys += row.remaining
            else:
                tally.sells += row.remaining
            prices = (row.limit_price, row.protection_price, row.trigger_price)
            tally.dearest = max([tally.dearest, *(price for price in prices if price is not None)])


def read(connection: Connection, account: str, *, without: str | None = None) -> Book:
    """The book, but for the order `without`, which is about to be replaced."""
    tallies = _Tallies()
    tallies.add_positions(connection.execute(_POSITIONS, {"account": account}))
    tallies.add_working(
        row for row in connection.execute(_WORKING, {"account": account}) if row.id != without
    )
    marks = _marks(connection, {symbol for _, symbol, _ in tallies.lines})
    lines = tuple(
        _line(key, tally, *marks[key[1]]) for key, tally in tallies.lines.items() if key[1] in marks
    )
    unpriced = frozenset(symbol for _, symbol, _ in tallies.lines if symbol not in marks)
    return Book(lines, tallies.working, tallies.earned, unpriced)


def _marks(connection: Connection, symbols: Iterable[str]) -> dict[str, tuple[InstrumentKind, Decimal]]:
    if not symbols:
        return {}
    rows = connection.execute(_MARKS, {"symbols": sorted(symbols)})
    return {row.symbol: (InstrumentKind(row.kind), row.last) for row in rows}


def _line(key: Key, tally: _Tally, kind: InstrumentKind, last: Decimal) -> Line:
    strategy, symbol, product = key
    return Line(
        strategy=strategy,
        symbol=symbol,
        product=Product(product),
        kind=kind,
        last=last,
        price=max(last, tally.dearest),
        quantity=tally.quantity,
        cost=tally.cost,
        working_buys=tally.buys,
        working_sells=tally.sells,
    )
