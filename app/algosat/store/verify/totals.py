"""Comparison of totals with all fills and orders: positions, balances, days, contract notes, order counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, func, select

from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.contract_note import LINE, NoteLine
from algosat.domain.decimals import ZERO, to_store_places
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Order, Product, Side, Status
from algosat.domain.positions import Position, fill
from algosat.store.rows import position_from
from algosat.store.tables import balances, contract_notes, days, orders, other_fees, positions, trades

_Filled = tuple[Decimal, Decimal]  # quantity and value
_Total = tuple[Decimal, Decimal]  # realised and fees
_Scope = tuple[str, str]  # account and strategy
_A_DAY: Final = timedelta(days=1)
_NOTHING_FILLED: Final[_Filled] = (ZERO, ZERO)
_NoteKey = tuple[str, date, str, str]  # account, day, note and symbol
_NO_FILLS: Final = NoteLine()
_ON_NOTES: Final = tuple(
    name for name in LINE if "brokerage" not in name
)  # brokerage depends on the settings


def compare_book(connection: Connection) -> Iterator[str]:
    """Compare positions, balances and days with all fills, and each order's fills with its trades."""
    replayed: dict[tuple[str, str, str, str], Position] = {}
    filled: dict[str, _Filled] = defaultdict(lambda: _NOTHING_FILLED)
    number: Counter[tuple[str, str]] = Counter()
    on_notes: dict[_NoteKey, NoteLine] = {}
    others: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    rows = connection.execution_options(yield_per=1000).execute(select(trades).order_by(trades.c.seq))
    for row in rows:
        key = (row.account, row.strategy, row.symbol, row.product)
        before = replayed.get(key, Position(*key))
        moved = row.quantity if row.position_quantity is None else row.position_quantity
        after = replayed[key] = fill(before, Side(row.side), moved, row.price, row.fees + row.fees_low)
        if row.other_currency is not None:
            others[row.account, row.other_currency] += row.other_fee
        realised, stated = after.realised - before.realised, row.realised + row.realised_low
        if realised != stated:
            yield f"trade {row.trade_id}: realised {stated}, not {realised}"
        quantity, value = filled[row.order_id]
        filled[row.order_id] = (quantity + row.quantity, value + row.quantity * row.price)
        number[row.account, row.strategy] += 1
        if row.note is not None:
            note = (row.account, row.at.astimezone(EXCHANGE_TIME).date(), row.note, row.symbol)
            on_notes[note] = _with_fill(on_notes.get(note, _NO_FILLS), row)
    stored = {
        (row.account, row.strategy, row.symbol, row.product): position_from(row)
        for row in connection.execute(select(positions))
    }
    for key in replayed.keys() | stored.keys():
        if replayed.get(key) != stored.get(key):
            yield f"position {'/'.join(key)}: stored {stored.get(key)}, its fills give {replayed.get(key)}"
    yield from _compare_totals(connection, replayed, number)
    yield from _compare_other_fees(connection, others)
    yield from _compare_notes(connection, on_notes)
    columns = ("id", "filled_quantity", "filled_value", "filled_value_low")
    statement = select(*(orders.c[name] for name in columns))
    filled_rows = connection.execute(statement.where(orders.c.filled_quantity != 0))
    in_rows = {row.id: (row.filled_quantity, row.filled_value + row.filled_value_low) for row in filled_rows}
    for order_id in in_rows.keys() | filled.keys():
        stated, summed = in_rows.get(order_id, _NOTHING_FILLED), filled[order_id]
        if stated != summed:
            yield f"order {order_id}: filled {_as_text(stated)}, its trades sum to {_as_text(summed)}"


def _compare_other_fees(connection: Connection, summed: Mapping[tuple[str, str], Decimal]) -> Iterator[str]:
    """Compare the fees in other currencies with the trades that state them."""
    stored = {(row.account, row.currency): row.amount for row in connection.execute(select(other_fees))}
    for key in stored.keys() | summed.keys():
        if stored.get(key, ZERO) != summed.get(key, ZERO):
            found = f"stored {stored.get(key)}, its trades give {summed.get(key)}"
            yield f"other fees of {'/'.join(key)}: {found}"


