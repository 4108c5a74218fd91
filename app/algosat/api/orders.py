"""Routes to place, change and cancel orders, and to read their history."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar

from flask import Response, request
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from algosat.api.access import Access
from algosat.api.amounts import Amount
from algosat.api.context import cause, desk_of, desk_of_order, services
from algosat.api.headers import PREFER, REQUIRED_KEY
from algosat.api.idempotency import replay_header, required_key
from algosat.api.order_views import (
    Link,
    LinkedExitView,
    OrderEventView,
    OrderView,
    event_view,
    linked_exit_view,
    order_view,
)
from algosat.api.pages import Everything, Label, OfAccount, Page, Symbol, TimedQuery, page
from algosat.api.request_models import Input
from algosat.api.responses import json_answer
from algosat.api.routes import Routes
from algosat.api.waiting import has_no_request_pending, is_acknowledged, seconds_preferred
from algosat.domain.linked_exits import ExitPrices
from algosat.domain.linked_requests import ExitRequest, LinkedChange
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
from algosat.errors import (
    BrokerNotReached,
    Conflict,
    Denied,
    EngineAway,
    IllegalTransition,
    InvalidBody,
    NotFound,
)
from algosat.resilience import bulkhead
from algosat.resilience.bulkhead import Precedence
from algosat.store import audit, ledger, queries
from algosat.store import linked_exits as rows
from algosat.store.rows import order_from
from algosat.trading import cancel, idempotency, linked_exits, modify, place

routes = Routes("orders", "Place, change and cancel orders, and read their history.")


class StopLoss(Input):
    """Stop of a bracket, placed at the entry's first fill. Its quantity follows the fills."""

    trigger_price: Annotated[Amount | None, Field(examples=["98.5"])] = None
    """Price at which the stop becomes active. Without it, a trailing stop begins at its trail distance."""
    limit_price: Amount | None = None
    """Worst price at which the stop may trade; without it, the stop becomes a market order."""
    trail_amount: Amount | None = None
    """Distance at which the stop follows the price."""
    trail_percent: Amount | None = None
    """Distance at which the stop follows the price, in percent of the price."""


class PlainOrder(Input):
    """An order to place, without linked exits: `POST /orders` takes those."""

    added_fields: ClassVar[frozenset[str]] = frozenset({"session"})

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
    """Trading session: `regular`; or `after_market` for an order that is placed after continuous trading,
    held, and sent when the market next opens."""

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out unused new fields, so that keys of requests to a release without them stay valid."""
        fields = type(self).model_fields
        unused = {name for name in self.added_fields if getattr(self, name) == fields[name].default}
        return {name: value for name, value in dump(self).items() if name not in unused}

    def terms(self, account: str) -> OrderTerms:
        """Return the order's terms for this account."""
        return OrderTerms(account=account, **{name: getattr(self, name) for name in PlainOrder.model_fields})


class AccountOrder(PlainOrder, OfAccount):
    """An order to place on an account, without linked orders."""

    added_fields: ClassVar[frozenset[str]] = PlainOrder.added_fields | {"account"}


class NewOrder(AccountOrder):
    """An order to place.

    A reduce-only stop with `target_price` is an OCO pair; with a trail, it is a trailing stop. An order with
    `stop_loss` is the entry of a bracket.
    """

    added_fields: ClassVar[frozenset[str]] = AccountOrder.added_fields | {
        "target_price",
        "trail_amount",
        "trail_percent",
        "stop_loss",
        "exits_expire_on",
    }

    target_price: Amount | None = None
    """Price of the target. Stop or target closes the position, whichever is reached first."""
    trail_amount: Amount | None = None
    """Distance at which a reduce-only stop follows the price. It only moves closer to the market."""
    trail_percent: Amount | None = None
    """Distance at which a reduce-only stop follows the price, in percent of the price."""
    stop_loss: StopLoss | None = None
    """Stop for the position that this order opens; it makes the order the entry of a bracket."""
    exits_expire_on: Annotated[date | None, Field(examples=["2027-03-31"], strict=False)] = None
    """Last trading day of the linked exits, or of a reduce-only stop alone: until then the engine
    places the stop again on each day. By default they end with the trading day."""

    def exits(self) -> ExitRequest | None:
        """Return the exits to link to the order; None for a plain order."""
        stop_loss = None if self.stop_loss is None else ExitPrices(**dict(self.stop_loss))
        request = ExitRequest(
            self.target_price, self.trail_amount, self.trail_percent, stop_loss, self.exits_expire_on
        )
        return None if request == ExitRequest() else request


class OrderModification(Input):
    """New terms of an order. Omitted fields keep their value."""

    quantity: Amount | None = None
    """New quantity of the whole order, more than the quantity already filled."""
    limit_price: Annotated[Amount | None, Field(examples=["101.75"])] = None
    """New limit price."""
    trigger_price: Amount | None = None
    """New trigger price."""
    target_price: Amount | None = None
    """New target of the linked exit. A working reduce-only stop without a target gets one."""
    trail_amount: Amount | None = None
    """New distance at which the stop follows the price."""
    trail_percent: Amount | None = None
    """New distance at which the stop follows the price, in percent of the price."""

    def request(self) -> ModifyRequest:
        """Return the changes of the order's own terms."""
        return ModifyRequest(self.quantity, self.limit_price, self.trigger_price)

    def linked(self) -> LinkedChange:
        """Return the changes of its linked exit."""
        return LinkedChange(self.target_price, self.trail_amount, self.trail_percent)


