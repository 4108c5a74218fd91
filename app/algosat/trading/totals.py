"""Totals over the accounts of one currency, and the limits that they have together.

Currencies are never added to each other, nor is paper money to real money.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from algosat.domain.decimals import ZERO
from algosat.domain.risk import RiskScope
from algosat.domain.scope import ACCOUNT
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import account_book, daily_pnl, limits
from algosat.trading.desk import Desk


def scope_of(connection: Connection, desk: Desk, own: RiskScope) -> RiskScope | None:
    """Return the scope of all accounts in the desk's currency; None if they have no limits together.

    `own` is the scope of the desk's account. Only a server with several accounts costs a statement.
    """
    values = {} if desk.is_only else limits.of_total(connection, desk.currency)
    return _together(connection, desk, own, values) if values else None


def total(connection: Connection, desk: Desk) -> RiskScope:
    """Return the scope of all accounts in the desk's currency, with the limits they have together."""
    own = _of_account(connection, desk)
    return _together(connection, desk, own, limits.of_total(connection, desk.currency))


def breach(connection: Connection, desk: Desk, result: Decimal) -> str | None:
    """Return the reason to halt if the accounts of the desk's currency lost their limit together.

    `result` is the result of the desk's own account today.
    """
    values = {} if desk.is_only else limits.of_total(connection, desk.currency)
    if "max_daily_loss" not in values:
        return None
    lost = -(result + sum((_day_result(connection, other) for other in desk.others()), ZERO))
    if lost < values["max_daily_loss"]:
        return None
    limit = values["max_daily_loss"]
    return f"all accounts in {desk.currency} lost {lost:.2f} today; their limit together is {limit}"


def change(desk: Desk, values: Mapping[str, Any], cause: Cause) -> Mapping[str, Any]:
    """Change limits of all accounts in the desk's currency; null lifts one. Raises InvalidBody."""
    return desk.writer.run(lambda connection: limits.change_total(connection, desk, values, cause))


def _together(connection: Connection, desk: Desk, own: RiskScope, values: Mapping[str, Any]) -> RiskScope:
    parts = [own, *(_of_account(connection, other) for other in desk.others())]
    return RiskScope(
        name=f"all accounts in {desk.currency}",
        limits=own.limits.only(values),
        lines=tuple(line for part in parts for line in part.lines),
        working_orders=sum(part.working_orders for part in parts),
        orders_last_second=0,
        orders_today=sum(part.orders_today for part in parts),
        day_result=sum((part.day_result for part in parts), ZERO),
    )


def _of_account(connection: Connection, desk: Desk) -> RiskScope:
    book = account_book.read_book(connection, desk.account, desk.venue)
    day = desk.books.trading_day(desk.clock())
    today = queries.days_of(connection, desk.account, since=day, until=day)
    return RiskScope(
        name=f"account {desk.account}",
        limits=desk.defaults,
        lines=book.exposures,
        working_orders=sum(book.working_orders.values()),
        orders_last_second=0,
        orders_today=sum(row.orders for row in today),
        day_result=daily_pnl.daily_pnl(connection, desk, ACCOUNT, day, book),
    )


def _day_result(connection: Connection, desk: Desk) -> Decimal:
    book = account_book.read_book(connection, desk.account, desk.venue)
    return daily_pnl.daily_pnl(connection, desk, ACCOUNT, desk.books.trading_day(desk.clock()), book)