def _compare_totals(
    connection: Connection, replayed: dict[Any, Position], number: Counter[tuple[str, str]]
) -> Iterator[str]:
    """Compare balances and days with the positions replayed from all fills."""
    accounts: dict[str, _Total] = defaultdict(lambda: (ZERO, ZERO))
    strategies: dict[tuple[str, str], _Total] = defaultdict(lambda: (ZERO, ZERO))
    for each in replayed.values():
        of_account, of_strategy = accounts[each.account], strategies[each.account, each.strategy]
        accounts[each.account] = (of_account[0] + each.realised, of_account[1] + each.fees)
        strategies[each.account, each.strategy] = (
            of_strategy[0] + each.realised,
            of_strategy[1] + each.fees,
        )
    stored = {row.account: _earned(row) for row in connection.execute(select(balances))}
    for account in stored.keys() | accounts.keys():
        if stored.get(account) != accounts[account]:
            yield f"balances of {account}: stored {stored.get(account)}, its fills give {accounts[account]}"
    names = ("realised", "realised_low", "fees", "fees_low", "trades")
    sums = (func.sum(days.c[name]).label(name) for name in names)
    by_strategy = select(days.c.account, days.c.strategy, *sums).group_by(days.c.account, days.c.strategy)
    rows = connection.execute(by_strategy)
    counted = {(row.account, row.strategy): (*_earned(row), row.trades) for row in rows}
    for key in counted.keys() | strategies.keys():
        wanted = (*strategies[key], number[key])
        if counted.get(key) != wanted:
            yield f"days of {'/'.join(key)}: stored {counted.get(key)}, its fills give {wanted}"


def _earned(row: Any) -> _Total:
    return row.realised + row.realised_low, row.fees + row.fees_low


def _with_fill(line: NoteLine, trade: Any) -> NoteLine:
    """Return the line of a contract note with a trade, without its brokerage."""
    side, value = Side(trade.side), to_store_places(trade.quantity * trade.price)
    if trade.product == Product.DELIVERY and trade.note.endswith(f"/{InstrumentKind.EQUITY}"):
        return line.with_delivery_fill(side, trade.quantity, value, ZERO, ZERO)
    return line.with_fill(side, value, ZERO)


def _compare_notes(connection: Connection, replayed: Mapping[_NoteKey, NoteLine]) -> Iterator[str]:
    """Compare the turnover on each contract note with the fills that were charged on it."""
    stored = {
        (row.account, row.day, row.note, row.symbol): {name: getattr(row, name) for name in _ON_NOTES}
        for row in connection.execute(select(contract_notes))
    }
    wanted = {key: {name: getattr(line, name) for name in _ON_NOTES} for key, line in replayed.items()}
    for key in stored.keys() | wanted.keys():
        if stored.get(key) != wanted.get(key):
            yield (
                f"contract note {' '.join(map(str, key))}: stored {_described(stored.get(key))}, "
                f"its fills give {_described(wanted.get(key))}"
            )


def _described(line: Mapping[str, Decimal] | None) -> str:
    if line is None:
        return "nothing"
    return ", ".join(f"{name} {amount}" for name, amount in line.items() if amount) or "nothing"


def _as_text(filled: _Filled) -> str:
    return f"{filled[0]} for {filled[1]}"


def compare_counts(connection: Connection, replayed: Iterable[Order]) -> Iterator[str]:
    """Compare the order count of each day and strategy with the replayed orders that passed the gate.

    Orders pass the gate on trading days only, so the day is the venue's date: of the moment at which an order
    was placed, or at which an after-market order is sent. Venues have exchange time or UTC. Which of them an
    account has is in the settings, so an order whose two dates differ may count on either.
    """
    counts: dict[_Scope, _Counts] = defaultdict(_Counts)
    for order in replayed:
        if order.status is not Status.DENIED and not order.external:
            counts[order.terms.account, order.terms.strategy or ""].add(order.due_at)
    statement = select(days.c.account, days.c.strategy, days.c.day, days.c.orders).where(days.c.orders != 0)
    for row in connection.execute(statement):
        counts[row.account, row.strategy].stated[row.day] = row.orders
    for scope in sorted(counts):
        for day, stated, least, most in counts[scope].differences():
            number = f"{least}" if least == most else f"{least} to {most}"
            yield f"days of {'/'.join((*scope, str(day)))}: {stated} orders, but {number} passed the gate"


@dataclass(slots=True)
class _Counts:
    """The order counts of one account and strategy, by day."""

    stated: Counter[date] = field(default_factory=Counter)
    certain: Counter[date] = field(default_factory=Counter)  # orders that have one date
    either: Counter[date] = field(default_factory=Counter)  # by the first of two dates, that in UTC

    def add(self, at: datetime) -> None:
        first, last = at.astimezone(UTC).date(), at.astimezone(EXCHANGE_TIME).date()
        (self.certain if first == last else self.either)[first] += 1

    def differences(self) -> Iterator[tuple[date, int, int, int]]:
        """Yield each wrong day: the stated count, and the least and the greatest possible one."""
        following = {day + _A_DAY for day in self.either}
        left: dict[date, int] = {}  # of the day before: what was not counted there
        for day in sorted(self.stated.keys() | self.certain.keys() | self.either.keys() | following):
            least = self.certain[day] + left.pop(day, 0)
            most = least + self.either[day]
            if not least <= self.stated[day] <= most:
                yield day, self.stated[day], least, most
            left[day + _A_DAY] = most - min(max(self.stated[day], least), most)
