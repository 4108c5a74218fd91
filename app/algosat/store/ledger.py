"""The ledger: orders, their events, and the positions, balances and daily totals that result from fills.

Everything here runs inside a unit of work of the writer (or a read), so an order, its event,
trade, position, balance and day change together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, func, insert, select, type_coerce, update

from algosat.domain.contract_note import LINE, TOTALS, NoteLine, NoteTotals
from algosat.domain.decimals import ZERO
from algosat.domain.fees import ContractNote
from algosat.domain.orders import EventKind, Order, OrderEvent, Status, Trade, apply
from algosat.domain.positions import Position, fill
from algosat.domain.trade_fees import ChargedFill
from algosat.errors import NotFound
from algosat.store import audit, fallbacks
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.row_writes import add_to_rows, insert_into, replace_rows
from algosat.store.rows import amounts, event_data, order_from, order_state, order_values, terms_data
from algosat.store.tables import balances, contract_notes, days, orders, other_fees, positions, trades
from algosat.store.types import Scaled

_BY_ID = Prepared(select(orders).where(orders.c.id == bindparam("order_id")))
_TRADE = Prepared(
    select(trades.c.order_id).where(
        trades.c.account == bindparam("account"), trades.c.trade_id == bindparam("trade_id")
    )
)
_AMOUNTS = ("cost", "cost_low", "realised", "realised_low", "fees", "fees_low")
_POSITION = (positions.c.quantity, *(positions.c[name] for name in _AMOUNTS))
_TOTALS = (
    select(*(type_coerce(func.sum(contract_notes.c[name]), Scaled).label(f"total_{name}") for name in TOTALS))
    .where(*(contract_notes.c[name] == bindparam(name) for name in ("account", "day", "note")))
    .subquery()
)
# The contract note, the position and the line of its symbol in one statement; null where nothing is booked.
_BEFORE = Prepared(
    select(_TOTALS, *_POSITION, *(contract_notes.c[name] for name in LINE))
    .select_from(_TOTALS)
    .outerjoin(positions, and_(*(column == bindparam(column.name) for column in positions.primary_key)))
    .outerjoin(
        contract_notes, and_(*(column == bindparam(column.name) for column in contract_notes.primary_key))
    )
)
_ADD = Prepared(insert(orders).inline(), (column.name for column in orders.c if column is not orders.c.seq))
_ADD_TRADE = Prepared(
    insert(trades).inline(), (column.name for column in trades.c if column is not trades.c.seq)
)


# Told of an order's events within the unit of work, with the status before them.
Observe = Callable[[Connection, Status | None, Order, Sequence[OrderEvent], Cause], None]


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """Rules for booking a fill: the trading day it belongs to, and the contract note it is charged on.

    `observe` is told of everything that is recorded.
    """

    trading_day: Callable[[datetime], date]
    note: Callable[[Order, Trade], ContractNote | None]  # None: the trade is on no note
    # Of a trade that is on no note.
    fees_without_note: Callable[[Order, Trade], Decimal] = field(default=lambda _order, _trade: ZERO)
    # What a trade changes that states its fee; such a trade is on no note.
    charged_fill: Callable[[Order, Trade], ChargedFill] = field(
        default=lambda _order, trade: ChargedFill(trade.quantity, trade.fee or ZERO)
    )
    observe: Observe = field(default=lambda *_: None)


def add(connection: Connection, order: Order, cause: Cause) -> Order:
    """Store a new order and its `created` event."""
    values = {**order_values(order), "actor": cause.actor, "correlation_id": cause.correlation_id}
    _ADD.run(connection, values)
    audit.append(connection, order.created_at, EventKind.CREATED, order.id, cause, terms_data(order))
    return order


def get(connection: Connection, order_id: str) -> Order:
    """Return an order by id. Raises NotFound."""
    row = _BY_ID.first(connection, order_id=order_id)
    if row is None:
        raise NotFound(f"there is no order {order_id}")
    return order_from(row)


def record(
    connection: Connection, order: Order, event: OrderEvent, cause: Cause, books: Bookkeeping
) -> Order:
    """Apply an event to an order and book its trade.

    `order` must have been read in the same unit of work. A trade that is already booked changes nothing, and
    the order is returned unchanged.
    """
    return record_all(connection, order, [event], cause, books)


def record_all(
    connection: Connection, order: Order, events: Iterable[OrderEvent], cause: Cause, books: Bookkeeping
) -> Order:
    """Apply several events to an order, as `record` does, in this order."""
    return record_new(connection, order, events, cause, books)[0]


def record_new(
    connection: Connection, order: Order, events: Iterable[OrderEvent], cause: Cause, books: Bookkeeping
) -> tuple[Order, list[OrderEvent]]:
    """Apply several events as `record_all` does. Returns the order, and the events as they were recorded.

    Trades that are booked already are not among them. A trade of another order with the same id has the id
    `ID@ORDER`: brokers number trades by exchange and day, and the account's ids are unique.
    """
    recorded: list[OrderEvent] = []
    entries: list[audit.Entry] = []
    changed, corrected = order, False
    for each in events:
        event = each if each.trade is None else _unbooked(connection, changed, each, each.trade)
        if event is None:
            continue
        corrected = corrected or fallbacks.corrects(changed, event)
        entries.append(_entry(changed, event, corrected=corrected))
        changed = apply(changed, event)
        recorded.append(event)
        if event.trade is not None:
            _book(connection, changed, event.trade, books)
    if recorded:
        _put_state(connection, order, changed)
        audit.append_all(connection, entries, cause)
        books.observe(connection, order.status, changed, recorded, cause)
    return changed, recorded


def _entry(order: Order, event: OrderEvent, *, corrected: bool) -> audit.Entry:
    kind = fallbacks.event_kind(order, event, corrected=corrected)
    data = fallbacks.with_exact_kind(kind, event.kind, event_data(event))
    return audit.Entry(event.at, kind, order.id, data)


def count_order(connection: Connection, order: Order, day: date) -> None:
    """Add a new order to the order count of its day."""
    _add_totals(connection, days, _day_key(order, day), {"orders": 1})


def deposit(connection: Connection, account: str, amount: Decimal) -> None:
    """Open an account with this amount of cash, unless it is already open."""
    row = {"account": account, "deposited": amount, **amounts(realised=ZERO, fees=ZERO)}
    connection.execute(insert_into(balances, connection.dialect.name).on_conflict_do_nothing(), row)


def change_deposits(connection: Connection, account: str, amount: Decimal) -> Decimal:
    """Add an amount, which may be negative, to the deposits of an account. Returns the new deposits."""
    _add_totals(connection, balances, {"account": account}, {"deposited": amount})
    statement = select(balances.c.deposited).where(balances.c.account == account)
    deposited: Decimal = connection.execute(statement).scalar_one()
    return deposited


def _put_state(connection: Connection, before: Order, after: Order) -> None:
    """Update the changed columns only: naming an unchanged column rewrites the indexes it is in."""
    known = order_state(before)
    state = {name: value for name, value in order_state(after).items() if value != known[name]}
    _update(tuple(state)).run(connection, {"order_id": after.id, **state})


@cache
def _update(columns: tuple[str, ...]) -> Prepared:
    return Prepared(update(orders).where(orders.c.id == bindparam("order_id")), columns)


def trade_number(order_id: str, trade_id: str) -> str:
    """Return the broker's number of a booked trade of this order."""
    return trade_id.removesuffix(f"@{order_id}")


