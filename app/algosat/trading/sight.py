"""The picture the gate judges by, read within the unit of work that places the order.

What cannot be seen cannot be judged: an unknown instrument, a missing price, a day the calendar
does not cover are denials here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, bindparam, case, func, select

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import Intent, Status
from algosat.domain.risk import Denial, DenialCode, Limits, Line, Picture, Scope
from algosat.domain.sessions import Phase
from algosat.errors import CalendarUnknown
from algosat.store import queries
from algosat.store.prepared import Prepared
from algosat.store.tables import days, orders
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
# SQLite keeps no statistics of its own: it would go by the index of the account or the symbol, through every
# order there ever was, were these columns not hidden from it. By time there are a handful.
_LATELY = (
    orders.c.created_at > bindparam("since"),
    orders.c.account.concat("") == bindparam("account"),
    orders.c.status != Status.DENIED.value,
)
_SINCE = Prepared(
    select(
        func.count().label("of_account"),
        func.count(case((orders.c.strategy == bindparam("strategy"), 1))).label("of_strategy"),
    ).where(*_LATELY)
)
_EQUAL = Prepared(
    select(orders.c.seq)
    .where(
        *_LATELY,
        *(orders.c[name].concat("") == bindparam(name) for name in ("symbol", "strategy")),
        *(orders.c[name] == bindparam(name) for name in ("side", "quantity", "type", "product")),
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
    instrument = queries.instrument(connection, intent.symbol)
    if instrument is None:
        return Denial(DenialCode.UNKNOWN_SYMBOL, f"no instrument {intent.symbol!r} is known")
    quote = queries.quote(connection, intent.symbol)
    seen = book.read(connection, desk.account, without=replacing)
    unpriced = seen.unpriced - ({instrument.symbol} if intent.reduce_only else set())
    if quote is None or (unpriced and not intent.reduce_only):
        missing = intent.symbol if quote is None else ", ".join(sorted(unpriced))
        return Denial(DenialCode.NO_QUOTE, f"there is no price of {missing}")
    try:
        hours = _hours(desk, instrument, at)
    except CalendarUnknown as error:
        return Denial(DenialCode.CALENDAR_UNKNOWN, error.detail)
    scopes = tuple(_scopes(connection, desk, intent, at, hours.day, seen))
    window = timedelta(seconds=max(scope.limits.duplicate_window_seconds for scope in scopes))
    return Picture(
        at=at,
        instrument=instrument,
        quote=quote,
        phase=hours.phase,
        trading_day=hours.day,
        square_off_at=hours.square_off_at,
        halts=halts.reasons(connection, intent.strategy),
        own=_own_line(seen, intent, instrument, quote),
        scopes=scopes,
        available=funds(connection, desk.account, seen).available,
        is_repeat=replacing is None and _is_repeat(connection, intent, at - window),
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


def _scopes(
    connection: Connection, desk: Desk, intent: Intent, at: datetime, day: date, seen: Book
) -> Iterator[Scope]:
    strategy = intent.strategy or ""
    wanted = (limits.ACCOUNT, intent.strategy) if intent.strategy else (limits.ACCOUNT,)
    in_force = limits.in_force(connection, desk.defaults, wanted)
    counted = _orders_of_day(connection, desk.account, day)
    lately = _SINCE.first(
        connection, account=desk.account, strategy=strategy, since=at - timedelta(seconds=1)
    )

    def scope(name: str, held_to: Limits, of: str | None) -> Scope:
        worth = seen.worth(of)
        return Scope(
            name=name,
            limits=held_to,
            lines=seen.lines if of is None else seen.lines_of(of),
            working_orders=_sum(seen.working_orders, of),
            orders_last_second=lately.of_account if of is None else lately.of_strategy,
            orders_today=_sum(counted, of),
            day_result=openings.open_day(
                connection, desk.account, openings.WHOLE if of is None else of, day, worth
            ),
        )

    yield scope("the account", in_force[limits.ACCOUNT], None)
    if intent.strategy and intent.strategy in in_force:
        yield scope(f"strategy {intent.strategy}", in_force[intent.strategy], strategy)


def _sum(counts: dict[str, int], strategy: str | None) -> int:
    return sum(counts.values()) if strategy is None else counts.get(strategy, 0)


def _orders_of_day(connection: Connection, account: str, day: date) -> dict[str, int]:
    return {row.strategy: row.orders for row in _OF_DAY.all(connection, account=account, day=day)}


def _is_repeat(connection: Connection, intent: Intent, since: datetime) -> bool:
    equal = _EQUAL.first(
        connection,
        since=since,
        account=intent.account,
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
