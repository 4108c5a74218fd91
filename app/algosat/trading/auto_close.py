"""Automatic closes: halts that flatten, the square-off, and contracts near delivery.

Every few seconds the engine looks for positions to close, and closes them with `trading/close`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import date_at
from algosat.domain.closing import CloseReason, line_name
from algosat.domain.decimals import to_text
from algosat.domain.instruments import Instrument
from algosat.domain.market_phases import Phase
from algosat.domain.orders import Product
from algosat.errors import CalendarUnknown
from algosat.monitoring import correlation
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import alerts, close, close_follow, halts
from algosat.trading.close import PositionFilter
from algosat.trading.close_follow import Followed
from algosat.trading.close_records import LineKey
from algosat.trading.desk import Desk

_ACTOR: Final = "clock"
_ALL: Final = PositionFilter()
_INTRADAY: Final = PositionFilter(product=Product.INTRADAY)


def follow_closes(desk: Desk) -> None:
    """Take the next steps of the closes under way."""
    with desk.database.read() as connection:
        if not close_follow.is_due(connection, desk):
            return
    followed = desk.writer.run(lambda connection: close_follow.follow(connection, desk))
    followed.notify(desk)


def flatten_halted(desk: Desk) -> None:
    """Close the positions that halts flatten. `halt_cancels` cancels the orders of other lines."""
    with desk.database.read() as connection:
        flattening = [halt for halt in halts.in_force(connection, desk.account) if halt.flatten]
    for halt in flattening:
        halts.close_halted(desk, halt, Cause(halt.actor, correlation.new()))


def square_off(desk: Desk) -> None:
    """Close intraday positions shortly before continuous trading ends, and those left open after it."""
    with desk.database.read() as connection:
        due = _due(connection, desk)
        alerted = alerts.open_subjects(connection, desk, AlertKind.CLOSE_SQUARE_OFF_MISSED)
    if not due.lines and {line_name(*key) for key in due.missed} <= alerted:
        return
    cause = Cause(_ACTOR, correlation.new())

    def unit(connection: Connection) -> Followed:
        due = _due(connection, desk)
        for key, detail in due.missed.items():
            kind, subject = AlertKind.CLOSE_SQUARE_OFF_MISSED, line_name(*key)
            alerts.open_alert(connection, desk, kind, subject, cause, detail)
        if not due.lines:
            return Followed()
        return close.close_lines(connection, desk, cause, CloseReason.SQUARE_OFF, _INTRADAY, due.lines)

    desk.writer.run(unit).notify(desk)


def close_near_delivery(desk: Desk) -> None:
    """Close positions in contracts that deliver shares: at the square-off of the day before their expiry.

    What is still open on the day of expiry is closed as soon as the market takes orders.
    """
    with desk.database.read() as connection:
        if not _near_delivery(connection, desk):
            return
    cause = Cause(_ACTOR, correlation.new())

    def unit(connection: Connection) -> Followed:
        due = _near_delivery(connection, desk)
        for key, held in due.items():
            detail = f"{to_text(held)} are being closed before the contract expires, since it delivers shares"
            kind, subject = AlertKind.CONTRACT_CLOSING, line_name(*key)
            alerts.open_alert(connection, desk, kind, subject, cause, detail)
        if not due:
            return Followed()
        return close.close_lines(connection, desk, cause, CloseReason.EXPIRY, _ALL, due)

    desk.writer.run(unit).notify(desk)


def _near_delivery(connection: Connection, desk: Desk) -> dict[LineKey, Decimal]:
    """Return the positions in contracts that must be closed now, before the contracts deliver."""
    now = desk.clock()
    today = date_at(desk.calendar, now)
    found = {}
    for key, held in close.uncovered(connection, desk, _ALL).items():
        instrument = queries.instrument(connection, desk.venue, key[1])
        if instrument is None or not instrument.is_near_delivery(today):
            continue
        is_open = _is_open(desk, instrument, now)
        if is_open if instrument.expiry == today else _is_closing(desk, instrument, now):
            found[key] = held
    return found


def _is_open(desk: Desk, instrument: Instrument, now: datetime) -> bool:
    try:
        phase = desk.calendar.phase(instrument.segment, instrument.has_derivatives, now)
    except CalendarUnknown:
        return False
    return phase is Phase.CONTINUOUS


@dataclass(frozen=True, slots=True)
class _Due:
    """Intraday positions to close now, and alerts about those that should have been flat before."""

    lines: dict[LineKey, Decimal]
    missed: dict[LineKey, str]


def _due(connection: Connection, desk: Desk) -> _Due:
    now, due = desk.clock(), _Due({}, {})
    uncovered = close.uncovered(connection, desk, _INTRADAY)
    for position in queries.open_intraday(connection, desk.account):
        key = (position.strategy, position.symbol, Product.INTRADAY.value)
        instrument = queries.instrument(connection, desk.venue, position.symbol)
        if _INTRADAY.selects(key) and _has_ended(desk, instrument, position.updated_at, now):
            due.missed[key] = _missed_detail(desk, position)
    for key, held in uncovered.items():
        if key in due.missed or _is_closing(desk, queries.instrument(connection, desk.venue, key[1]), now):
            due.lines[key] = held
    return due


def _missed_detail(desk: Desk, position: Row[Any]) -> str:
    holder = f"strategy {position.strategy}" if position.strategy else "orders placed by hand"
    day = date_at(desk.calendar, position.updated_at)
    return (
        f"the intraday position of {to_text(position.quantity)} {position.symbol} ({holder}) was not squared "
        f"off on {day}; it is closed as soon as the market takes orders"
    )


def _is_closing(desk: Desk, instrument: Instrument | None, now: datetime) -> bool:
    """Return whether the time of the square-off has come, and continuous trading has not ended yet."""
    if instrument is None:
        return False
    try:
        closes_at = desk.calendar.closes_at(instrument.segment, instrument.has_derivatives, now)
    except CalendarUnknown:
        return False
    return closes_at is not None and closes_at - desk.square_off_before_close <= now < closes_at


def _has_ended(desk: Desk, instrument: Instrument | None, traded_at: datetime, now: datetime) -> bool:
    """Return whether the continuous trading session in which the position was last traded has ended."""
    try:
        if instrument is None:
            raise CalendarUnknown("the hours of an unlisted instrument are not known")
        closes_at = desk.calendar.closes_at(instrument.segment, instrument.has_derivatives, traded_at)
    except CalendarUnknown:
        return _is_of_an_earlier_day(desk, traded_at, now)
    if closes_at is None:  # the market never closes, or the session was called off
        return desk.calendar.days_left(now) is not None and _is_of_an_earlier_day(desk, traded_at, now)
    return closes_at <= now


def _is_of_an_earlier_day(desk: Desk, traded_at: datetime, now: datetime) -> bool:
    return date_at(desk.calendar, traded_at) < date_at(desk.calendar, now)
