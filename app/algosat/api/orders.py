"""Orders: placing, changing, cancelling, and their history."""

from __future__ import annotations

from typing import Annotated, Any, Final

from flask import Response, request
from pydantic import Field

from algosat.api.access import Access
from algosat.api.amounts import Amount
from algosat.api.context import cause, services
from algosat.api.idempotency import HEADER, replay_header, required_key
from algosat.api.order_views import OrderEventView, OrderView, event_view, order_view
from algosat.api.pages import Everything, Label, Page, Symbol, TimedQuery, page
from algosat.api.request_models import Input
from algosat.api.responses import json_answer
from algosat.api.routes import Routes
from algosat.api.waiting import has_no_request_pending, is_acknowledged, seconds_preferred
from algosat.domain.orders import ModifyRequest, Order, OrderTerms, OrderType, Product, Side, Status, Validity
from algosat.errors import Conflict, Denied, IllegalTransition, InvalidBody, KeyReused, NotFound
from algosat.store import audit, ledger, queries
from algosat.store.rows import order_from
from algosat.trading import cancel, idempotency, modify, place

routes = Routes("orders")

_WAITS: Final = ("Prefer",)


class NewOrder(Input):
    symbol: Annotated[Symbol, Field(examples=["ALPHA-EQ"])]
    side: Side
    quantity: Amount
    type: Annotated[OrderType, Field(examples=["market"])]
    limit_price: Amount | None = None
    trigger_price: Amount | None = None
    product: Product = Product.DELIVERY
    validity: Validity = Validity.DAY
    reduce_only: bool = False
    strategy: Label | None = None
    algo_id: Label | None = None

    def terms(self, account: str) -> OrderTerms:
        return OrderTerms(account=account, **dict(self))


class OrderModification(Input):
    """What is left out stays as it is."""

    quantity: Amount | None = None
    limit_price: Amount | None = None
    trigger_price: Amount | None = None


class Selection(Input):
    symbol: Symbol | None = None
    strategy: Label | None = None


class OrdersQuery(TimedQuery):
    status: Status | None = None
    symbol: Symbol | None = None
    strategy: Label | None = None


@routes.post(
    "/orders",
    access=Access.TRADER,
    body=NewOrder,
    answer=OrderView,
    status=201,
    headers=(HEADER, *_WAITS),
    errors=(Denied, KeyReused),
)
def place_order(body: NewOrder) -> Response:
    """Place an order

    It is durable before it is answered. The answer waits for the broker's first word as long as
    `Prefer: wait` says, and comes with the order in whatever state it then is. The same
    Idempotency-Key gives the same answer, however much has happened to the order since.
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
    """Orders, newest first"""
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
    """One order"""
    return order_view(_order(order_id))


@routes.get(
    "/orders/<order:order_id>/events",
    access=Access.VIEWER,
    answer=Everything[OrderEventView],
    errors=(NotFound,),
)
def list_order_events(order_id: str) -> dict[str, Any]:
    """Everything that happened to an order, oldest first"""
    with services().database.read() as connection:
        ledger.get(connection, order_id)
        return page((event_view(event) for event in audit.events_of(connection, order_id)), None)


@routes.patch(
    "/orders/<order:order_id>",
    access=Access.TRADER,
    body=OrderModification,
    answer=OrderView,
    headers=_WAITS,
    errors=(NotFound, Conflict, IllegalTransition, Denied),
)
def change_order(order_id: str, body: OrderModification) -> OrderView:
    """Change an order's quantity or prices

    The new terms hold once the broker has confirmed them; until then the order is `pending`.
    """
    if not body.model_fields_set:
        raise InvalidBody("Name at least one of quantity, limit_price and trigger_price")
    changed = modify.modify_order(services().desk, order_id, ModifyRequest(**dict(body)), cause())
    return order_view(_waited(changed))


@routes.delete(
    "/orders/<order:order_id>",
    access=Access.TRADER,
    answer=OrderView,
    headers=_WAITS,
    limited=False,
    errors=(NotFound, Conflict, IllegalTransition),
)
def cancel_order(order_id: str) -> OrderView:
    """Cancel an order

    One that has not left yet is cancelled at once; else the broker is asked, and the order is
    `pending` until it answers. To ask again changes nothing.
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
    """Cancel every working order, or those of a symbol or strategy"""
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
