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
from algosat.domain.market_phases import Phase
from algosat.domain.orders import OrderTerms
from algosat.domain.risk import Denial, DenialCode, ExposureLine, RiskScope, RiskSnapshot
from algosat.domain.scope import ACCOUNT, IN_HALTS, Scope
from algosat.errors import CalendarUnknown
from algosat.store.rows import instrument_from, quote_from
from algosat.trading import account_book, daily_pnl, funds, limits, risk_queries
from algosat.trading.account_book import AccountBook
from algosat.trading.desk import Desk


@dataclass(frozen=True, slots=True)
class _Hours:
    phase: Phase
    square_off_at: datetime | None


def read_snapshot(
    connection: Connection, desk: Desk, terms: OrderTerms, at: datetime, *, replacing: str | None = None
) -> RiskSnapshot | Denial:
    """The market and the book around an intent; without the order that it is to replace."""
    day = _trading_day(desk, at)
    around = risk_queries.around(connection, terms, None if isinstance(day, Denial) else day)
    if around is None:
        return Denial(DenialCode.UNKNOWN_SYMBOL, f"no instrument {terms.symbol!r} is known")
    seen = account_book.read_book(connection, desk.account, without=replacing)
    if around.last is None or (seen.unpriced and not terms.reduce_only):
        missing = terms.symbol if around.last is None else ", ".join(sorted(seen.unpriced))
        return Denial(DenialCode.NO_QUOTE, f"there is no price of {missing}")
    instrument, quote = instrument_from(around), quote_from(around)
    hours = _hours(desk, instrument, at)
    if isinstance(day, Denial):
        return day
    if isinstance(hours, Denial):
        return hours
    scopes = tuple(_scopes(connection, desk, terms, at, day, seen, around))
    window = max(scope.limits.duplicate_window_seconds for scope in scopes)
    return RiskSnapshot(
        at=at,
        instrument=instrument,
        quote=quote,
        phase=hours.phase,
        trading_day=day,
        square_off_at=hours.square_off_at,
        halts=_halts(terms, around),
        position=_own_line(seen, terms, instrument, quote),
        scopes=scopes,
        available=funds.funds_of(seen, around).available,
        is_repeat=replacing is None and risk_queries.is_repeat(connection, terms, at, window),
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


def _halts(terms: OrderTerms, around: Any) -> tuple[str, ...]:
    """Why nothing may be opened now; of the strategy's own halts only a strategy's orders know."""
    found = ((around.all_halted, IN_HALTS), (around.strategy_halted, terms.strategy))
    return tuple(f"{reason} ({scope})" for reason, scope in found if reason is not None)


def _own_line(seen: AccountBook, terms: OrderTerms, instrument: Instrument, quote: Quote) -> ExposureLine:
    key = (terms.strategy or "", terms.symbol, terms.product)
    for line in seen.lines:
        if (line.strategy, line.symbol, line.product) == key:
            return line
    return ExposureLine(*key, kind=instrument.kind, last=quote.last, price=quote.last)


def _scopes(
    connection: Connection,
    desk: Desk,
    terms: OrderTerms,
    at: datetime,
    day: date,
    seen: AccountBook,
    around: Any,
) -> list[RiskScope]:
    """The account's, and the strategy's if it has limits of its own."""
    lately = risk_queries.lately(connection, terms, at)
    earned = (around.realised or Decimal(0)) - (around.fees or Decimal(0))
    scopes = [
        RiskScope(
            name="the account",
            limits=limits.with_changes(desk.defaults, around.account_limits or {}),
            lines=seen.lines,
            working_orders=sum(seen.working_orders.values()),
            orders_last_second=lately.of_account,
            orders_today=around.account_orders or 0,
            day_result=daily_pnl.pnl_since(
                connection,
                desk.account,
                ACCOUNT,
                day,
                earned + seen.unrealised(),
                around.account_opening,
            ),
        )
    ]
    strategy = terms.strategy
    if strategy and around.strategy_limits is not None:
        worth = account_book.equity(connection, desk.account, seen, strategy)
        scopes.append(
            RiskScope(
                name=f"strategy {strategy}",
                limits=limits.with_changes(desk.defaults, around.strategy_limits),
                lines=seen.lines_of(strategy),
                working_orders=seen.working_orders.get(strategy, 0),
                orders_last_second=lately.of_strategy,
                orders_today=around.strategy_orders or 0,
                day_result=daily_pnl.pnl_since(
                    connection, desk.account, Scope(strategy), day, worth, around.strategy_opening
                ),
            )
        )
    return scopes
