"""Closing positions automatically: what a halt flattens, and intraday positions at the square-off.

Positions and orders are read anew every few seconds: a broker outage, an exit that is not filled
or a denial delays the close and does not end it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from algosat.clock import has_come
from algosat.domain import exits
from algosat.domain.market_phases import takes
from algosat.domain.orders import Order, OrderType, PendingRequest, Product, Status, Validity
from algosat.domain.risk import ExposureLine
from algosat.engine.halt_cancels import is_due
from algosat.errors import CalendarUnknown
from algosat.monitoring import correlation
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import account_book, cancel, close, halts, limits
from algosat.trading.desk import Desk
from algosat.trading.halts import Halt

_ACTOR: Final = "clock"
_REPRICE_AFTER: Final = timedelta(seconds=30)  # an exit not filled by then is cancelled and placed again
_DENIAL_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 10, 20, 40, 60))

_Key = tuple[str, str, Product]  # strategy, symbol, product
_Covers = Callable[[str, Product, str], bool]  # strategy ("" for orders placed by hand), product, symbol


@dataclass(frozen=True, slots=True)
class _Denied:
    number: int
    next_at: datetime


class DeniedExits:
    """Delays between attempts at an exit that the gate denies. Most denials do not pass by themselves."""

    def __init__(self) -> None:
        self._denied: dict[_Key, _Denied] = {}

    def may_try(self, line: ExposureLine, now: datetime) -> bool:
        """Whether an exit of the line may be placed now."""
        last = self._denied.get((line.strategy, line.symbol, line.product))
        return last is None or has_come(last.next_at, now, within=_DENIAL_DELAYS[-1])

    def record(self, placed: Iterable[Order], now: datetime) -> None:
        """Record whether the exits just placed were denied."""
        for order in placed:
            key = (order.terms.strategy or "", order.terms.symbol, order.terms.product)
            last = self._denied.pop(key, None)
            if order.status is Status.DENIED:
                number = last.number + 1 if last else 0
                delay = _DENIAL_DELAYS[min(number, len(_DENIAL_DELAYS) - 1)]
                self._denied[key] = _Denied(number, now + delay)


@dataclass(frozen=True, slots=True)
class _Selection:
    """Which positions to close, and which orders to cancel for it."""

    covers: _Covers
    cancel_before: datetime | None = None  # cancel orders from before this time; None if a halt cancels them

    def includes(self, line: ExposureLine) -> bool:
        return self.covers(line.strategy, line.product, line.symbol)

    def cancels(self, order: Order, now: datetime) -> bool:
        """Whether to cancel an order now: it is older than `cancel_before`, or an exit not filled in time."""
        terms = order.terms
        if order.external or order.pending is PendingRequest.PENDING_CANCEL:
            return False
        if not self.covers(terms.strategy or "", terms.product, terms.symbol):
            return False
        since = self._cancel_from(order)
        return has_come(since, now, within=_REPRICE_AFTER) and is_due(order, since, now)

    def _cancel_from(self, order: Order) -> datetime:
        if self.cancel_before is not None and order.created_at < self.cancel_before:
            return self.cancel_before
        return order.created_at + _REPRICE_AFTER


def flatten_halted(desk: Desk, denied: DeniedExits) -> None:
    """Close the positions that halts flatten. `halt_cancels` cancels the orders in their way."""
    with desk.database.read() as connection:
        flattening = [halt for halt in halts.in_force(connection) if halt.flatten]
    for halt in flattening:
        _close(desk, denied, _Selection(_covered_by(halt)))


def square_off(desk: Desk, denied: DeniedExits) -> None:
    """Close intraday positions shortly before continuous trading ends."""
    now = desk.clock()
    due: dict[datetime, set[str]] = {}
    with desk.database.read() as connection:
        lines = account_book.read_book(connection, desk.account).lines
        for symbol in {line.symbol for line in lines if line.product is Product.INTRADAY}:
            closes_at = _closes_at(connection, desk, symbol, now)
            if closes_at is not None and closes_at - desk.square_off_before_close <= now < closes_at:
                due.setdefault(closes_at - desk.square_off_before_close, set()).add(symbol)
    for since, symbols in due.items():
        _close(desk, denied, _Selection(_intraday_in(symbols), since))


def _closes_at(connection: Connection, desk: Desk, symbol: str, now: datetime) -> datetime | None:
    instrument = queries.instrument(connection, symbol)
    if instrument is None:
        return None
    return desk.calendar.closes_at(instrument.segment, instrument.has_derivatives, now)


def _covered_by(halt: Halt) -> _Covers:
    return lambda strategy, _product, _symbol: halt.covers(strategy)


def _intraday_in(symbols: AbstractSet[str]) -> _Covers:
    return lambda _strategy, product, symbol: product is Product.INTRADAY and symbol in symbols


def _close(desk: Desk, denied: DeniedExits, selection: _Selection) -> None:
    with desk.database.read() as connection:
        orders = _orders_to_cancel(connection, desk, selection)
        lines = _lines_to_close(connection, desk, denied, selection)
    if not orders and not lines:
        return
    cause = Cause(_ACTOR, correlation.new())

    def unit(connection: Connection) -> tuple[list[Order], list[Order]]:
        cancelled = [
            cancel.request(connection, desk, order, cause)
            for order in _orders_to_cancel(connection, desk, selection)
        ]
        lines = _lines_to_close(connection, desk, denied, selection)
        return cancelled, close.exits(connection, desk, cause, lambda line: line in lines)

    cancelled, placed = desk.writer.run(unit)
    denied.record(placed, desk.clock())
    for order in cancelled + placed:
        desk.notify_web(order.id)
    desk.wake_engine()


def _orders_to_cancel(connection: Connection, desk: Desk, selection: _Selection) -> list[Order]:
    now = desk.clock()
    working = queries.working(connection, desk.account)
    return [order for order in working if selection.cancels(order, now)]


def _lines_to_close(
    connection: Connection, desk: Desk, denied: DeniedExits, selection: _Selection
) -> list[ExposureLine]:
    """Return the lines with a position that no working exit covers and whose market takes orders now."""
    lines, now = account_book.read_book(connection, desk.account).lines, desk.clock()
    due = [
        line
        for line in lines
        if selection.includes(line) and exits.is_left(line) and denied.may_try(line, now)
    ]
    return [line for line in due if _can_trade(connection, desk, line.symbol)]


def _can_trade(connection: Connection, desk: Desk, symbol: str) -> bool:
    """Whether a market order would pass the gate now; through the night it would only be denied again."""
    instrument, quote = queries.listed(connection, symbol)
    in_force = limits.effective(connection, desk.defaults)
    if instrument is None or quote is None or in_force is None:
        return False
    where = (instrument.segment, instrument.has_derivatives, desk.clock())
    try:
        phase, last_trading = desk.calendar.phase(*where), desk.calendar.last_trading(*where)
    except CalendarUnknown:
        return False  # orders in the way are cancelled nevertheless
    if abs(quote.age(desk.clock(), last_trading)) > in_force.stale_quote_seconds:
        return False
    return takes(phase, OrderType.MARKET, Validity.DAY)
