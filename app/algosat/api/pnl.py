"""Profit and loss by trading day and strategy."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import services
from algosat.api.pages import Everything, Label, page
from algosat.api.request_models import Input
from algosat.api.routes import Routes
from algosat.store import queries

routes = Routes("book")


class PnlQuery(Input):
    strategy: Label | None = None
    since: Annotated[date | None, Field(description="The first trading day.")] = None
    until: Annotated[date | None, Field(description="The last trading day.")] = None


class PnlView(TypedDict):
    day: date
    strategy: str | None
    orders: int
    trades: int
    realised: Decimal
    fees: Decimal
    net: Decimal


@routes.get("/pnl", access=Access.VIEWER, query=PnlQuery, answer=Everything[PnlView])
def list_pnl(query: PnlQuery) -> dict[str, Any]:
    """What each trading day came to, newest first

    `net` is what was realised, less fees. What open positions are worth now stands in `/positions`.
    """
    with services().database.read() as connection:
        rows = queries.days_of(
            connection,
            services().desk.account,
            strategy=query.strategy,
            since=query.since,
            until=query.until,
        )
    return page((_view(row) for row in rows), None)


def _view(row: Any) -> PnlView:
    return {
        "day": row.day,
        "strategy": row.strategy or None,
        "orders": row.orders,
        "trades": row.trades,
        "realised": row.realised,
        "fees": row.fees,
        "net": row.realised - row.fees,
    }
