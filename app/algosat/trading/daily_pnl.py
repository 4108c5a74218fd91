"""The day's profit or loss, measured against a baseline: the scope's equity when the day began.

The baseline follows from the ledger and from the last prices of the previous trading day. It is the same for
every process, at any time of the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from algosat.domain.calendar import moment
from algosat.domain.decimals import ZERO, to_store_places
from algosat.domain.orders import Order, OrderEvent, Side, Trade
from algosat.domain.scope import ACCOUNT, IN_BASELINES, Scope
from algosat.store.prepared import Prepared
from algosat.store.tables import closing_prices, days, openings, quotes, trades
from algosat.trading import account_book
from algosat.trading.account_book import AccountBook
from algosat.trading.desk import Desk

_PAGE: Final = 500
_BASELINE = Prepared(
    select(openings.c.worth).where(
        openings.c.account == bindparam("account"),
        openings.c.strategy == bindparam("strategy"),
        openings.c.day == bindparam("day"),
    )
)
_PRICES = Prepared(
    select(quotes.c.at, quotes.c.last, quotes.c.open, closing_prices.c.day, closing_prices.c.price)
    .outerjoin(
        closing_prices,
        and_(closing_prices.c.venue == quotes.c.venue, closing_prices.c.symbol == quotes.c.symbol),
    )
    .where(quotes.c.venue == bindparam("venue"), quotes.c.symbol == bindparam("symbol"))
)
_NUMBER_OF_TRADES = Prepared(
    select(func.sum(days.c.trades)).where(
        days.c.account == bindparam("account"), days.c.day == bindparam("day")
    )
)
# Newest first: the table has no index by time, and the trades of the day are the last ones.
_TRADES_BEFORE = Prepared(
    select(trades)
    .where(trades.c.account == bindparam("account"), trades.c.seq < bindparam("before"))
    .order_by(trades.c.seq.desc())
    .limit(_PAGE)
)
_NEWEST_TRADE = Prepared(select(func.max(trades.c.seq)))
_TRADE = Prepared(
    select(trades).where(
        trades.c.account == bindparam("account"),
        trades.c.trade_id == bindparam("trade_id"),
        trades.c.order_id == bindparam("order_id"),
    )
)


@dataclass(frozen=True, slots=True)
class StartPrice:
    """The price of a symbol at which a day's profit or loss begins."""

    last: Decimal  # the last price before the day
    on: date  # the trading day of that price
    is_previous_close: bool  # whether no trading day lies between the price and the day
    open: Decimal | None  # the day's own first price, if there is one yet

    def of(self, quantity: Decimal) -> Decimal:
        """Return the price for a position of this quantity.

        Part of the change since an older price may be from earlier days. A loss is still counted as the
        day's; a gain up to the day's first price is not, since it would hide losses of the day.
        """
        if self.is_previous_close or self.open is None:
            return self.last
        return max(self.last, self.open) if quantity > 0 else min(self.last, self.open)


@dataclass(slots=True)
class _Line:
    """One symbol of one strategy: the position now, and what was traded in it today."""

    quantity: Decimal = ZERO
    value: Decimal = ZERO  # at the last price; at cost if there is none
    unrealised: Decimal = ZERO
    traded_quantity: Decimal = ZERO  # bought less sold
    traded_value: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO

    def result(self, start: StartPrice | None) -> Decimal:
        """Return the day's profit or loss."""
        quantity = self.quantity - self.traded_quantity
        if quantity == ZERO:
            return self.value - self.traded_value - self.fees
        if start is None:  # the position began the day at cost; a gain may be older than the day
            return min(self.realised + self.unrealised, ZERO) - self.fees
        return self.value - quantity * start.of(quantity) - self.traded_value - self.fees


def has_baseline(connection: Connection, account: str, scope: Scope, day: date) -> bool:
    """Return whether the day's baseline of the scope has been written."""
    return _baseline(connection, account, scope, day) is not None


def daily_pnl(connection: Connection, desk: Desk, scope: Scope, day: date, book: AccountBook) -> Decimal:
    """Return the profit or loss since the day began."""
    baseline = _baseline(connection, desk.account, scope, day)
    if baseline is None:
        return _result(connection, desk, scope, day, book)
    return account_book.equity(connection, desk.account, book, scope.strategy) - baseline


def open_day(connection: Connection, desk: Desk, scope: Scope, day: date, book: AccountBook) -> Decimal:
    """Return the day's profit or loss; the first call of a day writes the baseline."""
    equity = account_book.equity(connection, desk.account, book, scope.strategy)
    baseline = _baseline(connection, desk.account, scope, day)
    return pnl_since(connection, desk, scope, day, book, equity=equity, baseline=baseline)


def pnl_since(
    connection: Connection,
    desk: Desk,
    scope: Scope,
    day: date,
    book: AccountBook,
    *,
    equity: Decimal,
    baseline: Decimal | None,
) -> Decimal:
    """Return the day's profit or loss against the baseline; write the baseline if it is None."""
    if baseline is not None:
        return equity - baseline
    result = _result(connection, desk, scope, day, book)
    row = {
        "account": desk.account,
        "strategy": scope.name(IN_BASELINES),
        "day": day,
        "worth": to_store_places(equity - result),
    }
    connection.execute(insert(openings), row)
    return result


