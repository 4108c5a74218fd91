"""Routes that place several orders at once: the legs of a basket, or the slices of a large order."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from pydantic import Field

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.headers import REQUIRED_KEY
from algosat.api.idempotency import all_placed, required_key
from algosat.api.order_views import OrderView
from algosat.api.orders import PlainOrder
from algosat.api.pages import Everything
from algosat.api.request_models import Input
from algosat.api.routes import Routes
from algosat.trading import place, slicing

routes = Routes("orders")


class Basket(Input):
    """Orders to place together."""

    orders: Annotated[tuple[PlainOrder, ...], Field(min_length=1, max_length=20)]
    """The legs, placed in this sequence."""


@routes.post(
    "/orders/basket",
    access=Access.TRADER,
    body=Basket,
    headers=(REQUIRED_KEY,),
    answer=Everything[OrderView],
    status=201,
)
def place_basket(body: Basket) -> Response:
    """Place several orders

    The gate checks each leg with the legs before it counted as working. A denied leg has the status
    `denied` in the response and does not affect the others. All orders are durable before the response,
    which does not wait for the broker.
    """
    desk = services().desk
    key = required_key("POST /orders/basket", body)
    legs = [leg.terms(desk.account) for leg in body.orders]
    return all_placed(place.place_basket(desk, legs, cause(), key=key))


@routes.post(
    "/orders/sliced",
    access=Access.TRADER,
    body=PlainOrder,
    headers=(REQUIRED_KEY,),
    answer=Everything[OrderView],
    status=201,
)
def place_sliced(body: PlainOrder) -> Response:
    """Place an order above the freeze quantity

    The gate checks the whole quantity. The order is then cut into slices that the exchange accepts, each
    an order of its own. The response does not wait for the broker.
    """
    desk = services().desk
    key = required_key("POST /orders/sliced", body)
    return all_placed(slicing.place_sliced(desk, body.terms(desk.account), cause(), key=key))
