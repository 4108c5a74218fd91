"""The risk snapshot of an order, read within the unit of work that places it.

What cannot be read is denied here: an unknown instrument, a missing price, a day the calendar does not cover.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.market_phases import Phase
from algosat.domain.orders import OrderTerms
from algosat.domain.risk import Denial, DenialCode, ExposureLine, RiskScope, RiskSnapshot
from algosat.domain.risk.limits import Limits
from algosat.domain.scope import ACCOUNT, IN_HALTS, Scope
from algosat.errors import CalendarUnknown
from algosat.store.rows import instrument_from, quote_from
from algosat.trading import account_book, daily_pnl, funds, limits, risk_queries
from algosat.trading.account_book import AccountBook
from algosat.trading.desk import Desk
from algosat.trading.risk_queries import RiskFacts


@dataclass(frozen=True, slots=True)
class _Hours:
    phase: Phase
    last_trading: datetime
    square_off_at: datetime | None


def read_snapshot(
    connection: Connection, desk: Desk, terms: OrderTerms, at: datetime, *, replacing: str | None = None
) -> RiskSnapshot | Denial:
    """Return the snapshot for an order at this moment, without the order `replacing` that it replaces."""
    day = _trading_day(desk, at)
    facts = risk_queries.read_facts(
        connection,
        terms,
        None if isinstance(day, Denial) else day,
        at,
        lambda row: _limits(desk, terms, row),
        may_repeat=replacing is not None,
    )
    if facts is None:
        return Denial(DenialCode.UNKNOWN_SYMBOL, f"no instrument {terms.symbol!r} is known")
    book = account_book.read_book(connection, desk.account, without=replacing)
    if facts.row.last is None or (book.unpriced and not terms.reduce_only):
        missing = terms.symbol if facts.row.last is None else ", ".join(sorted(book.unpriced))
        return Denial(DenialCode.NO_QUOTE, f"there is no price of {missing}")
    instrument, quote = instrument_from(facts.row), quote_from(facts.row)
    hours = _hours(desk, instrument, at)
    if isinstance(day, Denial):
        return day
    if isinstance(hours, Denial):
        return hours
    return RiskSnapshot(
        at=at,
        instrument=instrument,
        quote=quote,
        phase=hours.phase,
        last_trading=hours.last_trading,
        trading_day=day,
        square_off_at=hours.square_off_at,
        halts=_halts(terms, facts.row),
        position=_position(book, terms, instrument, quote),
        scopes=tuple(_scopes(connection, desk, terms, day, book, facts)),
        available=funds.funds_of(book, facts.row).available,
        is_repeat=facts.is_repeat,
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
        last_trading = at if phase is Phase.CONTINUOUS else desk.calendar.last_trading(*where)
    except CalendarUnknown as error:
        return Denial(DenialCode.CALENDAR_UNKNOWN, error.detail)
    return _Hours(phase, last_trading, closes_at - desk.square_off_before_close if closes_at else None)


def _limits(desk: Desk, terms: OrderTerms, row: Any) -> tuple[Limits, ...]:
    """Return the account's limits, then the strategy's if it has limits of its own."""
    of_account = limits.with_changes(desk.defaults, row.account_limits or {})
    if not terms.strategy or row.strategy_limits is None:
        return (of_account,)
    return of_account, limits.with_changes(desk.defaults, row.strategy_limits)


def _halts(terms: OrderTerms, row: Any) -> tuple[str, ...]:
    """Return the reasons of the halts that apply to the order: the account's, and its strategy's."""
    found = ((row.all_halted, IN_HALTS), (row.strategy_halted, terms.strategy))
    return tuple(f"{reason} ({scope})" for reason, scope in found if reason is not None)


def _position(book: AccountBook, terms: OrderTerms, instrument: Instrument, quote: Quote) -> ExposureLine:
    key = (terms.strategy or "", terms.symbol, terms.product)
    for line in book.lines:
        if (line.strategy, line.symbol, line.product) == key:
            return line
    return ExposureLine(*key, kind=instrument.kind, last=quote.last, price=quote.last)


def _scopes(
    connection: Connection, desk: Desk, terms: OrderTerms, day: date, book: AccountBook, facts: RiskFacts
) -> list[RiskScope]:
    """Return the account's scope, and the strategy's if it has limits of its own."""
    row, recent = facts.row, facts.recent
    earned = (row.realised or ZERO) - (row.fees or ZERO)
    equity = earned + book.unrealised()
    scopes = [
        RiskScope(
            name="the account",
            limits=facts.limits[0],
            lines=book.lines,
            working_orders=sum(book.working_orders.values()),
            orders_last_second=recent.of_account,
            orders_today=row.account_orders or 0,
            day_result=daily_pnl.pnl_since(
                connection, desk, ACCOUNT, day, book, equity=equity, baseline=row.account_opening
            ),
        )
    ]
    for of_strategy in facts.limits[1:]:
        strategy = terms.strategy or ""
        equity = account_book.equity(connection, desk.account, book, strategy)
        scopes.append(
            RiskScope(
                name=f"strategy {strategy}",
                limits=of_strategy,
                lines=book.lines_of(strategy),
                working_orders=book.working_orders.get(strategy, 0),
                orders_last_second=recent.of_strategy,
                orders_today=row.strategy_orders or 0,
                day_result=daily_pnl.pnl_since(
                    connection,
                    desk,
                    Scope(strategy),
                    day,
                    book,
                    equity=equity,
                    baseline=row.strategy_opening,
                ),
            )
        )
    return scopes
