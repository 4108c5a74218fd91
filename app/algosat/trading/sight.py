"""The picture the gate judges by, read within the unit of work that places the order.

What cannot be seen cannot be judged: an unknown instrument, a missing price, a day the calendar
does not cover are denials here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Intent
from algosat.domain.risk import Denial, DenialCode, Line, Picture, Scope
from algosat.domain.sessions import Phase
from algosat.errors import CalendarUnknown
from algosat.store.rows import instrument_from, quote_from
from algosat.trading import book, funds, halts, limits, openings, surroundings
from algosat.trading.book import Book
from algosat.trading.desk import Desk


@dataclass(frozen=True, slots=True)
class _Hours:
    phase: Phase
    square_off_at: datetime | None


def see(
    connection: Connection, desk: Desk, intent: Intent, at: datetime, *, replacing: str | None = None
) -> Picture | Denial:
    """The market and the book around an intent; without the order that it is to replace."""
    day = _trading_day(desk, at)
    around = surroundings.around(connection, intent, None if isinstance(day, Denial) else day)
    if around is None:
        return Denial(DenialCode.UNKNOWN_SYMBOL, f"no instrument {intent.symbol!r} is known")
    seen = book.read(connection, desk.account, without=replacing)
    if around.last is None or (seen.unpriced and not intent.reduce_only):
        missing = intent.symbol if around.last is None else ", ".join(sorted(seen.unpriced))
        return Denial(DenialCode.NO_QUOTE, f"there is no price of {missing}")
    instrument, quote = instrument_from(around), quote_from(around)
    hours = _hours(desk, instrument, at)
    if isinstance(day, Denial):
        return day
    if isinstance(hours, Denial):
        return hours
    scopes = tuple(_scopes(connection, desk, intent, at, day, seen, around))
    window = max(scope.limits.duplicate_window_seconds for scope in scopes)
    return Picture(
        at=at,
        instrument=instrument,
        quote=quote,
        phase=hours.phase,
        trading_day=day,
        square_off_at=hours.square_off_at,
        halts=_halts(intent, around),
        own=_own_line(seen, intent, instrument, quote),
        scopes=scopes,
        available=funds.of(seen, around).available,
        is_repeat=replacing is None and surroundings.is_repeat(connection, intent, at, window),
    )


def _trading_day(desk: Desk, at: datetime) -> date | Denial:
    try:
        return desk.calendar.trading_day(at)
    except CalendarUnknown as error:
        return Denial(DenialCode.CALENDAR_UNKNOWN, error.detail)


def _hours(desk: Desk, instrument: Instrument, at: datetime) -> _Hours | Denial:
    where = (instrument.segment, instrument.has_derivatives, at)
    try:
        closes_at = desk.calendar.closes_at(*where)
        phase = desk.calendar.phase(*where)
    except CalendarUnknown as error:
        return Denial(DenialCode.CALENDAR_UNKNOWN, error.detail)
    return _Hours(phase, closes_at - desk.square_off_before_close if closes_at else None)


def _halts(intent: Intent, around: Any) -> tuple[str, ...]:
    """Why nothing may be opened now; of the strategy's own halts only a strategy's orders know."""
    found = ((around.all_halted, halts.ALL), (around.strategy_halted, intent.strategy))
    return tuple(f"{reason} ({scope})" for reason, scope in found if reason is not None)


def _own_line(seen: Book, intent: Intent, instrument: Instrument, quote: Quote) -> Line:
    key = (intent.strategy or "", intent.symbol, intent.product)
    for line in seen.lines:
        if (line.strategy, line.symbol, line.product) == key:
            return line
    return Line(*key, kind=instrument.kind, last=quote.last, price=quote.last)


def _scopes(
    connection: Connection, desk: Desk, intent: Intent, at: datetime, day: date, seen: Book, around: Any
) -> list[Scope]:
    """The account's, and the strategy's if it has limits of its own."""
    lately = surroundings.lately(connection, intent, at)
    earned = (around.realised or Decimal(0)) - (around.fees or Decimal(0))
    scopes = [
        Scope(
            name="the account",
            limits=limits.with_changes(desk.defaults, around.account_limits or {}),
            lines=seen.lines,
            working_orders=sum(seen.working_orders.values()),
            orders_last_second=lately.of_account,
            orders_today=around.account_orders or 0,
            day_result=openings.result_since(
                connection,
                desk.account,
                openings.WHOLE,
                day,
                earned + seen.unrealised(),
                around.account_opening,
            ),
        )
    ]
    strategy = intent.strategy
    if strategy and around.strategy_limits is not None:
        worth = book.worth(connection, desk.account, seen, strategy)
        scopes.append(
            Scope(
                name=f"strategy {strategy}",
                limits=limits.with_changes(desk.defaults, around.strategy_limits),
                lines=seen.lines_of(strategy),
                working_orders=seen.working_orders.get(strategy, 0),
                orders_last_second=lately.of_strategy,
                orders_today=around.strategy_orders or 0,
                day_result=openings.result_since(
                    connection, desk.account, strategy, day, worth, around.strategy_opening
                ),
            )
        )
    return scopes
