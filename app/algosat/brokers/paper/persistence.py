"""The tables of the paper exchange: its orders, their trades and the state of its market.

The tables are in the database of the ledger but have no references to it: like a real exchange's order
book, they show what the exchange accepted, whatever the engine believes.

Opening them takes the exchange over. Writes under an earlier opening, by an engine that does not know
yet that it was replaced, are refused.

Each paper account has an exchange of its own, with its own orders and prices. Conversions of positions are
no orders: they have a table of their own, which earlier releases do not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Date,
    Index,
    Integer,
    String,
    Table,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    type_coerce,
    update,
)

from algosat.brokers.paper import codec
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import FinalSettlement
from algosat.domain.orders import LIVE, Product, Side, Trade
from algosat.errors import BrokerNotReached
from algosat.exchange.market import Market
from algosat.exchange.order_book import BookOrder, SymbolBook
from algosat.exchange.prices.random_walk import Path, Paths
from algosat.store.prepared import Prepared
from algosat.store.row_writes import replace_rows
from algosat.store.tables import metadata
from algosat.store.types import Json, Scaled, UtcTime

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExchangeTables:
    """The tables of some paper accounts."""

    orders: Table
    trades: Table
    # One row per symbol and two others, whose names are in lower case; symbols are not.
    state: Table


def _tables(prefix: str, key: Callable[[], list[Column[Any]]]) -> ExchangeTables:
    """Declare the tables; `key` are the columns before the others of each primary key."""
    orders = Table(
        f"{prefix}_orders",
        metadata,
        *key(),
        Column("id", String(32), primary_key=True),
        Column("tag", String(64), nullable=False),  # not unique: a tag sent twice is two orders
        Column("symbol", String(64), nullable=False),
        Column("day", Date, nullable=False),
        Column("status", String(20), nullable=False),
        Column("quantity", Scaled, nullable=False),
        Column("filled_quantity", Scaled, nullable=False),
        Column("version", Integer, nullable=False),
        Column("placed_at", UtcTime, nullable=False),
        Column("updated_at", UtcTime, nullable=False),
        Column("data", Json, nullable=False),  # all other fields, as `codec` writes them
    )
    trades = Table(
        f"{prefix}_trades",
        metadata,
        *key(),
        Column("id", String(48), primary_key=True),
        Column("order_id", String(32), nullable=False),
        Column("tag", String(64), nullable=False),
        Column("symbol", String(64), nullable=False),
        Column("side", String(4), nullable=False),
        Column("quantity", Scaled, nullable=False),
        Column("price", Scaled, nullable=False),
        Column("at", UtcTime, nullable=False),
    )
    state = Table(
        f"{prefix}_state",
        metadata,
        *key(),
        Column("name", String(32), primary_key=True),
        Column("at", UtcTime, nullable=False),
        Column("data", Json, nullable=False),
    )
    names = [column.name for column in key()]
    Index(f"ix_{prefix}_orders_tag", *(orders.c[name] for name in (*names, "tag")))
    Index(f"ix_{prefix}_orders_day", *(orders.c[name] for name in (*names, "day")))
    Index(f"ix_{prefix}_trades_order_id", *(trades.c[name] for name in (*names, "order_id")))
    return ExchangeTables(orders, trades, state)


# Of the account `paper` alone: releases before the other tables go on with these after a rollback.
_FIRST: Final = "paper"
_OF_FIRST: Final = _tables("paper", list)
paper_orders, paper_trades, paper_state = _OF_FIRST.orders, _OF_FIRST.trades, _OF_FIRST.state
_OF_OTHERS: Final = _tables("account_paper", lambda: [Column("account", String(64), primary_key=True)])
paper_conversions = Table(
    "paper_conversions",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("symbol", String(64), nullable=False),
    Column("source", String(16), nullable=False),  # product
    Column("target", String(16), nullable=False),
    Column("quantity", Scaled, nullable=False),  # negative: of a short position
    Column("day", Date, nullable=False),
    Column("at", UtcTime, nullable=False),
)
_EXCHANGE: Final = "exchange"
_OPENING: Final = "opening"


def _confirm_opening(state: Table, *key: ColumnElement[bool]) -> Prepared:
    is_opening = (state.c.name == _OPENING, state.c.data == bindparam("opening"))
    return Prepared(update(state).where(*key, *is_opening), ("at",))


_CONFIRM_FIRST: Final = _confirm_opening(_OF_FIRST.state)
_CONFIRM_OTHER: Final = _confirm_opening(_OF_OTHERS.state, _OF_OTHERS.state.c.account == bindparam("account"))


class UnitRunner(Protocol):
    """The part of the store's writer that the paper exchange uses."""

    def run(self, work: Callable[[Connection], T], *, durable: bool = True) -> T: ...