def raise_baseline(connection: Connection, account: str, scope: Scope, day: date, gain: Decimal) -> None:
    """Raise the day's baseline by a gain that may be older than the day."""
    key = {"account": account, "strategy": scope.name(IN_BASELINES), "day": day}
    statement = update(openings).where(*(openings.c[name] == value for name, value in key.items()))
    connection.execute(statement.values(worth=openings.c.worth + to_store_places(gain)))


def include_late_trades(
    connection: Connection, desk: Desk, order: Order, events: Iterable[OrderEvent]
) -> None:
    """Include trades of earlier days among the events in today's baselines: their result is not today's."""
    traded = [event.trade for event in events if event.trade is not None]
    if not traded:
        return
    today = desk.books.trading_day(desk.clock())
    for trade in traded:
        if desk.books.trading_day(trade.at) < today:
            _include_late_trade(connection, desk, order, trade, today)


def _include_late_trade(connection: Connection, desk: Desk, order: Order, trade: Trade, day: date) -> None:
    booked = _TRADE.first(connection, account=desk.account, trade_id=trade.id, order_id=order.id)
    if booked is None:  # it was booked under another order before
        return
    signed = order.terms.side.sign * trade.quantity
    start = _start_price(connection, desk, order.terms.symbol, day)
    realised, fees = booked.realised + booked.realised_low, booked.fees + booked.fees_low
    gain = realised if start is None else signed * (start.of(signed) - trade.price)
    strategy = order.terms.strategy
    for scope in (ACCOUNT, Scope(strategy)) if strategy else (ACCOUNT,):
        raise_baseline(connection, desk.account, scope, day, gain - fees)


def old_prices(connection: Connection, desk: Desk, day: date, book: AccountBook) -> Mapping[str, date]:
    """Return the symbols of open positions whose previous close is not known, with the day of their price.

    No price was received on the trading days between.
    """
    held = {line.symbol for line in book.valued if line.quantity}
    starts = {symbol: _start_price(connection, desk, symbol, day) for symbol in sorted(held)}
    return {symbol: start.on for symbol, start in starts.items() if start and not start.is_previous_close}


def _result(connection: Connection, desk: Desk, scope: Scope, day: date, book: AccountBook) -> Decimal:
    """Return the profit or loss of the day from positions, prices and the day's trades."""
    lines: dict[tuple[str, str], _Line] = {}
    for held in book.valued:
        if scope.covers(held.strategy):
            line = lines.setdefault((held.strategy, held.symbol), _Line())
            line.quantity += held.quantity
            line.unrealised += held.unrealised
            line.value += held.cost + held.unrealised
    for trade in _trades_of(connection, desk, day):
        if scope.covers(trade.strategy):
            line = lines.setdefault((trade.strategy, trade.symbol), _Line())
            signed = Side(trade.side).sign * trade.quantity
            line.traded_quantity += signed
            line.traded_value += signed * trade.price
            line.realised += trade.realised + trade.realised_low
            line.fees += trade.fees + trade.fees_low
    starts = {symbol: _start_price(connection, desk, symbol, day) for _, symbol in lines}
    return sum((line.result(starts[symbol]) for (_, symbol), line in lines.items()), ZERO)


def _start_price(connection: Connection, desk: Desk, symbol: str, day: date) -> StartPrice | None:
    """Return the last price of a symbol before the day, or None if it had none."""
    row, trading_day = _PRICES.first(connection, venue=desk.venue, symbol=symbol), desk.books.trading_day
    if row is None:
        return None
    quoted_on = trading_day(row.at)
    price, on = (row.last, quoted_on) if quoted_on < day else (row.price, row.day)
    if on is None or on >= day:
        return None
    is_previous_close = trading_day(moment(on + timedelta(days=1), time(), desk.calendar.zone)) >= day
    return StartPrice(price, on, is_previous_close, row.open if quoted_on == day else None)


def _trades_of(connection: Connection, desk: Desk, day: date) -> Iterator[Any]:
    """Yield the trades of a day, newest first."""
    left = _NUMBER_OF_TRADES.scalar(connection, account=desk.account, day=day) or 0
    before = (_NEWEST_TRADE.scalar(connection) or 0) + 1 if left else 0
    while left > 0 and (page := _TRADES_BEFORE.all(connection, account=desk.account, before=before)):
        before = page[-1].seq
        of_day = [row for row in page if desk.books.trading_day(row.at) == day]
        left -= len(of_day)
        yield from of_day


def _baseline(connection: Connection, account: str, scope: Scope, day: date) -> Decimal | None:
    baseline: Decimal | None = _BASELINE.scalar(
        connection, account=account, strategy=scope.name(IN_BASELINES), day=day
    )
    return baseline
