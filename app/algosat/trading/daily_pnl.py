"""What a book was worth when its trading day began; the day's result is measured against it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, bindparam, func, insert, select, type_coerce, update

from algosat.store.prepared import Prepared
from algosat.store.tables import days, openings
from algosat.store.types import Scaled

WHOLE: Final = "*"  # stands for all strategies together

_ZERO: Final = Decimal(0)

_WORTH = Prepared(
    select(openings.c.worth).where(
        openings.c.account == bindparam("account"),
        openings.c.strategy == bindparam("strategy"),
        openings.c.day == bindparam("day"),
    )
)
_OF_DAY = (days.c.account == bindparam("account"), days.c.day == bindparam("day"))
_SUM = type_coerce(func.sum(days.c.realised) - func.sum(days.c.fees), Scaled).label("earned")
_EARNED_BY_ALL = Prepared(select(_SUM).where(*_OF_DAY))
_EARNED = Prepared(select(_SUM).where(*_OF_DAY, days.c.strategy == bindparam("strategy")))


def has_baseline(connection: Connection, account: str, strategy: str, day: date) -> bool:
    return _opening(connection, account, strategy, day) is not None


def daily_pnl(connection: Connection, account: str, strategy: str, day: date, worth: Decimal) -> Decimal:
    """What the book, worth this much now, has won since the day began."""
    opening = _opening(connection, account, strategy, day)
    return _lost(connection, account, strategy, day) if opening is None else worth - opening


def open_day(connection: Connection, account: str, strategy: str, day: date, worth: Decimal) -> Decimal:
    """The day's result so far; the first call of a day writes what it is measured against."""
    opening = _opening(connection, account, strategy, day)
    return result_since(connection, account, strategy, day, worth, opening)


def result_since(
    connection: Connection, account: str, strategy: str, day: date, worth: Decimal, opening: Decimal | None
) -> Decimal:
    """The same where the day's opening was read already; None where it is not written yet."""
    if opening is not None:
        return worth - opening
    lost = _lost(connection, account, strategy, day)
    row = {"account": account, "strategy": strategy, "day": day, "worth": worth - lost}
    connection.execute(insert(openings), row)
    return lost


def raise_baseline(connection: Connection, account: str, strategy: str, day: date, gain: Decimal) -> None:
    """Measure the day against more: a gain has come to light that nobody can say is of today."""
    of_book = {"account": account, "strategy": strategy, "day": day}
    statement = update(openings).where(*(openings.c[name] == value for name, value in of_book.items()))
    connection.execute(statement.values(worth=openings.c.worth + gain))


def _lost(connection: Connection, account: str, strategy: str, day: date) -> Decimal:
    """What was lost for good on this day before the first look, as a negative amount: it counts all the same.

    A gain does not: part of it may be of the days before, and would hide losses of this one.
    """
    earned = _EARNED_BY_ALL if strategy == WHOLE else _EARNED
    return min(earned.scalar(connection, account=account, strategy=strategy, day=day) or _ZERO, _ZERO)


def _opening(connection: Connection, account: str, strategy: str, day: date) -> Decimal | None:
    worth: Decimal | None = _WORTH.scalar(connection, account=account, strategy=strategy, day=day)
    return worth
