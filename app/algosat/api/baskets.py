"""Several orders in one request: the legs of a basket, and the slices of a large order."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from pydantic import Field

from algosat.api.access import Access
from algosat.api.context import cause, services
from algosat.api.headers import REQUIRED_KEY
from algosat.api.idempotency import all_placed, required_key
from algosat.api.order_views import OrderView
from algosat.api.orders import NewOrder
from algosat.api.pages import Everything
from algosat.api.request_models import Input
from algosat.api.routes import Routes
from algosat.trading import place, slicing

routes = Routes("orders")


class Basket(Input):
    """Orders to place together."""

    orders: Annotated[tuple[NewOrder, ...], Field(min_length=1, max_length=20)]
    """The orders, placed in this sequence."""


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

    Each leg is judged on the book that those before it leave, and answered in its place: one that
    was denied says so by its status, and keeps none of the others back. All are durable before the
    answer, which does not wait for the broker.
    """
    desk = services().desk
    key = required_key("POST /orders/basket", body)
    legs = [leg.terms(desk.account) for leg in body.orders]
    return all_placed(place.place_basket(desk, legs, cause(), key=key))


@routes.post(
    "/orders/sliced",
    access=Access.TRADER,
    body=NewOrder,
    headers=(REQUIRED_KEY,),
    answer=Everything[OrderView],
    status=201,
)
def place_sliced(body: NewOrder) -> Response:
    """Place an order above the freeze quantity

    It is judged as a whole, then cut into slices the exchange takes, each an order of its own. The
    answer does not wait for the broker.
    """
    desk = services().desk
    key = required_key("POST /orders/sliced", body)
    return all_placed(slicing.sliced(desk, body.terms(desk.account), cause(), key=key))
