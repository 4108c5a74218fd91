"""The statements behind a risk snapshot. They are few: a statement costs more than the rows it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    String,
    and_,
    bindparam,
    case,
    func,
    select,
    text,
    true,
)

from algosat.domain.orders import PRICES, OrderTerms
from algosat.domain.risk.limits import Limits
from algosat.domain.scope import IN_BASELINES, IN_HALTS, Scope
from algosat.store.prepared import Prepared
from algosat.store.tables import (
    IS_UNFINISHED,
    LATER_SLICE,
    NOT_DENIED,
    balances,
    close_lines,
    days,
    former_instruments,
    halts,
    instruments,
    limits,
    orders,
    quotes,
)
from algosat.store.tables import openings as all_openings
from algosat.store.types import Scaled
from algosat.trading.desk import Desk

_STRATEGY: BindParameter[Any] = bindparam("strategy")
_ALL_HALTED, _ACCOUNT_HALTED, _STRATEGY_HALTED = halts.alias(), halts.alias(), halts.alias()
_ACCOUNT_LIMITS, _STRATEGY_LIMITS = limits.alias(), limits.alias()
_ACCOUNT_OPENING, _STRATEGY_OPENING = all_openings.alias(), all_openings.alias()
_TODAY = (days.c.account == bindparam("account"), days.c.day == bindparam("day"))


def _has_baseline(opening: FromClause, book: Any) -> ColumnElement[bool]:
    columns = opening.c
    return and_(
        columns.account == bindparam("account"), columns.strategy == book, columns.day == bindparam("day")
    )


# The statement starts from the symbol: an instrument that is no longer listed may still be held.
_WANTED = select(bindparam("symbol", type_=String).label("symbol")).subquery("wanted")


def _is_wanted(market: FromClause) -> ColumnElement[bool]:
    return and_(market.c.venue == bindparam("venue"), market.c.symbol == _WANTED.c.symbol)


_CONTEXT = Prepared(
    select(
        _WANTED.c.symbol,
        *(column for column in instruments.c if not column.primary_key),
        former_instruments.c.data.label("former"),
        *(column for column in quotes.c if not column.primary_key),
        *(column for column in balances.c if not column.primary_key),
        _ALL_HALTED.c.reason.label("all_halted"),
        _ACCOUNT_HALTED.c.reason.label("account_halted"),
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
        select(close_lines.c.close_id)
        .where(
            *(close_lines.c[name] == bindparam(name) for name in ("account", "symbol", "product")),
            close_lines.c.strategy == _STRATEGY,
            close_lines.c.denies_entries,
            text(IS_UNFINISHED),
        )
        .limit(1)
        .scalar_subquery()
        .label("closed_by"),
    )
    .select_from(_WANTED)
    .outerjoin(instruments, _is_wanted(instruments))
    .outerjoin(former_instruments, _is_wanted(former_instruments))
    .outerjoin(quotes, _is_wanted(quotes))
    .outerjoin(balances, balances.c.account == bindparam("account"))
    .outerjoin(_ALL_HALTED, _ALL_HALTED.c.scope == IN_HALTS)
    .outerjoin(_ACCOUNT_HALTED, _ACCOUNT_HALTED.c.scope == bindparam("halt_scope"))
    .outerjoin(_STRATEGY_HALTED, _STRATEGY_HALTED.c.scope == _STRATEGY)
    .outerjoin(_ACCOUNT_LIMITS, _ACCOUNT_LIMITS.c.scope == bindparam("limits_scope"))
    .outerjoin(_STRATEGY_LIMITS, _STRATEGY_LIMITS.c.scope == _STRATEGY)
    .outerjoin(_ACCOUNT_OPENING, _has_baseline(_ACCOUNT_OPENING, IN_BASELINES))
    .outerjoin(_STRATEGY_OPENING, _has_baseline(_STRATEGY_OPENING, _STRATEGY))
)
# The protection price is the gate's: it moves with the market, and equal orders may differ in it.
_CHOSEN_PRICES = tuple(name for name in PRICES if name != "protection_price")
_SINCE = (
    orders.c.account == bindparam("account"),
    orders.c.created_at > bindparam("since"),
    orders.c.created_at < bindparam("until"),
)
_COUNTS = (
    func.count().label("of_account"),
    func.count(case((orders.c.strategy == _STRATEGY, 1))).label("of_strategy"),
)
# The slices of an order count as one. No later slice is denied, so the index of these slices has all of them.
_PLACED = select(*_COUNTS).where(*_SINCE, text(NOT_DENIED)).subquery("placed")
_LATER_SLICES = select(*_COUNTS).where(*_SINCE, text(LATER_SLICE)).subquery("later_slices")
_RECENT = Prepared(
    select(
        *((_PLACED.c[name] - _LATER_SLICES.c[name]).label(name) for name in ("of_account", "of_strategy"))
    ).select_from(_PLACED.join(_LATER_SLICES, true()))
)
_EQUAL = Prepared(
    select(orders.c.seq)
    .where(
        *_SINCE,
        text(NOT_DENIED),
        *(orders.c[name] == bindparam(name) for name in ("symbol", "strategy", "side")),
        *(orders.c[name] == bindparam(name) for name in ("quantity", "type", "product")),
        *(orders.c[name].is_not_distinct_from(bindparam(name, type_=Scaled)) for name in _CHOSEN_PRICES),
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class RiskFacts:
    """What the store holds about an order that the gate judges, besides the account's book."""

    # Instrument, or its data if it is no longer listed; quote, balance, halts, changed limits, baselines,
    # number of orders today. None where absent.
    row: Any
    limits: tuple[Limits, ...]  # the account's, then the strategy's if it has any
    recent: Any  # orders of the last second: `of_account` and `of_strategy`
    is_repeat: bool  # an equal order was placed within the duplicate window


def read_facts(
    connection: Connection,
    desk: Desk,
    terms: OrderTerms,
    day: date,
    at: datetime,
    limits_of: Callable[[Any], tuple[Limits, ...]],
    *,
    may_repeat: bool = False,
) -> RiskFacts:
    """Return the facts about an order.

    `limits_of` makes the limits from the row. With `may_repeat`, equal orders are not searched for.
    """
    strategy = terms.strategy or ""
    row = _CONTEXT.first(
        connection,
        venue=desk.venue,
        halt_scope=Scope(account=desk.account).name(IN_HALTS),
        limits_scope=desk.limits_scope,
        symbol=terms.symbol,
        account=terms.account,
        strategy=strategy,
        product=terms.product.value,
        day=day,
    )
    all_limits = limits_of(row)
    window = max(limits.duplicate_window_seconds for limits in all_limits)
    recent = _RECENT.first(connection, **_around_now(at, 1), account=terms.account, strategy=strategy)
    return RiskFacts(row, all_limits, recent, not may_repeat and _is_repeat(connection, terms, at, window))


def _is_repeat(connection: Connection, terms: OrderTerms, at: datetime, window: float) -> bool:
    """Return whether an equal order was placed within the last `window` seconds."""
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
        product=terms.product.value,
        **{name: value for name, value in terms.prices.items() if name in _CHOSEN_PRICES},
    )
    return equal is not None


def _around_now(at: datetime, seconds: float) -> dict[str, datetime]:
    """Return the bounds of the search. Orders after `until` were placed before the clock was put back."""
    span = timedelta(seconds=seconds)
    return {"since": at - span, "until": at + span}
