"""What a book was worth when its trading day began; the day's result is measured against it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select

from algosat.store.prepared import Prepared
from algosat.store.tables import openings

WHOLE: Final = "*"  # stands for all strategies together

_WORTH = Prepared(
    select(openings.c.worth).where(
        openings.c.account == bindparam("account"),
        openings.c.strategy == bindparam("strategy"),
        openings.c.day == bindparam("day"),
    )
)


def is_open(connection: Connection, account: str, strategy: str, day: date) -> bool:
    return _opening(connection, account, strategy, day) is not None


def day_result(connection: Connection, account: str, strategy: str, day: date, worth: Decimal) -> Decimal:
    """What the book, worth this much now, has won since the day began; nought before the first look."""
    opening = _opening(connection, account, strategy, day)
    return Decimal(0) if opening is None else worth - opening


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
    row = {"account": account, "strategy": strategy, "day": day, "worth": worth}
    connection.execute(insert(openings), row)
    return Decimal(0)


def _opening(connection: Connection, account: str, strategy: str, day: date) -> Decimal | None:
    worth: Decimal | None = _WORTH.scalar(connection, account=account, strategy=strategy, day=day)
    return worth
