"""Routes for trades, positions and funds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from algosat.api.access import Access
from algosat.api.context import desk_of, services
from algosat.api.fields import AccountName, Currency, InstrumentSymbol, Money, Price, Quantity, StrategyName
from algosat.api.order_views import TradeView, rounded, trade_view
from algosat.api.pages import Everything, Label, OfAccount, Page, PageQuery, Symbol, page
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.domain.instruments import Quote
from algosat.domain.orders import Product
from algosat.domain.positions import Position
from algosat.store import queries
from algosat.trading import funds

routes = Routes("book", "Trades, positions, profit and loss, and funds.")


class TradesQuery(PageQuery, OfAccount):
    symbol: Symbol | None = None
    """Only trades in this instrument."""
    strategy: Label | None = None
    """Only trades of this strategy."""
    order_id: Annotated[Label | None, Field(examples=["a7k2m4q6s3u5w7y2b4"])] = None
    """Only fills of this order."""


class PositionsQuery(OfAccount):
    symbol: Symbol | None = None
    """Only positions in this instrument."""
    strategy: Label | None = None
    """Only positions of this strategy."""
    closed: bool = False
    """Also return positions that are closed."""


class PositionView(Output):
    """Position of one strategy (or of manual trading) in one instrument under one product."""

    account: AccountName
    symbol: InstrumentSymbol
    strategy: StrategyName
    product: Product
    """Product of the position."""
    quantity: Quantity
    """Quantity held; negative for a short position."""
    average_price: Annotated[Price | None, Field(examples=["101.5"])]
    """Average entry price; null for a closed position."""
    last_price: Annotated[Price | None, Field(examples=["103"])]
    """Last traded price; null without a quote."""
    unrealised: Annotated[Money | None, Field(examples=["15"])]
    """Profit at the last price, before fees; null without a quote."""
    realised: Annotated[Money, Field(examples=["0"])]
    """Profit realised so far, before fees."""
    fees: Annotated[Money, Field(examples=["1.27"])]
    """Fees paid so far."""


class OtherFeesView(Output):
    """Fees in a currency that is not the account's."""

    currency: Currency
    amount: Annotated[Quantity, Field(examples=["0.0003"])]
    """Fees paid so far in this currency. They are in no other amount."""


class FundsView(Output):
    """The account's money."""

    account: AccountName
    currency: Currency
    deposited: Annotated[Money, Field(examples=["1000000"])]
    """Money paid in."""
    cash: Annotated[Money, Field(examples=["999998.73"])]
    """Deposits plus realised profit, less fees."""
    equity: Annotated[Money, Field(examples=["1000013.73"])]
    """`cash` plus the unrealised profit of open positions."""
    margin_used: Annotated[Money, Field(examples=["1030"])]
    """Margin that positions and working orders block."""
    available: Annotated[Money, Field(examples=["998983.73"])]
    """Money free for new orders."""
    realised: Annotated[Money, Field(examples=["0"])]
    """Profit realised so far, before fees."""
    unrealised: Annotated[Money, Field(examples=["15"])]
    """Profit of open positions at the last prices."""
    fees: Annotated[Money, Field(examples=["1.27"])]
    """Fees paid so far."""
    other_fees: list[OtherFeesView]
    """Fees that trades stated in other currencies."""


@routes.get("/trades", access=Access.VIEWER, query=TradesQuery, answer=Page[TradeView])
def list_trades(query: TradesQuery) -> dict[str, Any]:
    """List trades, newest first"""
    account = desk_of(query.account).account
    with services().database.read() as connection:
        found = queries.trades_page(
            connection,
            account=account,
            limit=query.limit,
            cursor=query.after,
            symbol=query.symbol,
            strategy=query.strategy,
            order_id=query.order_id,
        )
    return page((trade_view(row) for row in found.rows), found.next_cursor)


@routes.get("/positions", access=Access.VIEWER, query=PositionsQuery, answer=Everything[PositionView])
def list_positions(query: PositionsQuery) -> dict[str, Any]:
    """List positions, separately for each strategy; with `closed=true` also closed ones"""
    desk = desk_of(query.account)
    read = queries.all_positions if query.closed else queries.open_positions
    with services().database.read() as connection:
        positions = read(connection, desk.account)
        quotes = queries.position_quotes(connection, desk.venue, desk.account)
    wanted = [
        position
        for position in positions
        if query.symbol in (None, position.symbol) and query.strategy in (None, position.strategy)
    ]
    return page((_position(each, quotes.get(each.symbol)) for each in wanted), None)


@routes.get("/funds", access=Access.VIEWER, query=OfAccount, answer=FundsView)
def show_funds(query: OfAccount) -> FundsView:
    """Show the account's cash, equity, margin and available funds"""
    desk = desk_of(query.account)
    with services().database.read() as connection:
        found = funds.funds(connection, desk)
        other = queries.other_fees_of(connection, desk.account)
    return {
        "account": desk.account,
        "currency": desk.currency,
        "deposited": found.deposited,
        "cash": found.cash,
        "equity": found.equity,
        "margin_used": found.margin_used,
        "available": found.available,
        "realised": found.realised,
        "unrealised": found.unrealised,
        "fees": found.fees,
        "other_fees": [{"currency": row.currency, "amount": row.amount} for row in other],
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