def _unbooked(connection: Connection, order: Order, event: OrderEvent, trade: Trade) -> OrderEvent | None:
    """Return the event, with an id of the trade that no other order has; None if the trade is booked."""
    known = _order_of(connection, order, trade.id)
    if known is None:
        return event
    # The broker's order was imported as an external one before it was known to be this one.
    number = order.broker_order_id
    if known == order.id or (number is not None and get(connection, known).broker_order_id == number):
        return None
    own = replace(trade, id=f"{trade.id}@{order.id}")
    return None if _order_of(connection, order, own.id) else replace(event, trade=own)


def _order_of(connection: Connection, order: Order, trade_id: str) -> str | None:
    """Return the order under which the account's trade with this id is booked."""
    row = _TRADE.first(connection, account=order.terms.account, trade_id=trade_id)
    return None if row is None else row.order_id


def _book(connection: Connection, order: Order, trade: Trade, books: Bookkeeping) -> None:
    charged = None if trade.fee is None else books.charged_fill(order, trade)
    note = books.note(order, trade) if charged is None else None
    row = _BEFORE.first(connection, **_position_key(order), **_note_key(note))
    if charged is not None:
        fees = charged.fees
    elif note is None:
        fees = books.fees_without_note(order, trade)
    else:
        fees = _put_on_note(connection, note, row, order, trade)
    before = _position(order, row)
    quantity = trade.quantity if charged is None else charged.quantity
    after = fill(before, order.terms.side, quantity, trade.price, fees)
    realised = after.realised - before.realised
    earned = amounts(realised=realised, fees=fees)
    _ADD_TRADE.run(connection, {**_trade_values(order, trade, note, charged), **earned})
    _put_position(connection, after, trade.at)
    _add_totals(connection, balances, {"account": order.terms.account}, earned)
    day = books.trading_day(trade.at)
    _add_totals(connection, days, _day_key(order, day), {"trades": 1, **earned})
    if charged is not None and charged.other_currency is not None:
        key = {"account": order.terms.account, "currency": charged.other_currency}
        _add_totals(connection, other_fees, key, {"amount": charged.other_fee})


