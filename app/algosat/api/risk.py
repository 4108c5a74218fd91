"""Routes for risk limits and halts."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from algosat.api.access import Access
from algosat.api.context import cause, desk_of, services
from algosat.api.pages import OfAccount
from algosat.api.risk_models import (
    HaltBody,
    HaltView,
    LimitsChange,
    ResumeBody,
    Resumption,
    RiskView,
    ScopedLimits,
    UsageView,
    halt_view,
)
from algosat.api.routes import Routes
from algosat.domain.decimals import ZERO
from algosat.domain.scope import ACCOUNT, IN_HALTS, IN_LIMITS, Scope
from algosat.errors import CalendarUnknown, Conflict, InvalidBody, NotFound
from algosat.store import queries
from algosat.trading import account_book, daily_pnl, halts, limits
from algosat.trading.desk import Desk
from algosat.trading.halts import Halt

routes = Routes("risk", "Risk limits, their usage, and the kill switch.")


@routes.get("/risk", access=Access.VIEWER, query=OfAccount, answer=RiskView)
def show_risk(query: OfAccount) -> RiskView:
    """Show the limits of account and strategies, their usage, and halts"""
    desk = desk_of(query.account)
    with services().database.read() as connection:
        in_force = _halts(connection, desk)
        effective = limits.in_force(connection, desk, tuple(limits.scopes(connection)))
        used = _usage(connection, desk)
    return {
        "account": desk.account,
        "currency": desk.currency,
        "halted": _is_halted(in_force),
        "halts": [halt_view(each) for each in in_force],
        "limits": effective.pop(ACCOUNT),
        "strategies": [{"scope": scope.name(IN_LIMITS), "limits": held} for scope, held in effective.items()],
        "usage": used,
    }


@routes.put(
    "/risk/limits",
    access=Access.ADMIN,
    body=LimitsChange,
    answer=ScopedLimits,
    errors=(InvalidBody, NotFound),
)
def change_limits(body: LimitsChange) -> ScopedLimits:
    """Change limits, from the next order on"""
    values = body.limits.model_dump(mode="json", exclude_unset=True)
    if not values:
        raise InvalidBody("Give at least one limit")
    scope = Scope.named(body.scope, IN_LIMITS)
    changed = limits.change(services().desks.of(scope.account), replace(scope, account=None), values, cause())
    return {"scope": body.scope, "limits": changed}


@routes.post(
    "/risk/halt", access=Access.TRADER, body=HaltBody, answer=HaltView, limited=False, errors=(NotFound,)
)
def halt_trading(body: HaltBody) -> HaltView:
    """Halt trading: deny new orders, cancel working ones, and close positions if asked

    Reduce-only orders still pass. A halt survives restarts and needs no connection to the broker.
    """
    scope = Scope.named(body.scope, IN_HALTS)
    desk, *others = services().desks.in_scope(scope)
    put = halts.halt_trading(
        desk,
        cause(),
        body.reason,
        scope=scope,
        others=others,
        cancel_orders=body.cancel_orders,
        flatten=body.flatten,
    )
    return halt_view(put)


@routes.post(
    "/risk/resume",
    access=Access.ADMIN,
    body=ResumeBody,
    body_optional=True,
    answer=Resumption,
    errors=(NotFound, Conflict),
)
def resume_trading(body: ResumeBody) -> Resumption:
    """Resume trading"""
    scope = Scope.named(body.scope, IN_HALTS)
    desk, *others = services().desks.in_scope(scope)
    lifted = halts.resume_trading(desk, cause(), scope=scope, others=others)
    with services().database.read() as connection:
        in_force = _halts(connection, desk)
    return {"was_halted": lifted, "halted": _is_halted(in_force)}


def _usage(connection: Connection, desk: Desk) -> UsageView:
    seen = account_book.read_book(connection, desk.account, desk.venue)
    try:
        day = desk.calendar.trading_day(desk.clock())
    except CalendarUnknown:  # nothing is traded then
        orders_today, day_result = 0, ZERO
    else:
        today = queries.days_of(connection, desk.account, since=day, until=day)
        orders_today = sum(row.orders for row in today)
        day_result = daily_pnl.daily_pnl(connection, desk, ACCOUNT, day, seen)
    return {
        "gross_exposure": sum((line.exposure for line in seen.exposures), ZERO),
        "gross_margin": sum((line.margin for line in seen.exposures if line.kind.is_derivative), ZERO),
        "open_orders": sum(seen.working_orders.values()),
        "orders_today": orders_today,
        "day_result": day_result,
        "unpriced_symbols": sorted(seen.unpriced),
    }


def _halts(connection: Connection, desk: Desk) -> list[Halt]:
    """Return the halts in force, and those that the store has not taken yet."""
    return [*halts.all_in_force(connection), *halts.recorded(connection, desk)]


def _is_halted(in_force: list[Halt]) -> bool:
    return any(each.scope == ACCOUNT for each in in_force)
