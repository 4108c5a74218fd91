"""Route for profit and loss by trading day and strategy."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import Field

from algosat.api.access import Access
from algosat.api.context import desk_of, services
from algosat.api.fields import Money, StrategyName
from algosat.api.pages import Everything, Label, OfAccount, page
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.store import queries

routes = Routes("book")


class PnlQuery(OfAccount):
    strategy: Label | None = None
    """Only this strategy."""
    since: date | None = None
    """First trading day."""
    until: date | None = None
    """Last trading day."""


class PnlView(Output):
    """Profit and loss of one strategy (or of manual trading) on one trading day."""

    day: date
    """Trading day."""
    strategy: StrategyName
    orders: Annotated[int, Field(examples=[4])]
    """Number of orders placed."""
    trades: Annotated[int, Field(examples=[5])]
    """Number of fills."""
    realised: Annotated[Money, Field(examples=["120.5"])]
    """Profit realised on that day, before fees."""
    fees: Annotated[Money, Field(examples=["6.35"])]
    """Fees of the day's fills."""
    net: Annotated[Money, Field(examples=["114.15"])]
    """`realised` less `fees`."""


@routes.get("/pnl", access=Access.VIEWER, query=PnlQuery, answer=Everything[PnlView])
def list_pnl(query: PnlQuery) -> dict[str, Any]:
    """List realised profit and loss by trading day, newest first

    `GET /positions` shows the unrealised profit of open positions.
    """
    with services().database.read() as connection:
        rows = queries.days_of(
            connection,
            desk_of(query.account).account,
            strategy=query.strategy,
            since=query.since,
            until=query.until,
        )
    return page((_view(row) for row in rows), None)


def _view(row: Any) -> PnlView:
    realised, fees = row.realised + row.realised_low, row.fees + row.fees_low
    return {
        "day": row.day,
        "strategy": row.strategy or None,
        "orders": row.orders,
        "trades": row.trades,
        "realised": realised,
        "fees": fees,
        "net": realised - fees,
    }
