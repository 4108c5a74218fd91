"""The picture the gate judges by, read within the unit of work that places the order.

What cannot be seen cannot be judged: an unknown instrument, a missing price, a day the calendar
does not cover are denials here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, select, text

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Intent
from algosat.domain.risk import Denial, DenialCode, Limits, Line, Picture, Scope
from algosat.domain.sessions import Phase
from algosat.errors import CalendarUnknown
from algosat.store import queries
from algosat.store.prepared import Prepared
from algosat.store.tables import NOT_DENIED, days, orders
from algosat.store.types import Scaled
from algosat.trading import book, halts, limits, openings
from algosat.trading.book import Book
from algosat.trading.desk import Desk
from algosat.trading.funds import funds

_OF_DAY = Prepared(
    select(days.c.strategy, days.c.orders).where(
        days.c.account == bindparam("account"), days.c.day == bindparam("day")
    )
)
_SINCE = (
    orders.c.account == bindparam("account"),
    orders.c.created_at > bindparam("since"),
    text(NOT_DENIED),
)
_NUMBERS = Prepared(
    select(
        func.count().label("of_account"),
        func.count(case((orders.c.strategy == bindparam("strategy"), 1))).label("of_strategy"),
    ).where(*_SINCE)
)
_EQUAL = Prepared(
    select(orders.c.seq)
    .where(
        *_SINCE,
        *(orders.c[name] == bindparam(name) for name in ("symbol", "strategy", "side")),
        *(orders.c[name] == bindparam(name) for name in ("quantity", "type", "product")),
        *(
            orders.c[name].is_not_distinct_from(bindparam(name, type_=Scaled))
            for name in ("limit_price", "trigger_price")
        ),
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class _Hours:
    phase: Phase
    day: date
    square_off_at: datetime | None


def see(
    connection: Connection, desk: Desk, intent: Intent, at: datetime, *, replacing: str | None = None
) -> Picture | Denial:
    """The market and the book around an intent; without the order that it is to replace."""
    instrument, quote = queries.listed(connection, intent.symbol)
    if instrument is None:
        return Denial(DenialCode.UNKNOWN_SYMBOL, f"no instrument {intent.symbol!r} is known")
    seen = book.read(connection, desk.account, without=replacing)
    unpriced = seen.unpriced - ({instrument.symbol} if intent.reduce_only else set())
    if quote is None or (unpriced and not intent.reduce_only):
        missing = intent.symbol if quote is None else ", ".join(sorted(unpriced))
        return Denial(DenialCode.NO_QUOTE, f"there is no price of {missing}")
    try:
        hours = _hours(desk, instrument, at)
    except CalendarUnknown as error:
        return Denial(DenialCode.CALENDAR_UNKNOWN, error.detail)
    in_force = limits.in_force(connection, desk.defaults, _scopes_of(intent))
    numbers = _numbers(connection, desk, intent, at)
    return Picture(
        at=at,
        instrument=instrument,
        quote=quote,
        phase=hours.phase,
        trading_day=hours.day,
        square_off_at=hours.square_off_at,
        halts=halts.reasons(connection, intent.strategy),
        own=_own_line(seen, intent, instrument, quote),
        scopes=tuple(_scopes(connection, desk, intent, hours.day, seen, in_force, numbers)),
        available=funds(connection, desk.account, seen).available,
        is_repeat=replacing is None and _is_repeat(connection, desk, intent, at, in_force.values()),
    )


def _hours(desk: Desk, instrument: Instrument, at: datetime) -> _Hours:
    where = (instrument.segment, instrument.has_derivatives, at)
    closes_at = desk.calendar.closes_at(*where)
    return _Hours(
        phase=desk.calendar.phase(*where),
        day=desk.calendar.trading_day(at),
        square_off_at=closes_at - desk.square_off_before_close if closes_at else None,
    )


def _own_line(seen: Book, intent: Intent, instrument: Instrument, quote: Quote) -> Line:
    key = (intent.strategy or "", intent.symbol, intent.product)
    for line in seen.lines:
        if (line.strategy, line.symbol, line.product) == key:
            return line
    return Line(*key, kind=instrument.kind, last=quote.last, price=quote.last)


def _scopes_of(intent: Intent) -> tuple[str, ...]:
    return (limits.ACCOUNT, intent.strategy) if intent.strategy else (limits.ACCOUNT,)


def _scopes(
    connection: Connection,
    desk: Desk,
    intent: Intent,
    day: date,
    seen: Book,
    in_force: Mapping[str, Limits],
    numbers: Any,
) -> Iterator[Scope]:
    counted = _orders_of_day(connection, desk.account, day)

    def scope(name: str, held_to: Limits, of: str | None) -> Scope:
        worth = seen.worth(of)
        return Scope(
            name=name,
            limits=held_to,
            lines=seen.lines if of is None else seen.lines_of(of),
            working_orders=_sum(seen.working_orders, of),
            orders_last_second=numbers.of_account if of is None else numbers.of_strategy,
            orders_today=_sum(counted, of),
            day_result=openings.open_day(
                connection, desk.account, openings.WHOLE if of is None else of, day, worth
            ),
        )

    yield scope("the account", in_force[limits.ACCOUNT], None)
    if intent.strategy and intent.strategy in in_force:
        yield scope(f"strategy {intent.strategy}", in_force[intent.strategy], intent.strategy)


def _sum(counts: dict[str, int], strategy: str | None) -> int:
    return sum(counts.values()) if strategy is None else counts.get(strategy, 0)


def _orders_of_day(connection: Connection, account: str, day: date) -> dict[str, int]:
    return {row.strategy: row.orders for row in _OF_DAY.all(connection, account=account, day=day)}


def _numbers(connection: Connection, desk: Desk, intent: Intent, at: datetime) -> Any:
    """How many orders came in the last second: of the account, and of the intent's strategy."""
    return _NUMBERS.first(
        connection,
        since=at - timedelta(seconds=1),
        account=desk.account,
        strategy=intent.strategy or "",
    )


def _is_repeat(
    connection: Connection, desk: Desk, intent: Intent, at: datetime, in_force: Iterable[Limits]
) -> bool:
    """Whether an equal order came within the duplicate window."""
    window = max(each.duplicate_window_seconds for each in in_force)
    if not window:
        return False
    equal = _EQUAL.first(
        connection,
        since=at - timedelta(seconds=window),
        account=desk.account,
        symbol=intent.symbol,
        strategy=intent.strategy or "",
        side=intent.side.value,
        quantity=intent.quantity,
        type=intent.type.value,
        limit_price=intent.limit_price,
        trigger_price=intent.trigger_price,
        product=intent.product.value,
    )
    return equal is not None
