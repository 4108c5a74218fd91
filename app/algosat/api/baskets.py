"""Routes that place several orders at once: a basket, a sliced order, a target position."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from flask import Response
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from algosat.api.access import Access
from algosat.api.amounts import Amount, SignedAmount
from algosat.api.context import cause, desk_of
from algosat.api.headers import REQUIRED_KEY
from algosat.api.idempotency import all_placed, replay_header, required_key
from algosat.api.order_views import OrderView
from algosat.api.orders import AccountOrder, PlainOrder
from algosat.api.pages import BodyOfAccount, Everything, Label, OfAccount, Symbol
from algosat.api.routes import Routes
from algosat.domain.orders import OrderTerms, OrderType, Product, Side, Status
from algosat.domain.risk import DenialCode
from algosat.errors import BasketDenied, BrokerNotReached, Conflict, Denied, EngineAway
from algosat.trading import place, slicing, target_position
from algosat.trading.place import Placed

routes = Routes("orders")


class Basket(OfAccount):
    """Orders to place together on an account."""

    orders: Annotated[tuple[PlainOrder, ...], Field(min_length=1, max_length=20)]
    """The legs, placed in this sequence."""
    all_or_none: bool = False
    """Place nothing unless every leg passes the gate."""

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the default, so that keys of requests to a release without this field stay valid."""
        data: dict[str, Any] = dump(self)
        if not self.all_or_none:
            del data["all_or_none"]
        if self.account is None:
            del data["account"]
        return data


@routes.post(
    "/orders/basket",
    access=Access.TRADER,
    body=Basket,
    headers=(REQUIRED_KEY,),
    answer=Everything[OrderView],
    status=201,
    errors=(BasketDenied, EngineAway, BrokerNotReached),
)
def place_basket(body: Basket) -> Response:
    """Place several orders

    The gate checks each leg as if the legs before it were working. A denied leg has the status
    `denied` in the response and does not affect the others. With `all_or_none`, a denied leg denies the
    whole basket: the response is 422 and names the denied legs, and every leg is stored as denied. All
    orders are durable before the response, which does not wait for the broker.
    """
    desk = desk_of(body.account)
    key = required_key("POST /orders/basket", body)
    legs = [leg.terms(desk.account) for leg in body.orders]
    placed = place.place_basket(desk, legs, cause(), key=key, all_or_none=body.all_or_none)
    if body.all_or_none:
        _require_placed(placed)
    return all_placed(placed)


@routes.post(
    "/orders/sliced",
    access=Access.TRADER,
    body=AccountOrder,
    headers=(REQUIRED_KEY,),
    answer=Everything[OrderView],
    status=201,
    errors=(Denied, EngineAway, BrokerNotReached),
)
def place_sliced(body: AccountOrder) -> Response:
    """Place an order above the freeze quantity

    The gate checks the whole quantity once. The order is then cut into slices that the exchange accepts, each
    an order of its own; the later ones name the first in `slice_of`. The engine sends them as fast as the
    broker's rate limits allow. The response does not wait for the broker. If the gate denies the order, the
    response is 422.
    """
    desk = desk_of(body.account)
    key = required_key("POST /orders/sliced", body)
    placed = slicing.place_sliced(desk, body.terms(desk.account), cause(), key=key)
    _require_first_placed(placed)
    return all_placed(placed)


def _require_first_placed(placed: Placed) -> None:
    """Raise Denied if the gate denied the first order, so that nothing was placed."""
    first = next(iter(placed.orders), None)
    if first is not None and first.status is Status.DENIED:
        headers = {"Location": f"/orders/{first.id}", **replay_header(placed)}
        raise Denied(first.reason or "", code=first.code, headers=headers)


def _require_placed(placed: Placed) -> None:
    """Raise BasketDenied with the legs that the gate denied, if there are any."""
    denied = {
        number: order
        for number, order in enumerate(placed.orders)
        if order.status is Status.DENIED and order.code != DenialCode.BASKET_DENIED
    }
    if denied:
        legs = ", ".join(f"leg {number + 1} ({order.code})" for number, order in denied.items())
        raise BasketDenied(
            f"nothing was placed, since the gate denied {legs}",
            errors=[
                {"field": f"orders.{number}", "detail": order.reason, "code": order.code}
                for number, order in denied.items()
            ],
            headers=replay_header(placed),
        )


class TargetPosition(BodyOfAccount):
    """The position to hold afterwards."""

    symbol: Symbol
    """Instrument of the position."""
    quantity: Annotated[SignedAmount, Field(examples=["50"])]
    """Quantity to hold afterwards; negative for a short position, 0 for none."""
    type: Literal[OrderType.MARKET, OrderType.LIMIT] = OrderType.MARKET
    """Type of the orders to place."""
    limit_price: Amount | None = None
    """Worst price of limit orders."""
    product: Product = Product.DELIVERY
    """Product of the position."""
    strategy: Label | None = None
    """Strategy that the position belongs to; without one, the position of manual orders."""
    algo_id: Label | None = None
    """The exchange's id of the algorithm, passed on to the broker."""

    def terms(self, account: str) -> OrderTerms:
        """Return the terms of the orders; their side follows from the present position."""
        return OrderTerms(side=Side.BUY, **{**dict(self), "account": account})


@routes.post(
    "/orders/target-position",
    access=Access.TRADER,
    body=TargetPosition,
    headers=(REQUIRED_KEY,),
    answer=Everything[OrderView],
    status=201,
    errors=(Conflict, Denied, EngineAway, BrokerNotReached),
)
def reach_position(body: TargetPosition) -> Response:
    """Place the orders that bring a position to a quantity

    The difference from the present position is computed when the orders are stored, with working orders
    counted as filled, stops excepted. Without a difference nothing is placed. Going from long to short, or
    back, takes an exit and an entry; if the gate denies the entry, the exit is placed all the same and the
    entry has the status `denied` in the response. If the gate denies the first order, nothing is placed: the
    response is 422. The response does not wait for the broker.
    """
    desk = desk_of(body.account)
    key = required_key("POST /orders/target-position", body)
    placed = target_position.reach_position(desk, body.terms(desk.account), cause(), key=key)
    _require_first_placed(placed)
    return all_placed(placed)
