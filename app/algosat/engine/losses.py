"""The day's loss, measured from what a book was worth when the day began; too much of it is a halt."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from algosat.monitoring import correlation
from algosat.store.audit import Cause
from algosat.trading import book, halt, halts, limits, openings
from algosat.trading.desk import Desk

_ACTOR: Final = "clock"


def watch(desk: Desk) -> None:
    """Open the day of every book that has limits, and halt those that lost what they may."""
    day = desk.calendar.trading_day(desk.clock())
    with desk.database.read() as connection:
        seen = book.read(connection, desk.account)
        if seen.unpriced:
            return  # what cannot be valued cannot be judged; the gate denies new orders meanwhile
        scopes = limits.scopes(connection)
        worth = {scope: book.worth(connection, desk.account, seen, _strategy(scope)) for scope in scopes}
        unopened = [
            scope for scope in scopes if not openings.is_open(connection, desk.account, book_of(scope), day)
        ]
    if unopened:
        desk.writer.run(
            lambda connection: [
                openings.open_day(connection, desk.account, book_of(scope), day, worth[scope])
                for scope in unopened
            ]
        )
    with desk.database.read() as connection:
        breaches = [_breach(connection, desk, scope, worth[scope]) for scope in scopes]
    for halted, reason in filter(None, breaches):
        halt.halt(desk, Cause(_ACTOR, correlation.new()), reason, scope=halted)


def book_of(scope: str) -> str:
    return openings.WHOLE if scope == limits.ACCOUNT else scope


def _strategy(scope: str) -> str | None:
    return None if scope == limits.ACCOUNT else scope


def _breach(connection: Connection, desk: Desk, scope: str, worth: Decimal) -> tuple[str, str] | None:
    """The scope to halt and why, unless it is halted already."""
    halted = halts.ALL if scope == limits.ACCOUNT else scope
    if any(each.scope in (halts.ALL, halted) for each in halts.in_force(connection)):
        return None
    held_to = limits.in_force(connection, desk.defaults, (scope,))[scope]
    day = desk.calendar.trading_day(desk.clock())
    result = openings.day_result(connection, desk.account, book_of(scope), day, worth)
    if -result < held_to.max_daily_loss:
        return None
    return halted, f"lost {-result:.2f} today; the limit is {held_to.max_daily_loss}"