def _put_on_note(connection: Connection, note: ContractNote, row: Any, order: Order, trade: Trade) -> Decimal:
    """Add a fill to its contract note. Returns by how much the fill raises the note's charges."""
    totals = NoteTotals(*(getattr(row, f"total_{name}") or ZERO for name in TOTALS))
    before = NoteLine(*(getattr(row, name) or ZERO for name in LINE))
    after = note.add_fill(before, order, trade)
    key = {"account": order.terms.account, "symbol": order.terms.symbol, **_note_key(note)}
    replace_rows(contract_notes).run(connection, {**key, **{name: getattr(after, name) for name in LINE}})
    return note.charges_of_fill(totals, before, after).total


def _note_key(note: ContractNote | None) -> dict[str, Any]:
    return {"day": None, "note": None} if note is None else {"day": note.day, "note": note.name}


def _position(order: Order, row: Any) -> Position:
    key = _position_key(order)
    if row.quantity is None:
        return Position(**key)
    return Position(
        **key,
        quantity=row.quantity,
        cost=row.cost + row.cost_low,
        realised=row.realised + row.realised_low,
        fees=row.fees + row.fees_low,
    )


def _put_position(connection: Connection, position: Position, at: datetime) -> None:
    key = {name: getattr(position, name) for name in ("account", "strategy", "symbol", "product")}
    values = amounts(cost=position.cost, realised=position.realised, fees=position.fees)
    replace_rows(positions).run(
        connection, {**key, "quantity": position.quantity, "updated_at": at, **values}
    )


def _position_key(order: Order) -> dict[str, Any]:
    terms = order.terms
    return {
        "account": terms.account,
        "strategy": terms.strategy or "",
        "symbol": terms.symbol,
        "product": terms.product.value,
    }


def _day_key(order: Order, day: date) -> dict[str, Any]:
    return {"account": order.terms.account, "strategy": order.terms.strategy or "", "day": day}


def _trade_values(
    order: Order, trade: Trade, note: ContractNote | None, charged: ChargedFill | None
) -> dict[str, Any]:
    moved = None if charged is None or charged.quantity == trade.quantity else charged.quantity
    is_other = charged is not None and charged.other_currency is not None
    return {
        **_position_key(order),
        "trade_id": trade.id,
        "order_id": order.id,
        "side": order.terms.side.value,
        "quantity": trade.quantity,
        "price": trade.price,
        "at": trade.at,
        "note": None if note is None else note.name,
        "position_quantity": moved,
        "other_fee": charged.other_fee if charged is not None and is_other else None,
        "other_currency": None if charged is None else charged.other_currency,
    }


def _add_totals(connection: Connection, table: Table, key: dict[str, Any], amounts: dict[str, Any]) -> None:
    """Add amounts to a row of running totals, which starts at 0."""
    add_to_rows(table, tuple(amounts)).run(connection, {**_zeros(table), **amounts, **key})


@cache
def _zeros(table: Table) -> dict[str, int]:
    return {column.name: 0 for column in table.columns if not column.primary_key}
