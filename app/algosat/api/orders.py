"""Routes to place, change and cancel orders, and to read their history."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Response, request
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from algosat.api.access import Access
from algosat.api.amounts import Amount
from algosat.api.context import cause, services
from algosat.api.headers import PREFER, REQUIRED_KEY
from algosat.api.idempotency import replay_header, required_key
from algosat.api.order_views import OrderEventView, OrderView, event_view, order_view
from algosat.api.pages import Everything, Label, Page, Symbol, TimedQuery, page
from algosat.api.request_models import Input
from algosat.api.responses import json_answer
from algosat.api.routes import Routes
from algosat.api.waiting import has_no_request_pending, is_acknowledged, seconds_preferred
from algosat.domain.orders import (
    ModifyRequest,
    Order,
    OrderTerms,
    OrderType,
    Product,
    Side,
    Status,
    TradingSession,
    Validity,
)
from algosat.errors import Conflict, Denied, IllegalTransition, InvalidBody, NotFound
from algosat.store import audit, ledger, queries
from algosat.store.rows import order_from
from algosat.trading import cancel, idempotency, modify, place

routes = Routes("orders", "Place, change and cancel orders, and read their history.")


class NewOrder(Input):
    """An order to place."""

    symbol: Symbol
    """Instrument to trade; `GET /instruments` lists them."""
    side: Side
    """Side of the order."""
    quantity: Annotated[Amount, Field(examples=["10"])]
    """Quantity to trade, a multiple of the instrument's lot size."""
    type: Annotated[OrderType, Field(examples=["limit"])]
    """Type of the order. `limit` needs `limit_price`, `stop` needs `trigger_price`, `stop_limit` both."""
    limit_price: Annotated[Amount | None, Field(examples=["101.5"])] = None
    """Worst price at which the order may trade, a multiple of the instrument's tick size."""
    trigger_price: Amount | None = None
    """Price at which a stop order becomes active."""
    product: Product = Product.DELIVERY
    """Product: shares paid in full, closed on the same day, or derivatives kept overnight."""
    validity: Validity = Validity.DAY
    """How long the order stays at the exchange: for the day, or immediate or cancel."""
    reduce_only: bool = False
    """Deny the order if it would open or reverse a position instead of reducing one.

    A delivery sale of held shares is always reduce-only.
    """
    strategy: Label | None = None
    """Strategy that the order belongs to. Positions are kept per strategy."""
    algo_id: Label | None = None
    """The exchange's id of the algorithm, passed on to the broker."""
    session: TradingSession = TradingSession.REGULAR
    """Trading session: `regular`, or `after_market` for an order that is placed while the market is closed
    and sent when it opens."""

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the regular session: keys of requests to a release before it had the field stay valid."""
        data: dict[str, Any] = dump(self)
        if self.session is TradingSession.REGULAR:
            del data["session"]
        return data

    def terms(self, account: str) -> OrderTerms:
        """Return the order's terms for this account."""
        return OrderTerms(account=account, **dict(self))


class OrderModification(Input):
    """New terms of an order. Omitted fields keep their value."""

    quantity: Amount | None = None
    """New quantity of the whole order, more than the quantity already filled."""
    limit_price: Annotated[Amount | None, Field(examples=["101.75"])] = None
    """New limit price."""
    trigger_price: Amount | None = None
    """New trigger price."""


class Selection(Input):
    """Selection of orders; without a field, all."""

    symbol: Annotated[Symbol | None, Field(examples=["ALPHA-EQ"])] = None
    """Only orders in this instrument."""
    strategy: Label | None = None
    """Only orders of this strategy."""


class OrdersQuery(TimedQuery):
    status: Status | None = None
    """Only orders in this state."""
    symbol: Symbol | None = None
    """Only orders in this instrument."""
    strategy: Label | None = None
    """Only orders of this strategy."""


