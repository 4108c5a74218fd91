"""What the gate judges by, read in as few statements as can be: each costs more than what it reads."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    and_,
    bindparam,
    case,
    func,
    select,
    text,
)

from algosat.domain.orders import OrderTerms
from algosat.domain.scope import IN_BASELINES, IN_HALTS, IN_LIMITS
from algosat.store.prepared import Prepared
from algosat.store.tables import NOT_DENIED, balances, days, halts, instruments, limits, orders, quotes
from algosat.store.tables import openings as all_openings
from algosat.store.types import Scaled

_STRATEGY: BindParameter[Any] = bindparam("strategy")
_ALL_HALTED, _STRATEGY_HALTED = halts.alias(), halts.alias()
_ACCOUNT_LIMITS, _STRATEGY_LIMITS = limits.alias(), limits.alias()
_ACCOUNT_OPENING, _STRATEGY_OPENING = all_openings.alias(), all_openings.alias()
_TODAY = (days.c.account == bindparam("account"), days.c.day == bindparam("day"))


def _opens(opening: FromClause, book: Any) -> ColumnElement[bool]:
    columns = opening.c
    return and_(
        columns.account == bindparam("account"), columns.strategy == book, columns.day == bindparam("day")
    )


_AROUND = Prepared(
    select(
        instruments,
        *(column for column in quotes.c if column is not quotes.c.symbol),
        *(balances.c[name] for name in ("deposited", "realised", "fees")),
        _ALL_HALTED.c.reason.label("all_halted"),
        _STRATEGY_HALTED.c.reason.label("strategy_halted"),
        _ACCOUNT_LIMITS.c["values"].label("account_limits"),
        _STRATEGY_LIMITS.c["values"].label("strategy_limits"),
        _ACCOUNT_OPENING.c.worth.label("account_opening"),
        _STRATEGY_OPENING.c.worth.label("strategy_opening"),
        select(func.sum(days.c.orders)).where(*_TODAY).scalar_subquery().label("account_orders"),
        select(days.c.orders)
        .where(*_TODAY, days.c.strategy == _STRATEGY)
        .scalar_subquery()
        .label("strategy_orders"),
    )
    .outerjoin(quotes, quotes.c.symbol == instruments.c.symbol)
    .outerjoin(balances, balances.c.account == bindparam("account"))
    .outerjoin(_ALL_HALTED, _ALL_HALTED.c.scope == IN_HALTS)
    .outerjoin(_STRATEGY_HALTED, _STRATEGY_HALTED.c.scope == _STRATEGY)
    .outerjoin(_ACCOUNT_LIMITS, _ACCOUNT_LIMITS.c.scope == IN_LIMITS)
    .outerjoin(_STRATEGY_LIMITS, _STRATEGY_LIMITS.c.scope == _STRATEGY)
    .outerjoin(_ACCOUNT_OPENING, _opens(_ACCOUNT_OPENING, IN_BASELINES))
    .outerjoin(_STRATEGY_OPENING, _opens(_STRATEGY_OPENING, _STRATEGY))
    .where(instruments.c.symbol == bindparam("symbol"))
)
_SINCE = (
    orders.c.account == bindparam("account"),
    orders.c.created_at > bindparam("since"),
    orders.c.created_at < bindparam("until"),
    text(NOT_DENIED),
)
_LATELY = Prepared(
    select(
        func.count().label("of_account"),
        func.count(case((orders.c.strategy == _STRATEGY, 1))).label("of_strategy"),
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


def around(connection: Connection, terms: OrderTerms, day: date | None) -> Any:
    """A row of the instrument, its price, and of the account and the intent's strategy: money, halts, changed
    limits, the day's opening and number of orders. What is not there is null; None for an unknown instrument.
    """
    return _AROUND.first(
        connection, symbol=terms.symbol, account=terms.account, strategy=terms.strategy or "", day=day
    )


def lately(connection: Connection, terms: OrderTerms, at: datetime) -> Any:
    """How many orders came in the last second: `of_account`, and `of_strategy`, the intent's."""
    return _LATELY.first(
        connection, **_around_now(at, 1), account=terms.account, strategy=terms.strategy or ""
    )


def is_repeat(connection: Connection, terms: OrderTerms, at: datetime, window: float) -> bool:
    """Whether an equal order came within these seconds."""
    if not window:
        return False
    equal = _EQUAL.first(
        connection,
        **_around_now(at, window),
        account=terms.account,
        symbol=terms.symbol,
        strategy=terms.strategy or "",
        side=terms.side.value,
        quantity=terms.quantity,
        type=terms.type.value,
        limit_price=terms.limit_price,
        trigger_price=terms.trigger_price,
        product=terms.product.value,
    )
    return equal is not None


def _around_now(at: datetime, seconds: float) -> dict[str, datetime]:
    """Since when, and until when: what is ahead of now by more was placed before the clock was put back."""
    span = timedelta(seconds=seconds)
    return {"since": at - span, "until": at + span}
