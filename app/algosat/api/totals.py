"""Routes for the limits that all accounts of a currency have together, and their usage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Connection

from algosat.api.access import Access
from algosat.api.amounts import Amount
from algosat.api.context import cause, services
from algosat.api.fields import Money
from algosat.api.pages import Everything, page
from algosat.api.request_models import Input
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.domain.decimals import ZERO
from algosat.errors import InvalidBody, NotFound
from algosat.trading import limits, totals
from algosat.trading.desk import Desk

routes = Routes("risk")

Number = Annotated[int, Field(gt=0, le=1_000_000_000)]


class TotalLimitsChange(Input):
    """Limits of all accounts of a currency together. An omitted limit stays as it is; null removes it."""

    max_gross_exposure: Annotated[Amount | None, Field(examples=["500000"])] = None
    """Largest value of all positions and working orders in shares together."""
    max_gross_margin: Annotated[Amount | None, Field(examples=["250000"])] = None
    """Largest margin of positions and working orders in futures and options together."""
    max_open_orders: Number | None = None
    """Largest number of working orders."""
    max_orders_per_day: Number | None = None
    """Largest number of orders on a trading day."""
    max_daily_loss: Annotated[Amount | None, Field(examples=["20000"])] = None
    """Daily loss at which every order except exits is denied, and each of the accounts is halted."""


class TotalLimitsView(Output):
    """Limits of all accounts of a currency together; null: there is none."""

    max_gross_exposure: Annotated[Money | None, Field(examples=["500000"])]
    """Largest value of all positions and working orders in shares together."""
    max_gross_margin: Annotated[Money | None, Field(examples=["250000"])]
    """Largest margin of positions and working orders in futures and options together."""
    max_open_orders: Annotated[int | None, Field(examples=[50])]
    """Largest number of working orders."""
    max_orders_per_day: Annotated[int | None, Field(examples=[500])]
    """Largest number of orders on a trading day."""
    max_daily_loss: Annotated[Money | None, Field(examples=["20000"])]
    """Daily loss at which every order except exits is denied."""


class TotalView(Output):
    """All accounts of one currency and mode together. Paper money is not added to real money."""

    currency: Annotated[str, Field(examples=["INR"])]
    """Currency of the accounts and of all amounts."""
    mode: Annotated[Literal["PAPER", "LIVE"], Field(examples=["PAPER"])]
    """`LIVE`: orders move real money."""
    accounts: Annotated[list[str], Field(examples=[["paper"]])]
    """The accounts."""
    limits: TotalLimitsView
    """Limits that the accounts have together."""
    gross_exposure: Annotated[Money, Field(examples=["2045"])]
    """Value of positions and working orders."""
    gross_margin: Annotated[Money, Field(examples=["0"])]
    """Margin of positions and working orders in futures and options."""
    open_orders: Annotated[int, Field(examples=[1])]
    """Number of working orders."""
    orders_today: Annotated[int, Field(examples=[4])]
    """Number of orders placed on this trading day."""
    day_result: Annotated[Money, Field(examples=["13.73"])]
    """Profit since the trading day began, open positions and fees included; negative for a loss."""


@routes.get("/risk/totals", access=Access.VIEWER, answer=Everything[TotalView])
def list_totals() -> dict[str, Any]:
    """Show usage and limits of all accounts together, by currency"""
    with services().database.read() as connection:
        return page([_view(connection, desk) for desk in _one_of_each()], None)


@routes.put(
    "/risk/totals/<name:currency>",
    access=Access.ADMIN,
    body=TotalLimitsChange,
    answer=TotalLimitsView,
    errors=(InvalidBody, NotFound),
)
def change_total_limits(currency: str, body: TotalLimitsChange) -> TotalLimitsView:
    """Change the limits that all accounts of a currency have together

    They apply from the next order on, beside the limits of each account.
    """
    values = body.model_dump(mode="json", exclude_unset=True)
    if not values:
        raise InvalidBody("Give at least one limit")
    desk = next((each for each in services().desks if each.currency == currency.upper()), None)
    if desk is None:
        raise NotFound(f"no account is in {currency.upper()}")
    return _limits(totals.change(desk, values, cause()))


def _one_of_each() -> list[Desk]:
    """Return the first desk of each currency and mode."""
    found = {(desk.currency, desk.is_live): desk for desk in reversed(list(services().desks))}
    return list(reversed(found.values()))


def _view(connection: Connection, desk: Desk) -> TotalView:
    found = totals.total(connection, desk)
    return {
        "currency": desk.currency,
        "mode": "LIVE" if desk.is_live else "PAPER",
        "accounts": [desk.account, *(each.account for each in desk.others())],
        "limits": _limits(limits.of_total(connection, desk.currency)),
        "gross_exposure": sum((line.exposure for line in found.lines), ZERO),
        "gross_margin": found.margin_in_derivatives,
        "open_orders": found.working_orders,
        "orders_today": found.orders_today,
        "day_result": found.day_result,
    }


def _limits(values: Any) -> TotalLimitsView:
    return {
        "max_gross_exposure": values.get("max_gross_exposure"),
        "max_gross_margin": values.get("max_gross_margin"),
        "max_open_orders": values.get("max_open_orders"),
        "max_orders_per_day": values.get("max_orders_per_day"),
        "max_daily_loss": values.get("max_daily_loss"),
    }