class Selection(OfAccount):
    """Selection of orders of an account; without another field, all."""

    symbol: Annotated[Symbol | None, Field(examples=["ALPHA-EQ"])] = None
    """Only orders in this instrument."""
    strategy: Label | None = None
    """Only orders of this strategy."""


class OrdersQuery(TimedQuery, OfAccount):
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
    errors=(Denied, EngineAway, BrokerNotReached),
)
def place_order(body: NewOrder) -> Response:
    """Place an order

    The order is durable before the response. The response waits for the broker's acknowledgement as long
    as `Prefer: wait` says, and shows the order in its state at that moment. A repeated request with the
    same Idempotency-Key gets the same response, whatever has happened to the order since.
    """
    if body.reduce_only:
        bulkhead.current.set(Precedence.EXIT)
    desk, seconds = desk_of(body.account), _seconds_to_wait()
    key = required_key("POST /orders", body, waits=seconds > 0)
    terms, exits = body.terms(desk.account), body.exits()
    if exits is None:
        placed = place.place_order(desk, terms, cause(), key=key)
    else:
        placed = linked_exits.place_linked(desk, terms, exits, cause(), key=key)
    order = placed.order
    headers = {"Location": f"/orders/{order.id}", **replay_header(placed)}
    if order.status is Status.DENIED:
        raise Denied(order.reason or "", code=order.code, headers=headers)
    if not placed.pinned:
        order = idempotency.first_answer(desk, key, services().waiting.until(order, is_acknowledged, seconds))
    link = None if exits is None else _link_of(order)
    return json_answer(order_view(order, link), 201, headers)


@routes.get("/orders", access=Access.VIEWER, query=OrdersQuery, answer=Page[OrderView])
def list_orders(query: OrdersQuery) -> dict[str, Any]:
    """List orders, newest first"""
    account = desk_of(query.account).account
    with services().database.read() as connection:
        found = queries.orders_page(
            connection,
            account=account,
            limit=query.limit,
            cursor=query.after,
            since=query.since,
            status=query.status,
            symbol=query.symbol,
            strategy=query.strategy,
        )
        links = rows.links_of(connection, [row.id for row in found.rows])
    return page((order_view(order_from(row), links.get(row.id)) for row in found.rows), found.next_cursor)


@routes.get("/orders/<order:order_id>", access=Access.VIEWER, answer=OrderView, errors=(NotFound,))
def show_order(order_id: str) -> OrderView:
    """Show one order"""
    order = _order(order_id)
    return order_view(order, _link_of(order))


@routes.get(
    "/orders/<order:order_id>/linked", access=Access.VIEWER, answer=LinkedExitView, errors=(NotFound,)
)
def show_linked_exit(order_id: str) -> LinkedExitView:
    """Show the linked exit of an order

    The linked exit is the OCO pair, trailing stop or bracket to which the order belongs as entry, stop or
    target.
    """
    with services().database.read() as connection:
        found = rows.of_order(connection, order_id)
        if found is None:
            raise NotFound(f"order {order_id} has no linked exit")
        return linked_exit_view(found, rows.orders_of(connection, found.id))


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

    The new terms apply once the broker has confirmed them. Until then `pending` is `pending_modify`. A new
    target or trail applies at once.
    """
    if not body.model_fields_set:
        raise InvalidBody(f"Give at least one of {', '.join(OrderModification.model_fields)}")
    desk, linked = desk_of_order(order_id), body.linked()
    if linked == LinkedChange():
        changed = modify.modify_order(desk, order_id, body.request(), cause())
    else:
        changed = linked_exits.modify_linked(desk, order_id, body.request(), linked, cause())
    return order_view(_waited(changed), _link_of(changed))


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
    `pending_cancel` until the broker answers. Cancelling again changes nothing. Cancelling the stop or target
    of an OCO pair or bracket cancels both.
    """
    cancelled = cancel.cancel_order(desk_of_order(order_id), order_id, cause())
    return order_view(_waited(cancelled), _link_of(cancelled))


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
    desk = desk_of(body.account)
    cancelled = cancel.cancel_all(desk, cause(), symbol=body.symbol, strategy=body.strategy)
    with services().database.read() as connection:
        links = rows.links_of(connection, [order.id for order in cancelled])
    return page((order_view(order, links.get(order.id)) for order in cancelled), None)


def _order(order_id: str) -> Order:
    with services().database.read() as connection:
        return ledger.get(connection, order_id)


def _link_of(order: Order) -> Link | None:
    with services().database.read() as connection:
        return rows.links_of(connection, [order.id]).get(order.id)


def _waited(order: Order) -> Order:
    return services().waiting.until(order, has_no_request_pending, _seconds_to_wait())


def _seconds_to_wait() -> float:
    default = services().live.current.algosat.api.order_wait_seconds
    return seconds_preferred(request.headers.get("Prefer"), default)
