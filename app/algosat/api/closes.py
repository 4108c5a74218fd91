"""Routes to close positions, and to follow and withdraw closes."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

from flask import Response, request
from pydantic import Field

from algosat.api.access import Access
from algosat.api.amounts import Amount
from algosat.api.context import cause, desk_of, mode_of, services
from algosat.api.fields import (
    AccountMode,
    AccountName,
    Actor,
    CorrelationId,
    InstrumentSymbol,
    OrderId,
    Price,
    Quantity,
    StrategyName,
    Timestamp,
)
from algosat.api.headers import OPTIONAL_KEY, PREFER_CLOSED
from algosat.api.idempotency import optional_key
from algosat.api.pages import BodyOfAccount, Label, OfAccount, Page, PageQuery, page
from algosat.api.responses import Output, json_answer
from algosat.api.routes import Routes
from algosat.api.waiting import seconds_preferred
from algosat.domain.closing import CloseReason, CloseState, LineState
from algosat.domain.orders import OrderType, Product
from algosat.errors import Conflict, InvalidBody, NotFound, NothingToClose
from algosat.trading import close, close_records
from algosat.trading.close import CloseTerms, Closing
from algosat.trading.close_records import Close, CloseLine

routes = Routes("book")

_TYPES: Final = (OrderType.MARKET, OrderType.LIMIT)


class PositionSelection(BodyOfAccount):
    """How much to close of the positions in one instrument, and how."""

    strategy: Label | None = None
    """Strategy that holds the position; without one, the position of manual orders."""
    product: Annotated[Product | None, Field(examples=["intraday"])] = None
    """Product of the position; without one, every product."""
    quantity: Amount | None = None
    """Quantity to close, in whole lots; without quantity and share, the whole position."""
    share: Annotated[Amount | None, Field(le=100, examples=["50"])] = None
    """Percentage of the position to close, rounded down to whole lots."""
    type: Annotated[OrderType, Field(examples=["market"])] = OrderType.MARKET
    """Type of the exits: `market` or `limit`."""
    limit_price: Annotated[Amount | None, Field(examples=["101.5"])] = None
    """Worst price of the exits; with `limit` only."""

    def terms(self) -> CloseTerms:
        """Return the terms of the close. Raises InvalidBody if they contradict each other."""
        if self.quantity is not None and self.share is not None:
            raise InvalidBody("Give `quantity` or `share`, not both")
        if self.type not in _TYPES:
            raise InvalidBody("`type` is `market` or `limit`: to sell later at a trigger, place a stop order")
        if (self.type is OrderType.LIMIT) is not (self.limit_price is not None):
            raise InvalidBody("`limit_price` belongs to type `limit`, which needs it")
        return CloseTerms(self.quantity, self.share, self.type, self.limit_price)


class AllPositions(BodyOfAccount):
    """Selection of an account's positions; without another field, all."""

    strategy: Annotated[Label | None, Field(examples=["opening-range"])] = None
    """Only positions of this strategy."""
    product: Annotated[Product | None, Field(examples=["intraday"])] = None
    """Only positions under this product."""


class ClosesQuery(PageQuery, OfAccount):
    finished: bool | None = None
    """Only closes that are finished (`true`) or under way (`false`)."""


class CloseLineView(Output):
    """One position of a close, and its progress."""

    symbol: InstrumentSymbol
    strategy: StrategyName
    product: Product
    """Product of the position."""
    held: Quantity
    """Quantity held at the time of the request; negative for a short position."""
    quantity: Quantity
    """Quantity to close."""
    state: Annotated[LineState, Field(examples=["sending"])]
    """`cancelling`: waiting for the broker to confirm cancels; `sending`: exits are at the broker; `waiting`:
    the exit is sent at the next open; `needs_person`: see `detail`, the engine keeps trying; `flat`;
    `reduced`: the quantity is closed and the rest stays; `stopped`: no longer followed."""
    detail: Annotated[str, Field(examples=["waiting until order a7k2m4q6s3u5w7y2b4 is filled"])]
    """Explanation of the state; empty if none is needed."""
    order_ids: list[OrderId]
    """The exits placed so far, oldest first."""
    updated_at: Timestamp
    """Time of the last change."""


class CloseView(Output):
    """A close: a request to hold nothing, or less, and its progress."""

    id: Annotated[str, Field(examples=["c3m5p7r2t4v6x2z4b6"])]
    """Id of the close."""
    account: AccountName
    mode: AccountMode
    state: Annotated[CloseState, Field(examples=["closing"])]
    """`closing`: cancels or exits are under way; `waiting`: exits are sent at the next open; `needs_person`;
    `finished`: every line is flat or reduced; `stopped`: withdrawn, or ended by a resume."""
    reason: Annotated[CloseReason, Field(examples=["request"])]
    """What asked for the close: a request, a strategy, a halt, the square-off or a contract's expiry."""
    actor: Actor
    correlation_id: CorrelationId
    type: Annotated[OrderType, Field(examples=["market"])]
    """Type of the exits."""
    limit_price: Price | None
    """Worst price of the exits; null for market orders."""
    quantity: Quantity | None
    """Quantity asked for; null if a share or the whole position was."""
    share: Annotated[Decimal | None, Field(examples=["50"])]
    """Percentage asked for; null if a quantity or the whole position was."""
    lines: list[CloseLineView]
    """The positions to close; empty if nothing was held."""
    created_at: Timestamp
    """Time of the request."""
    finished_at: Timestamp | None
    """Time at which the last line was finished; null while it is under way."""


