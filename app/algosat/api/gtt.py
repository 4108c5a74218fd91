"""Routes for GTT orders: held by Algosat until a trigger price is reached, then placed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any

from flask import Response
from pydantic import Field

from algosat.api.access import Access
from algosat.api.amounts import Amount
from algosat.api.context import cause, services
from algosat.api.fields import InstrumentSymbol, Price, Quantity, StrategyName, Timestamp
from algosat.api.headers import REQUIRED_KEY
from algosat.api.idempotency import required_key
from algosat.api.orders import NewOrder
from algosat.api.pages import Everything, page
from algosat.api.request_models import Input
from algosat.api.responses import Output, json_answer
from algosat.api.routes import Routes
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.gtt import GttOrder, GttState
from algosat.domain.orders import OrderType, Product, Side
from algosat.errors import Conflict, NotFound
from algosat.store import gtt_orders
from algosat.trading import gtt

routes = Routes("orders")


class NewGtt(Input):
    """An order to place when the last price reaches the trigger price (good till triggered)."""

    order: NewOrder
    """The order to place, with its linked exits if it has any."""
    trigger_price: Annotated[Amount, Field(examples=["96.5"])]
    """Price that the last price has to reach, from whichever side it is on now."""
    expires_on: Annotated[date | None, Field(examples=["2027-03-31"], strict=False)] = None
    """Last day in exchange time on which the order may be placed; by default a year from now."""


class GttView(Output):
    """A GTT order. It blocks no funds, and the broker does not know about it."""

    id: Annotated[str, Field(examples=["ag6t2t4o6r3d5e7r2a"])]
    """Id of the GTT order."""
    symbol: InstrumentSymbol
    trigger_price: Price
    """Price that the last price has to reach."""
    condition: Annotated[str, Field(examples=["at_or_below"])]
    """When the order is placed: with the last price `at_or_above` or `at_or_below` the trigger price."""
    expires_on: date
    """Last day in exchange time on which the order may be placed."""
    state: Annotated[GttState, Field(examples=["active"])]
    """State of the GTT order."""
    side: Side
    """Side of the order to place."""
    quantity: Quantity
    """Quantity of the order to place."""
    type: Annotated[OrderType, Field(examples=["limit"])]
    """Type of the order to place."""
    limit_price: Price | None
    """Limit price of the order to place."""
    product: Product
    """Product of the order to place."""
    reduce_only: bool
    """Whether the order to place may only reduce a position."""
    strategy: StrategyName
    target_price: Price | None
    """Target price linked to the order to place."""
    stop_loss: Price | None
    """Trigger price of the stop, if the order to place is a bracket."""
    order_id: Annotated[str | None, Field(examples=[None])]
    """Id of the order that was placed; null until then."""
    created_at: Timestamp
    """Time at which the GTT order was created."""
    updated_at: Timestamp
    """Time of the last change."""


@routes.post(
    "/orders/gtt",
    access=Access.TRADER,
    body=NewGtt,
    headers=(REQUIRED_KEY,),
    answer=GttView,
    status=201,
    errors=(Conflict,),
)
def place_gtt(body: NewGtt) -> Response:
    """Place a GTT order

    Algosat holds the GTT order, even through restarts, until the last price reaches the trigger price in
    continuous trading. Then the order is placed once, and checked by the gate like every other order. If the
    gate denies it, an alert opens.
    """
    desk, order = services().desk, body.order
    key = required_key("POST /orders/gtt", body)
    placed, replayed = gtt.place_gtt(
        desk, order.terms(desk.account), order.exits(), body.trigger_price, body.expires_on, cause(), key=key
    )
    return json_answer(_view(placed), 201, {"Idempotency-Replayed": "true"} if replayed else {})


@routes.get("/orders/gtt", access=Access.VIEWER, answer=Everything[GttView])
def list_gtts() -> dict[str, Any]:
    """List GTT orders, newest first"""
    with services().database.read() as connection:
        found = gtt_orders.all_of(connection, services().desk.account)
    return page(map(_view, found), None)


@routes.get("/orders/gtt/<order:order_id>", access=Access.VIEWER, answer=GttView, errors=(NotFound,))
def show_gtt(order_id: str) -> GttView:
    """Show one GTT order"""
    with services().database.read() as connection:
        return _view(gtt.show_gtt(connection, order_id))


@routes.delete(
    "/orders/gtt/<order:order_id>",
    access=Access.TRADER,
    answer=GttView,
    limited=False,
    errors=(NotFound, Conflict),
)
def cancel_gtt(order_id: str) -> GttView:
    """Cancel a GTT order"""
    return _view(gtt.cancel_gtt(services().desk, order_id, cause()))


def _view(of: GttOrder) -> GttView:
    terms, exits = of.terms, of.exits
    last_day = (of.expires_at - timedelta(days=1)).astimezone(EXCHANGE_TIME).date()
    return {
        "id": of.id,
        "symbol": terms.symbol,
        "trigger_price": of.trigger_price,
        "condition": "at_or_above" if of.is_above else "at_or_below",
        "expires_on": last_day,
        "state": of.state,
        "side": terms.side,
        "quantity": terms.quantity,
        "type": terms.type,
        "limit_price": terms.limit_price,
        "product": terms.product,
        "reduce_only": terms.reduce_only,
        "strategy": terms.strategy,
        "target_price": exits.target_price if exits else None,
        "stop_loss": exits.stop_loss.trigger_price if exits and exits.stop_loss else None,
        "order_id": of.order_id,
        "created_at": of.created_at,
        "updated_at": of.updated_at,
    }