@dataclass(frozen=True, slots=True)
class _SymbolState:
    """What the exchange stores about one symbol, besides its orders."""

    path: Path
    book: SymbolBook
    settlement: FinalSettlement | None

    def is_same(self, other: _SymbolState | None) -> bool:
        """Return whether nothing has changed. Unchanged values are the same objects in both states."""
        return (
            other is not None
            and self.path is other.path
            and self.book is other.book
            and self.settlement is other.settlement
        )

    def data(self) -> dict[str, Any]:
        data = {"path": codec.path_data(self.path), "book": codec.book_data(self.book)}
        if self.settlement is not None:
            data["settlement"] = codec.settlement_data(self.settlement)
        return data


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the exchange at one moment."""

    market: Market
    paths: Paths  # of the listed symbols; after a restart also of contracts that expired since the last write
    settlements: Mapping[str, FinalSettlement] = field(default_factory=dict)  # of expired contracts

    def of_symbol(self, symbol: str) -> _SymbolState:
        return _SymbolState(self.paths[symbol], self.market.book(symbol), self.settlements.get(symbol))


@dataclass(frozen=True, slots=True)
class TradedQuantity:
    """What was traded in a symbol under a product on one side, on the trading day or before."""

    symbol: str
    product: Product
    quantity: Decimal  # negative: sold
    is_of_day: bool

    @property
    def is_position(self) -> bool:
        """Whether it is part of a position; shares of earlier days are holdings."""
        return self.is_of_day or self.product is not Product.DELIVERY


@dataclass(frozen=True, slots=True)
class PaperConversion:
    """A quantity (negative: of a short position) that changes its product."""

    symbol: str
    quantity: Decimal
    source: Product
    target: Product


class Persistence:
    """The tables of one account as opened by one venue."""

    def __init__(self, store: UnitRunner, account: str) -> None:
        self._store = store
        is_first = account == _FIRST
        self._account = account
        self._key = {} if is_first else {"account": account}
        self._tables = _OF_FIRST if is_first else _OF_OTHERS
        self._confirm = _CONFIRM_FIRST if is_first else _CONFIRM_OTHER
        self._opening: dict[str, int] = {}
        self._saved: dict[str, _SymbolState] = {}

    def open(self, day: date, began: datetime, at: datetime) -> tuple[Snapshot | None, Sequence[BookOrder]]:
        """Take the exchange over.

        Requests that were on their way to the exchange are lost.

        Returns: the last saved snapshot, None if the exchange never ran; and the orders of `day`, which began
        at `began`, together with those of earlier days that are still live or ended on it.
        """

        def work(connection: Connection) -> tuple[dict[str, int], Snapshot | None, Sequence[BookOrder]]:
            stored = self._tables.state
            rows = connection.execute(select(stored.c.name, stored.c.data).where(*self._own(stored)))
            state = {row.name: row.data for row in rows}
            opening = {"number": state.pop(_OPENING, {"number": 0})["number"] + 1}
            row = {**self._key, "name": _OPENING, "at": at, "data": opening}
            replace_rows(stored).run(connection, row)
            live = [status.value for status in LIVE]
            table = self._tables.orders
            is_of_day = (table.c.day == day) | (table.c.updated_at >= began)
            orders = self._orders(connection, is_of_day | table.c.status.in_(live))
            return opening, _snapshot(state, orders), orders

        self._opening, saved, orders = self._store.run(work)
        self._saved = {} if saved is None else {symbol: saved.of_symbol(symbol) for symbol in saved.paths}
        return saved, orders

    def save(self, orders: Iterable[BookOrder], now: Snapshot, at: datetime, *, whole: bool) -> None:
        """Write the latest version of each of these orders, their trades, and the books of their symbols.

        With `whole`, also the state of every other symbol that has changed.

        The write does not wait for the disk: a power cut that loses it also loses all later writes, and so
        everything that depends on it.
        Raises BrokerNotReached if another engine has opened the exchange since.
        """
        changed = {order.id: order for order in orders}.values()
        rows = [{**self._key, **codec.order_row(order)} for order in changed]
        trades = [{**self._key, **row} for order in changed for row in codec.trade_rows(order)]
        symbols = now.paths.keys() if whole else {order.terms.symbol for order in changed} & now.paths.keys()
        states = {symbol: now.of_symbol(symbol) for symbol in symbols}
        saved = self._saved
        new = {symbol: state for symbol, state in states.items() if not state.is_same(saved.get(symbol))}
        data: dict[str, dict[str, Any]] = {_EXCHANGE: {"sequence": now.market.sequence}}
        data |= {symbol: new[symbol].data() for symbol in sorted(new)}
        state = [{**self._key, "name": name, "at": at, "data": each} for name, each in data.items()]

        def work(connection: Connection) -> None:
            self._require_opening(connection, at)
            # Upserts, because a write whose outcome was lost may be repeated.
            replace_rows(self._tables.orders).run_each(connection, rows)
            replace_rows(self._tables.trades).run_each(connection, trades)
            replace_rows(self._tables.state).run_each(connection, state)

        self._store.run(work, durable=False)
        saved.update(new)

    def with_tag(self, tag: str) -> Sequence[BookOrder]:
        """Return the orders with this tag, of any day, oldest first."""
        has_tag = self._tables.orders.c.tag == tag
        return self._store.run(lambda connection: self._orders(connection, has_tag))

    def taken_as_fees(self, day: date, bases: Mapping[str, str]) -> list[TradedQuantity]:
        """Return what fees have taken out of the holdings. `bases` are the base currencies by symbol."""
        table = self._tables.orders
        has_fees = (table.c.symbol.in_(bases), table.c.filled_quantity != 0)
        query = select(table.c.symbol, table.c.day, table.c.data).where(*self._own(table), *has_fees)

        def work(connection: Connection) -> list[TradedQuantity]:
            return [
                TradedQuantity(row.symbol, Product(row.data["terms"]["product"]), -fee, row.day == day)
                for row in connection.execute(query)
                for fee, currency in codec.fees_of(row.data)
                if currency == bases[row.symbol]
            ]

        return self._store.run(work, durable=False) if bases else []

    def traded(self, day: date) -> list[TradedQuantity]:
        """Return what was bought, sold and converted in all."""
        return self._store.run(lambda connection: self._traded(connection, day), durable=False)

    def convert(self, wanted: PaperConversion, day: date, at: datetime) -> Decimal | None:
        """Store a conversion. Returns None, or the quantity held if that is too little to convert.

        Raises BrokerNotReached if another engine has opened the exchange since.
        """

        def work(connection: Connection) -> Decimal | None:
            self._require_opening(connection, at)
            source = (wanted.symbol, wanted.source)
            found = [
                each.quantity
                for each in self._traded(connection, day)
                if each.is_position and (each.symbol, each.product) == source
            ]
            held = sum(found, ZERO)
            if held * wanted.quantity <= 0 or abs(wanted.quantity) > abs(held):
                return held
            table = paper_conversions
            newest = select(func.max(table.c.number)).where(table.c.account == self._account)
            row = {
                "account": self._account,
                "number": (connection.execute(newest).scalar() or 0) + 1,
                "symbol": wanted.symbol,
                "source": wanted.source.value,
                "target": wanted.target.value,
                "quantity": wanted.quantity,
                "day": day,
                "at": at,
            }
            connection.execute(insert(table), row)
            return None

        return self._store.run(work)

    def _traded(self, connection: Connection, day: date) -> list[TradedQuantity]:
        """Return what was traded and converted, summed by the database: there may be many orders."""
        orders = self._tables.orders
        product, side = (_of_terms(name, connection.dialect.name) for name in ("product", "side"))
        is_of_day = (orders.c.day == day).label("is_of_day")
        keys = (orders.c.symbol, product, side, is_of_day)
        total = type_coerce(func.sum(orders.c.filled_quantity), Scaled).label("quantity")
        has_trades = orders.c.filled_quantity != 0
        statement = select(*keys, total).where(*self._own(orders), has_trades).group_by(*keys)
        traded = [
            TradedQuantity(
                row.symbol, Product(row.product), Side(row.side).sign * row.quantity, row.is_of_day
            )
            for row in connection.execute(statement)
        ]
        converted = select(paper_conversions).where(paper_conversions.c.account == self._account)
        for row in connection.execute(converted):
            for name, quantity in ((row.source, -row.quantity), (row.target, row.quantity)):
                traded.append(TradedQuantity(row.symbol, Product(name), quantity, row.day == day))
        return traded

    def _require_opening(self, connection: Connection, at: datetime) -> None:
        """Raise BrokerNotReached if another engine has opened the exchange since."""
        if self._confirm.run(connection, {**self._key, "opening": self._opening, "at": at}) != 1:
            raise BrokerNotReached("another engine has taken over the paper exchange")

    def _own(self, table: Table) -> list[ColumnElement[bool]]:
        return [table.c[name] == value for name, value in self._key.items()]

    def _orders(self, connection: Connection, which: ColumnElement[bool]) -> Sequence[BookOrder]:
        """Return the selected orders with their trades, oldest first."""
        orders, trades = self._tables.orders, self._tables.trades
        query = select(orders).where(*self._own(orders), which).order_by(orders.c.id)
        rows = connection.execute(query).mappings().all()
        found: dict[str, list[Trade]] = {}
        for start in range(0, len(rows), 500):  # databases limit the number of values in one statement
            is_one = trades.c.order_id.in_([row["id"] for row in rows[start : start + 500]])
            for row in connection.execute(select(trades).where(*self._own(trades), is_one)).mappings():
                found.setdefault(row["order_id"], []).append(codec.trade_from(row))
        return [codec.order_from(row, codec.sorted_trades(found.get(row["id"], []))) for row in rows]


def _of_terms(name: str, dialect: str) -> ColumnElement[Any]:
    """Return one of an order's terms, which are in the JSON of its row, as a column."""
    path = f"json_extract(data, '$.terms.{name}')"
    if dialect == "postgresql":
        path = f"CAST(data AS json) #>> '{{terms,{name}}}'"
    return literal_column(path, String).label(name)


def _snapshot(state: dict[str, Any], orders: Sequence[BookOrder]) -> Snapshot | None:
    exchange = state.pop(_EXCHANGE, None)
    if exchange is None:
        return None
    live: dict[str, list[BookOrder]] = {symbol: [] for symbol in state}
    for order in orders:
        if order.is_live:
            live[order.terms.symbol].append(order)
    books = {symbol: codec.book_from(symbol, data["book"], live[symbol]) for symbol, data in state.items()}
    paths = {symbol: codec.path_from(data["path"]) for symbol, data in state.items()}
    settlements = {
        symbol: codec.settlement_from(symbol, data["settlement"])
        for symbol, data in state.items()
        if "settlement" in data
    }
    return Snapshot(Market(books=books, sequence=exchange["sequence"]), paths, settlements)