@routes.post(
    "/positions/<symbol:symbol>/close",
    access=Access.TRADER,
    body=PositionSelection,
    body_optional=True,
    headers=(OPTIONAL_KEY, PREFER_CLOSED),
    sets=("Location",),
    limited=False,
    answer=CloseView,
    status=202,
    errors=(NothingToClose, Conflict),
)
def close_position(symbol: str, body: PositionSelection) -> Response:
    """Close a position, or a part of it

    The close is durable before the response. Working orders of the same strategy, symbol and product are
    cancelled first; to close a part, only as many exits as needed to free its quantity. Exits are sent as
    soon as the broker confirms the cancels. The engine follows the close until the position is flat; if a
    person is needed, an alert opens. In a closed market the exits wait for the next open. Until the close is
    finished, the gate denies orders that would open or increase the position. While a close is under way, an
    equal request returns that close.
    """
    terms = body.terms()
    closing = close.close_position(
        desk_of(body.account),
        symbol,
        cause(),
        strategy=body.strategy,
        product=body.product,
        terms=terms,
        key=optional_key(f"close {symbol}", body),
    )
    return _accepted(closing)


@routes.post(
    "/positions/close-all",
    access=Access.TRADER,
    body=AllPositions,
    body_optional=True,
    headers=(OPTIONAL_KEY, PREFER_CLOSED),
    sets=("Location",),
    limited=False,
    answer=CloseView,
    status=202,
)
def close_all_positions(body: AllPositions) -> Response:
    """Close all positions, or those of one strategy or product, at the market

    Working orders that could open a position are cancelled, too. If there are no positions and no working
    orders, the close is finished at once and has no lines.
    """
    closing = close.close_all(
        desk_of(body.account),
        cause(),
        strategy=body.strategy,
        product=body.product,
        key=optional_key("close all", body),
    )
    return _accepted(closing)


@routes.get("/closes", access=Access.VIEWER, query=ClosesQuery, answer=Page[CloseView])
def list_closes(query: ClosesQuery) -> dict[str, Any]:
    """List closes, newest first"""
    with services().database.read() as connection:
        found, cursor = close_records.page(
            connection,
            desk_of(query.account).account,
            limit=query.limit,
            cursor=query.after,
            is_finished=query.finished,
        )
    return page((_view(each) for each in found), cursor)


@routes.get("/closes/<close:close_id>", access=Access.VIEWER, answer=CloseView, errors=(NotFound,))
def show_close(close_id: str) -> CloseView:
    """Show one close"""
    with services().database.read() as connection:
        return _view(close_records.get(connection, close_id))


@routes.delete(
    "/closes/<close:close_id>",
    access=Access.TRADER,
    answer=CloseView,
    limited=False,
    errors=(NotFound, Conflict),
)
def withdraw_close(close_id: str) -> CloseView:
    """Withdraw a close

    The engine stops following it. Exits that are working stay: `DELETE /orders/{order_id}` cancels them. If a
    halt that flattens or the square-off covers the position, a new close begins.
    """
    with services().database.read() as connection:
        desk = desk_of(close_records.get(connection, close_id).account)
    return _view(close.withdraw(desk, close_id, cause()))


def _accepted(closing: Closing) -> Response:
    seconds = seconds_preferred(request.headers.get("Prefer"), 0)
    found = services().waiting.until_closed(closing.close, seconds)
    headers = {"Location": f"/closes/{found.id}"}
    if closing.replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_answer(_view(found), 202, headers)


def _view(of: Close) -> CloseView:
    return {
        "id": of.id,
        "account": of.account,
        "mode": mode_of(of.account),
        "state": of.state,
        "reason": of.reason,
        "actor": of.actor,
        "correlation_id": of.correlation_id,
        "type": of.type,
        "limit_price": of.limit_price,
        "quantity": of.quantity,
        "share": of.share,
        "lines": [_line_view(line) for line in of.lines],
        "created_at": of.created_at,
        "finished_at": of.finished_at,
    }


def _line_view(line: CloseLine) -> CloseLineView:
    return {
        "symbol": line.symbol,
        "strategy": line.strategy or None,
        "product": line.product,
        "held": line.held,
        "quantity": line.quantity,
        "state": line.state,
        "detail": line.detail,
        "order_ids": list(line.order_ids),
        "updated_at": line.updated_at,
    }
