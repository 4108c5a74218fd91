"""The day's profit or loss, measured against a baseline: the scope's equity when the day began."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, bindparam, func, insert, select, type_coerce, update

from algosat.domain.decimals import ZERO
from algosat.domain.scope import ACCOUNT, IN_BASELINES, Scope
from algosat.store.prepared import Prepared
from algosat.store.tables import days, openings
from algosat.store.types import Scaled

_BASELINE = Prepared(
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


def has_baseline(connection: Connection, account: str, scope: Scope, day: date) -> bool:
    """Return whether the day's baseline of the scope has been written."""
    return _baseline(connection, account, scope, day) is not None


def daily_pnl(connection: Connection, account: str, scope: Scope, day: date, equity: Decimal) -> Decimal:
    """Return the profit or loss since the day began, given the scope's equity now."""
    baseline = _baseline(connection, account, scope, day)
    return _loss_before_baseline(connection, account, scope, day) if baseline is None else equity - baseline


def open_day(connection: Connection, account: str, scope: Scope, day: date, equity: Decimal) -> Decimal:
    """Return the day's profit or loss; the first call of a day writes the baseline."""
    return pnl_since(connection, account, scope, day, equity, _baseline(connection, account, scope, day))


def pnl_since(
    connection: Connection, account: str, scope: Scope, day: date, equity: Decimal, baseline: Decimal | None
) -> Decimal:
    """Return the day's profit or loss against the baseline; write the baseline if it is None."""
    if baseline is not None:
        return equity - baseline
    lost = _loss_before_baseline(connection, account, scope, day)
    row = {"account": account, "strategy": scope.name(IN_BASELINES), "day": day, "worth": equity - lost}
    connection.execute(insert(openings), row)
    return lost


def raise_baseline(connection: Connection, account: str, scope: Scope, day: date, gain: Decimal) -> None:
    """Raise the day's baseline by a gain that may be older than the day."""
    key = {"account": account, "strategy": scope.name(IN_BASELINES), "day": day}
    statement = update(openings).where(*(openings.c[name] == value for name, value in key.items()))
    connection.execute(statement.values(worth=openings.c.worth + gain))


def _loss_before_baseline(connection: Connection, account: str, scope: Scope, day: date) -> Decimal:
    """Return what was lost on this day before the baseline was written, as an amount of at most zero.

    A gain is not counted: part of it may be from earlier days, and would hide losses of this one.
    """
    earned = _EARNED_BY_ALL if scope == ACCOUNT else _EARNED
    of_day = earned.scalar(connection, account=account, strategy=scope.name(IN_BASELINES), day=day)
    return min(of_day or ZERO, ZERO)


def _baseline(connection: Connection, account: str, scope: Scope, day: date) -> Decimal | None:
    baseline: Decimal | None = _BASELINE.scalar(
        connection, account=account, strategy=scope.name(IN_BASELINES), day=day
    )
    return baseline
