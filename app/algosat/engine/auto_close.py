"""Positions that must be closed: those a halt is to flatten, and intraday ones before the close.

Level-triggered: what is left is asked anew every few seconds, so a broker that was away, an exit
that rests or a denial only delay it.
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
_DELAYS: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 10, 20, 40, 60)
)  # of exits that the gate denies
_PATIENCE: Final = timedelta(seconds=30)  # with an exit that rests; then it is cancelled and priced anew

_Key = tuple[str, str, Product]  # strategy, symbol, product
Concerns = Callable[[str, Product, str], bool]  # of a strategy ('' for by hand), product and symbol


@dataclass(frozen=True, slots=True)
class _Leaving:
    """What has to be left."""

    concerns: Concerns
    since: datetime | None = None  # orders from before are in the way; None: what is gets recalled elsewhere

    def includes(self, line: ExposureLine) -> bool:
        return self.concerns(line.strategy, line.product, line.symbol)

    def outdates(self, order: Order, now: datetime) -> bool:
        """Whether an order is in the way: older than the wish to leave, or an exit that rests too long."""
        terms = order.terms
        if order.external or order.pending is PendingRequest.PENDING_CANCEL:
            return False
        if not self.concerns(terms.strategy or "", terms.product, terms.symbol):
            return False
        since = self._in_the_way_since(order)
        return has_come(since, now, within=_PATIENCE) and is_due(order, since, now)

    def _in_the_way_since(self, order: Order) -> datetime:
        if self.since is not None and order.created_at < self.since:
            return self.since
        return order.created_at + _PATIENCE


@dataclass(frozen=True, slots=True)
class _Denied:
    number: int
    next_at: datetime


class DeniedExits:
    def __init__(self) -> None:
        self._denied: dict[_Key, _Denied] = {}

    def let(self, line: ExposureLine, now: datetime) -> bool:
        """Whether an exit of the line may be tried."""
        last = self._denied.get((line.strategy, line.symbol, line.product))
        return last is None or has_come(last.next_at, now, within=_DELAYS[-1])

    def note(self, exits: Iterable[Order], now: datetime) -> None:
        """What became of exits that were tried."""
        for order in exits:
            key = (order.terms.strategy or "", order.terms.symbol, order.terms.product)
            last = self._denied.pop(key, None)
            if order.status is Status.DENIED:
                number = last.number + 1 if last else 0
                self._denied[key] = _Denied(number, now + _DELAYS[min(number, len(_DELAYS) - 1)])


def flatten_halted(desk: Desk, denials: DeniedExits) -> None:
    """Go on closing what a halt is to flatten; the orders that it found are recalled (`recall`)."""
    with desk.database.read() as connection:
        flattening = [halt for halt in halts.in_force(connection) if halt.flatten]
    for halt in flattening:
        _leave(desk, denials, _Leaving(_covered_by(halt)))


def square_off(desk: Desk, denials: DeniedExits) -> None:
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
        _leave(desk, denials, _Leaving(_intraday_in(symbols), since))


def _closes_at(connection: Connection, desk: Desk, symbol: str, now: datetime) -> datetime | None:
    instrument = queries.instrument(connection, symbol)
    if instrument is None:
        return None
    return desk.calendar.closes_at(instrument.segment, instrument.has_derivatives, now)


def _covered_by(halt: Halt) -> Concerns:
    return lambda strategy, _product, _symbol: halt.covers(strategy)


def _intraday_in(symbols: AbstractSet[str]) -> Concerns:
    return lambda _strategy, product, symbol: product is Product.INTRADAY and symbol in symbols


def _leave(desk: Desk, denials: DeniedExits, leaving: _Leaving) -> None:
    with desk.database.read() as connection:
        orders, lines = _outdated(connection, desk, leaving), _open(connection, desk, denials, leaving)
    if not orders and not lines:
        return
    cause = Cause(_ACTOR, correlation.new())

    def unit(connection: Connection) -> tuple[list[Order], list[Order]]:
        cancelled = [
            cancel.request(connection, desk, order, cause) for order in _outdated(connection, desk, leaving)
        ]
        open_lines = _open(connection, desk, denials, leaving)
        return cancelled, close.exits(connection, desk, cause, lambda line: line in open_lines)

    cancelled, placed = desk.writer.run(unit)
    denials.note(placed, desk.clock())
    for order in cancelled + placed:
        desk.tell_web(order.id)
    desk.wake_engine()


def _outdated(connection: Connection, desk: Desk, leaving: _Leaving) -> list[Order]:
    now = desk.clock()
    working = queries.working(connection, desk.account)
    return [order for order in working if leaving.outdates(order, now)]


def _open(connection: Connection, desk: Desk, denials: DeniedExits, leaving: _Leaving) -> list[ExposureLine]:
    """The lines that can be closed now: something is left of them, and the market takes orders."""
    lines, now = account_book.read_book(connection, desk.account).lines, desk.clock()
    wanted = [
        line for line in lines if leaving.includes(line) and exits.is_left(line) and denials.let(line, now)
    ]
    return [line for line in wanted if _can_trade(connection, desk, line.symbol)]


def _can_trade(connection: Connection, desk: Desk, symbol: str) -> bool:
    """Whether a market order would pass now; a denial every few seconds through the night helps nobody."""
    instrument, quote = queries.listed(connection, symbol)
    held_to = limits.effective(connection, desk.defaults)
    if instrument is None or quote is None or held_to is None:
        return False
    now = desk.clock()
    if abs((now - quote.at).total_seconds()) > held_to.stale_quote_seconds:
        return False
    try:
        phase = desk.calendar.phase(instrument.segment, instrument.has_derivatives, now)
    except CalendarUnknown:
        return False  # what is in the way is cancelled all the same
    return takes(phase, OrderType.MARKET, Validity.DAY)