@routes.post(
    "/orders",
    access=Access.TRADER,
    body=NewOrder,
    answer=OrderView,
    status=201,
    headers=(REQUIRED_KEY, PREFER),
    sets=("Location",),
    errors=(Denied,),
)
def place_order(body: NewOrder) -> Response:
    """Place an order

    The order is durable before the response. The response waits for the broker's acknowledgement as long
    as `Prefer: wait` says, and shows the order in its state at that moment. A repeated request with the
    same Idempotency-Key gets the same response, whatever has happened to the order since.
    """
    desk, seconds = services().desk, _seconds_to_wait()
    key = required_key("POST /orders", body, waits=seconds > 0)
    placed = place.place_order(desk, body.terms(desk.account), cause(), key=key)
    order = placed.order
    headers = {"Location": f"/orders/{order.id}", **replay_header(placed)}
    if order.status is Status.DENIED:
        raise Denied(order.reason or "", code=order.code, headers=headers)
    if not placed.pinned:
        order = idempotency.first_answer(desk, key, services().waiting.until(order, is_acknowledged, seconds))
    return json_answer(order_view(order), 201, headers)


@routes.get("/orders", access=Access.VIEWER, query=OrdersQuery, answer=Page[OrderView])
def list_orders(query: OrdersQuery) -> dict[str, Any]:
    """List orders, newest first"""
    with services().database.read() as connection:
        found = queries.orders_page(
            connection,
            limit=query.limit,
            cursor=query.after,
            since=query.since,
            status=query.status,
            symbol=query.symbol,
            strategy=query.strategy,
        )
    return page((order_view(order_from(row)) for row in found.rows), found.next_cursor)


@routes.get("/orders/<order:order_id>", access=Access.VIEWER, answer=OrderView, errors=(NotFound,))
def show_order(order_id: str) -> OrderView:
    """Show one order"""
    return order_view(_order(order_id))


@routes.get(
    "/orders/<order:order_id>/events",
    access=Access.VIEWER,
    answer=Everything[OrderEventView],
    errors=(NotFound,),
)
def list_order_events(order_id: str) -> dict[str, Any]:
    """List the events of an order, oldest first"""
    with services().database.read() as connection:
        ledger.get(connection, order_id)
        return page((event_view(event) for event in audit.events_of(connection, order_id)), None)


@routes.patch(
    "/orders/<order:order_id>",
    access=Access.TRADER,
    body=OrderModification,
    answer=OrderView,
    headers=(PREFER,),
    errors=(NotFound, Conflict, IllegalTransition, Denied),
)
def change_order(order_id: str, body: OrderModification) -> OrderView:
    """Change an order's quantity or prices

    The new terms apply once the broker has confirmed them. Until then `pending` is `pending_modify`.
    """
    if not body.model_fields_set:
        raise InvalidBody("Give at least one of quantity, limit_price and trigger_price")
    changed = modify.modify_order(services().desk, order_id, ModifyRequest(**dict(body)), cause())
    return order_view(_waited(changed))


@routes.delete(
    "/orders/<order:order_id>",
    access=Access.TRADER,
    answer=OrderView,
    headers=(PREFER,),
    limited=False,
    errors=(NotFound, Conflict, IllegalTransition),
)
def cancel_order(order_id: str) -> OrderView:
    """Cancel an order

    An order that has not been sent is cancelled at once. Otherwise the broker is asked, and `pending` is
    `pending_cancel` until the broker answers. Cancelling again changes nothing.
    """
    cancelled = cancel.cancel_order(services().desk, order_id, cause())
    return order_view(_waited(cancelled))


@routes.post(
    "/orders/cancel-all",
    access=Access.TRADER,
    body=Selection,
    body_optional=True,
    limited=False,
    answer=Everything[OrderView],
)
def cancel_all_orders(body: Selection) -> dict[str, Any]:
    """Cancel all working orders, or those of an instrument or strategy"""
    cancelled = cancel.cancel_all(services().desk, cause(), symbol=body.symbol, strategy=body.strategy)
    return page((order_view(order) for order in cancelled), None)


def _order(order_id: str) -> Order:
    with services().database.read() as connection:
        return ledger.get(connection, order_id)


def _waited(order: Order) -> Order:
    return services().waiting.until(order, has_no_request_pending, _seconds_to_wait())


def _seconds_to_wait() -> float:
    default = services().live.current.algosat.api.order_wait_seconds
    return seconds_preferred(request.headers.get("Prefer"), default)
