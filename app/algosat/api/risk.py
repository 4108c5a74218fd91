"""Limits and the kill switch."""

from __future__ import annotations

from decimal import Decimal

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.risk_shapes import (
    HaltBody,
    HaltView,
    LimitsAnswer,
    LimitsChange,
    ResumeAnswer,
    ResumeBody,
    RiskView,
    halt_view,
    limits_view,
)
from algosat.api.routes import Routes
from algosat.errors import InvalidBody
from algosat.trading import book, halt, halts, limits
from algosat.trading.halts import ALL, Halt
from algosat.trading.limits import ACCOUNT

routes = Routes("risk")


@routes.get("/risk", access=Access.VIEWER, answer=RiskView)
def show_risk() -> RiskView:
    """What the account is held to, how much of it is used, and whether trading is halted"""
    desk = services().desk
    with services().database.read() as connection:
        in_force = halts.in_force(connection)
        effective = limits.in_force(connection, desk.defaults, (ACCOUNT,))[ACCOUNT]
        of = book.read(connection, desk.account)
    return {
        "halted": _is_halted(in_force),
        "halts": [halt_view(each) for each in in_force],
        "limits": limits_view(effective),
        "usage": {
            "gross_exposure": sum((line.exposure for line in of.lines), Decimal(0)),
            "open_orders": sum(of.working_orders.values()),
            "unpriced_symbols": sorted(of.unpriced),
        },
    }


@routes.put(
    "/risk/limits", access=Access.ADMIN, body=LimitsChange, answer=LimitsAnswer, errors=(InvalidBody,)
)
def changelimits_view(body: LimitsChange) -> LimitsAnswer:
    """Change limits; the next order is judged by them"""
    values = body.limits.model_dump(mode="json", exclude_unset=True)
    if not values:
        raise InvalidBody("Name at least one limit")
    return {
        "scope": body.scope,
        "limits": limits_view(limits.change(services().desk, body.scope, values, cause())),
    }


@routes.post("/risk/halt", access=Access.TRADER, body=HaltBody, answer=HaltView, limited=False)
def halt_trading(body: HaltBody) -> HaltView:
    """The kill switch: nothing new passes, working orders are cancelled, positions closed if asked

    It survives restarts and works while the broker does not. Orders that reduce a position pass.
    """
    put = halt.halt(
        services().desk,
        cause(),
        body.reason,
        scope=body.scope,
        cancel_orders=body.cancel_orders,
        flatten=body.flatten,
    )
    return halt_view(put)


@routes.post("/risk/resume", access=Access.ADMIN, body=ResumeBody, body_optional=True, answer=ResumeAnswer)
def resume_trading(body: ResumeBody) -> ResumeAnswer:
    """Let orders pass again"""
    lifted = halt.resume(services().desk, cause(), scope=body.scope)
    with services().database.read() as connection:
        in_force = halts.in_force(connection)
    return {"was_halted": lifted, "halted": _is_halted(in_force)}


def _is_halted(in_force: list[Halt]) -> bool:
    return any(each.scope == ALL for each in in_force)
