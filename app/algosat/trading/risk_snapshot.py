"""The risk snapshot of an order, read within the unit of work that places it.

It lists the facts that could not be read: an unknown instrument, a missing price, a day that the calendar
does not cover.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from algosat.domain.calendar import next_opening
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, InstrumentKind
from algosat.domain.market_phases import Phase, has_ended
from algosat.domain.orders import OrderTerms
from algosat.domain.risk import BookLine, Denial, DenialCode, ExposureLine, RiskScope, RiskSnapshot
from algosat.domain.risk.limits import Limits
from algosat.domain.scope import ACCOUNT, IN_HALTS, Scope
from algosat.errors import CalendarUnknown
from algosat.store.rows import instrument_from, instrument_from_data, quote_from
from algosat.trading import account_book, arming, daily_pnl, funds, limits, risk_queries, totals
from algosat.trading.account_book import AccountBook, UnpricedPosition
from algosat.trading.desk import Desk
from algosat.trading.risk_queries import RiskFacts


@dataclass(frozen=True, slots=True)
class _Hours:
    """The market's hours; if the calendar does not cover the moment, the denial that says so."""

    phase: Phase | None
    last_trading: datetime
    opens_at: datetime | None
    square_off_at: datetime | None
    unknown: Denial | None = None


def read_snapshot(
    connection: Connection, desk: Desk, terms: OrderTerms, at: datetime, *, replacing: str | None = None
) -> RiskSnapshot:
    """Return the snapshot for an order at this moment, without the order `replacing` that it replaces."""
    day, day_unknown = _trading_day(desk, at)
    facts = risk_queries.read_facts(
        connection,
        desk,
        terms,
        day,
        at,
        lambda row: _limits(desk, terms, row),
        may_repeat=replacing is not None,
    )
    book = account_book.read_book(connection, desk.account, desk.venue, without=replacing)
    instrument = _instrument(facts.row)
    hours = _hours(desk, terms, instrument, at)
    return RiskSnapshot(
        at=at,
        instrument=instrument,
        quote=None if facts.row.last is None else quote_from(facts.row),
        phase=hours.phase,
        last_trading=hours.last_trading,
        opens_at=hours.opens_at,
        trading_day=day,
        square_off_at=hours.square_off_at,
        halts=_halts(terms, facts.row),
        position=_position(connection, desk, book, terms, facts.row),
        scopes=tuple(_scopes(connection, desk, terms, day, book, facts)),
        available=funds.funds_of(book, facts.row).available,
        is_repeat=facts.is_repeat,
        unknown=tuple(_unknown(terms, facts.row, day_unknown or hours.unknown)),
        closed_by=facts.row.closed_by,
        # A modification is sent whatever becomes of other orders.
        awaits_outcome=replacing is None and (terms.strategy or "", terms.symbol) in book.unknown,
        capabilities=desk.capabilities,
        arming=arming.arming(connection, desk),
        zone=desk.calendar.zone,
    )


def _instrument(row: Any) -> Instrument | None:
    """Return the instrument as it is listed or last was; None if it never was."""
    if row.kind is not None:
        return instrument_from(row)
    return None if row.former is None else instrument_from_data(row.former)


def _unknown(terms: OrderTerms, row: Any, calendar: Denial | None) -> Iterator[Denial]:
    """Yield a denial for each missing fact without which an entry cannot be checked.

    Other symbols without a price are no such fact: they count at an estimated price.
    """
    if row.kind is None:
        yield Denial(DenialCode.UNKNOWN_SYMBOL, f"no instrument {terms.symbol!r} is known")
    if row.last is None:
        yield Denial(DenialCode.NO_QUOTE, f"there is no price of {terms.symbol}")
    if calendar is not None:
        yield calendar


def _trading_day(desk: Desk, at: datetime) -> tuple[date, Denial | None]:
    """Return the trading day; if the calendar does not cover it, the venue's date and the denial."""
    try:
        return desk.calendar.trading_day(at), None
    except CalendarUnknown as error:
        return desk.books.trading_day(at), Denial(DenialCode.CALENDAR_UNKNOWN, error.detail)


def _hours(desk: Desk, terms: OrderTerms, instrument: Instrument | None, at: datetime) -> _Hours:
    if instrument is None:
        return _Hours(None, at, None, None)
    where = (instrument.segment, instrument.has_derivatives, at)
    try:
        closes_at = desk.calendar.closes_at(*where)
        phase = desk.calendar.phase(*where)
        last_trading = at if phase is Phase.CONTINUOUS else desk.calendar.last_trading(*where)
    except CalendarUnknown as error:
        unknown = Denial(DenialCode.CALENDAR_UNKNOWN, error.detail)
        return _Hours(None, at, None, None, unknown)
    opens_at = next_opening(desk.calendar, instrument, terms, at) if has_ended(phase) else None
    square_off_at = closes_at - desk.square_off_before_close if closes_at else None
    return _Hours(phase, last_trading, opens_at, square_off_at)


def _limits(desk: Desk, terms: OrderTerms, row: Any) -> tuple[Limits, ...]:
    """Return the account's limits, then the strategy's if it has limits of its own."""
    of_account = limits.with_stored(desk.defaults, row.account_limits or {})
    if not terms.strategy or row.strategy_limits is None:
        return (of_account,)
    return of_account, limits.with_stored(desk.defaults, row.strategy_limits)


def _halts(terms: OrderTerms, row: Any) -> tuple[str, ...]:
    """Return the reasons of the halts that apply to the order: of all accounts, its own, its strategy's."""
    found = (
        (row.all_halted, IN_HALTS),
        (row.account_halted, Scope(account=terms.account).name(IN_HALTS)),
        (row.strategy_halted, terms.strategy),
    )
    return tuple(f"{reason} ({scope})" for reason, scope in found if reason is not None)


def _position(connection: Connection, desk: Desk, book: AccountBook, terms: OrderTerms, row: Any) -> BookLine:
    key = (terms.strategy or "", terms.symbol, terms.product)
    for line in book.valued:
        if (line.strategy, line.symbol, line.product) == key:
            return line
    if row.kind is None or row.last is None:
        return UnpricedPosition(*key, quantity=ZERO, cost=ZERO, last=row.last)
    kind = InstrumentKind(row.kind)
    option = account_book.option_risk(connection, desk.venue, terms.symbol, kind)
    return ExposureLine(*key, kind=kind, last=row.last, price=row.last, option=option)


def _scopes(
    connection: Connection, desk: Desk, terms: OrderTerms, day: date, book: AccountBook, facts: RiskFacts
) -> list[RiskScope]:
    """Return the account's scope; the strategy's, and that of all accounts, if they have limits."""
    row, recent = facts.row, facts.recent
    earned = funds.realised_of(row) - funds.fees_of(row)
    equity = earned + book.unrealised()
    scopes = [
        RiskScope(
            name="the account",
            limits=facts.limits[0],
            lines=book.exposures,
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
                lines=book.exposures_of(strategy),
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
    together = totals.scope_of(connection, desk, scopes[0])
    return scopes if together is None else [*scopes, together]
