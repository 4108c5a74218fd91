"""The book: trades, positions, funds, and the ways out of a position."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask import Response
from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.idempotency import HEADER, all_placed, optional_key
from algosat.api.order_views import OrderView, TradeView, rounded, trade_view
from algosat.api.pages import Everything, Label, Page, PageQuery, Symbol, page
from algosat.api.request_models import Input
from algosat.api.routes import Routes
from algosat.domain.instruments import Quote
from algosat.domain.orders import Product
from algosat.domain.positions import Position
from algosat.errors import Conflict, KeyReused
from algosat.store import queries
from algosat.trading import close, funds

routes = Routes("book")


class TradesQuery(PageQuery):
    symbol: Symbol | None = None
    strategy: Label | None = None
    order_id: Label | None = None


class PositionsQuery(Input):
    symbol: Symbol | None = None
    strategy: Label | None = None
    closed: bool = False


class PositionView(TypedDict):
    account: str
    symbol: str
    strategy: str | None
    product: Product
    quantity: Decimal
    average_price: Decimal | None
    last_price: Decimal | None
    unrealised: Decimal | None
    realised: Decimal
    fees: Decimal


class Closing(Input):
    strategy: Label | None = None
    product: Product | None = None


class ClosingAll(Input):
    strategy: Label | None = None


class FundsView(TypedDict):
    account: str
    deposited: Decimal
    cash: Decimal
    equity: Decimal
    margin_used: Decimal
    available: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal


@routes.get("/trades", access=Access.VIEWER, query=TradesQuery, answer=Page[TradeView])
def list_trades(query: TradesQuery) -> dict[str, Any]:
    """Executions, newest first"""
    with services().database.read() as connection:
        found = queries.trades_page(
            connection,
            limit=query.limit,
            cursor=query.after,
            symbol=query.symbol,
            strategy=query.strategy,
            order_id=query.order_id,
        )
    return page((trade_view(row) for row in found.rows), found.next_cursor)


@routes.get("/positions", access=Access.VIEWER, query=PositionsQuery, answer=Everything[PositionView])
def list_positions(query: PositionsQuery) -> dict[str, Any]:
    """Open positions, each strategy's by itself; with `closed=true` also what was closed"""
    desk = services().desk
    read = queries.all_positions if query.closed else queries.open_positions
    with services().database.read() as connection:
        positions = read(connection, desk.account)
        quotes = queries.all_quotes(connection)
    wanted = [
        position
        for position in positions
        if query.symbol in (None, position.symbol) and query.strategy in (None, position.strategy)
    ]
    return page((_position(each, quotes.get(each.symbol)) for each in wanted), None)


@routes.post(
    "/positions/<symbol:symbol>/close",
    access=Access.TRADER,
    body=Closing,
    body_optional=True,
    headers=(HEADER,),
    limited=False,
    answer=Everything[OrderView],
    status=201,
    errors=(Conflict, KeyReused),
)
def close_position(symbol: str, body: Closing) -> Response:
    """Close what is left of a position after the orders already working, at the market"""
    key = optional_key(f"close {symbol}", body)
    placed = close.close_position(
        services().desk, symbol, cause(), strategy=body.strategy, product=body.product, key=key
    )
    return all_placed(placed)


@routes.post(
    "/positions/close-all",
    access=Access.TRADER,
    body=ClosingAll,
    body_optional=True,
    headers=(HEADER,),
    limited=False,
    answer=Everything[OrderView],
    status=201,
    errors=(KeyReused,),
)
def close_all_positions(body: ClosingAll) -> Response:
    """Close everything, or everything of one strategy"""
    key = optional_key("close all", body)
    placed = close.close_all(services().desk, cause(), strategy=body.strategy, key=key)
    return all_placed(placed)


@routes.get("/funds", access=Access.VIEWER, answer=FundsView)
def show_funds() -> FundsView:
    """The account's money: what there is, what is held fast, what is left"""
    account = services().desk.account
    with services().database.read() as connection:
        found = funds.funds(connection, account)
    return {
        "account": account,
        "deposited": found.deposited,
        "cash": found.cash,
        "equity": found.equity,
        "margin_used": found.margin_used,
        "available": found.available,
        "realised": found.realised,
        "unrealised": found.unrealised,
        "fees": found.fees,
    }


def _position(position: Position, quote: Quote | None) -> PositionView:
    return {
        "account": position.account,
        "symbol": position.symbol,
        "strategy": position.strategy or None,
        "product": Product(position.product),
        "quantity": position.quantity,
        "average_price": rounded(position.average_price),
        "last_price": quote.last if quote else None,
        "unrealised": position.unrealised(quote.last) if quote else None,
        "realised": position.realised,
        "fees": position.fees,
    }
