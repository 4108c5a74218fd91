"""Routes for P&L exits: a profit target and a loss limit on the day's result of a strategy."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import Field

from algosat.api.access import Access
from algosat.api.amounts import Amount
from algosat.api.context import cause, desk_of, desk_of_strategy, services
from algosat.api.fields import AccountName, Actor, Money, Timestamp
from algosat.api.pages import Everything, Label, OfAccount, page
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.domain.pnl_exits import PnlExit, PnlOutcome
from algosat.errors import InvalidBody, NotFound
from algosat.store import pnl_exits as rows
from algosat.trading import pnl_exits

routes = Routes("risk")


class OfStrategysAccount(Input):
    account: Annotated[Label | None, Field(examples=["paper"])] = None
    """Account; by default the one on which the strategy trades."""


class PnlExitBody(OfStrategysAccount):
    """Amounts of a P&L exit; at least one of them."""

    profit_target: Annotated[Amount | None, Field(examples=["5000"])] = None
    """Profit of the day, charges and open positions included, at which the strategy is closed."""
    loss_limit: Annotated[Amount | None, Field(examples=["2000"])] = None
    """Loss of the day, charges and open positions included, at which the strategy is closed."""


class PnlExitView(Output):
    """The P&L exit of a strategy."""

    account: AccountName
    strategy: Annotated[str, Field(examples=["opening-range"])]
    """Name of the strategy."""
    profit_target: Annotated[Money | None, Field(examples=["5000"])]
    """Profit of the day at which the strategy is closed; null if there is none."""
    loss_limit: Annotated[Money | None, Field(examples=["2000"])]
    """Loss of the day at which the strategy is closed; null if there is none."""
    set_at: Timestamp
    """Time at which the amounts were set."""
    set_by: Actor
    reached_on: date | None
    """Trading day on which one of the amounts was reached last; null if none was since they were set."""
    outcome: Annotated[PnlOutcome | None, Field(examples=["loss_limit"])]
    """Which amount was reached."""
    halted: bool
    """Whether the halt that it caused is still in force."""


@routes.get("/risk/pnl-exits", access=Access.VIEWER, query=OfAccount, answer=Everything[PnlExitView])
def list_pnl_exits(query: OfAccount) -> dict[str, Any]:
    """List the P&L exits of all strategies on an account"""
    account = desk_of(query.account).account
    with services().database.read() as connection:
        return page(map(_view, rows.all_of(connection, account)), None)


@routes.get(
    "/risk/pnl-exits/<name:name>",
    access=Access.VIEWER,
    query=OfStrategysAccount,
    answer=PnlExitView,
    errors=(NotFound,),
)
def show_pnl_exit(name: str, query: OfStrategysAccount) -> PnlExitView:
    """Show the P&L exit of a strategy"""
    desk = desk_of_strategy(name, query.account)
    with services().database.read() as connection:
        return _view(pnl_exits.show_pnl_exit(connection, desk, name))


@routes.put(
    "/risk/pnl-exits/<name:name>",
    access=Access.TRADER,
    body=PnlExitBody,
    answer=PnlExitView,
    limited=False,
    errors=(InvalidBody, NotFound),
)
def set_pnl_exit(name: str, body: PnlExitBody) -> PnlExitView:
    """Set the P&L exit of a strategy

    When the strategy's profit or loss of the day reaches an amount, the engine halts the strategy until the
    day ends: entries are denied, working orders are cancelled, and all positions are closed. On a later
    day the halt is lifted once nothing is held any more. `POST /risk/resume` lifts it earlier; then the
    amounts apply again from the next day, or as soon as they are changed. A P&L exit survives restarts.
    """
    desk = desk_of_strategy(name, body.account)
    return _view(pnl_exits.set_pnl_exit(desk, name, body.profit_target, body.loss_limit, cause()))


@routes.delete(
    "/risk/pnl-exits/<name:name>",
    access=Access.TRADER,
    query=OfStrategysAccount,
    answer=PnlExitView,
    limited=False,
    errors=(NotFound,),
)
def remove_pnl_exit(name: str, query: OfStrategysAccount) -> PnlExitView:
    """Remove the P&L exit of a strategy

    A halt that it caused stays until `POST /risk/resume`.
    """
    return _view(pnl_exits.remove_pnl_exit(desk_of_strategy(name, query.account), name, cause()))


def _view(of: PnlExit) -> PnlExitView:
    return {
        "account": of.account,
        "strategy": of.strategy,
        "profit_target": of.profit_target,
        "loss_limit": of.loss_limit,
        "set_at": of.set_at,
        "set_by": of.set_by,
        "reached_on": of.reached_on,
        "outcome": of.outcome,
        "halted": of.halted_at is not None,
    }
