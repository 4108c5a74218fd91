"""Routes for GTT orders: held by Algosat until a trigger price is reached, then placed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final

from flask import Response
from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from algosat.api.access import Access
from algosat.api.amounts import Amount
from algosat.api.context import cause, desk_of, mode_of, services
from algosat.api.fields import (
    AccountMode,
    AccountName,
    InstrumentSymbol,
    Price,
    Quantity,
    StrategyName,
    Timestamp,
)
from algosat.api.headers import REQUIRED_KEY
from algosat.api.idempotency import required_key
from algosat.api.orders import NewOrder
from algosat.api.pages import OfAccount, Page, page
from algosat.api.request_models import Input
from algosat.api.responses import Output, json_answer
from algosat.api.routes import Routes
from algosat.domain.gtt import GttChange, GttOrder, GttRequest, GttState, SecondLeg
from algosat.domain.orders import OrderType, Product, Side
from algosat.errors import Conflict, InvalidBody, NotFound
from algosat.store import gtt_orders
from algosat.trading import gtt
from algosat.trading.desk import Desk

routes = Routes("orders")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class NewLeg(Input):
    """Second leg of a GTT order, on the other side of the last price."""

    trigger_price: Annotated[Amount, Field(examples=["110"])]
    """Price that the last price has to reach, on the other side than `trigger_price` of the GTT order."""
    limit_price: Annotated[Amount | None, Field(examples=["109.5"])] = None
    """Limit price of the order if this leg is reached; with type `limit` only."""


class NewGtt(Input):
    """An order to place when the last price reaches the trigger price (good till triggered)."""

    order: NewOrder
    """The order to place, with its linked exits if it has any."""
    trigger_price: Annotated[Amount, Field(examples=["96.5"])]
    """Price that the last price has to reach, from whichever side it is on now."""
    expires_on: Annotated[date | None, Field(examples=["2027-03-31"], strict=False)] = None
    """Last trading day on which the order may be placed; by default a year from now."""
    second: NewLeg | None = None
    """Second leg: if its trigger price is reached first, the order is placed with its limit price instead."""

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the default, so that keys of requests to a release without this field stay valid."""
        data: dict[str, Any] = dump(self)
        if self.second is None:
            del data["second"]
        return data

    def request(self, account: str) -> GttRequest:
        second = None if self.second is None else SecondLeg(**dict(self.second))
        terms, exits = self.order.terms(account), self.order.exits()
        return GttRequest(terms, self.trigger_price, exits, self.expires_on, second)


class LegChange(Input):
    """Values of the second leg to change; omitted ones stay as they are."""

    trigger_price: Annotated[Amount | None, Field(examples=["111"])] = None
    """New trigger price."""
    limit_price: Annotated[Amount | None, Field(examples=["110.5"])] = None
    """New limit price."""


class GttChanges(Input):
    """Values of a GTT order to change; omitted ones stay as they are."""

    trigger_price: Annotated[Amount | None, Field(examples=["95"])] = None
    """New trigger price."""
    expires_on: Annotated[date | None, Field(examples=["2027-03-31"], strict=False)] = None
    """New last trading day on which the order may be placed."""
    quantity: Annotated[Amount | None, Field(examples=["20"])] = None
    """New quantity of the order to place."""
    limit_price: Annotated[Amount | None, Field(examples=["95.5"])] = None
    """New limit price of the order to place."""
    second: LegChange | None = None
    """Changes of the second leg."""

    def change(self) -> GttChange:
        """Return the change. Raises InvalidBody if there is none."""
        second = self.second or LegChange()
        plain = {name: value for name, value in dict(self).items() if name != "second"}
        change = GttChange(
            **plain, second_trigger_price=second.trigger_price, second_limit_price=second.limit_price
        )
        if change == GttChange():
            raise InvalidBody("Give at least one value to change")
        return change


class GttQuery(OfAccount):
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Largest number of items to return."""
    cursor: Annotated[str | None, StringConstraints(pattern=r"^[1-9][0-9]{0,15}\.a[a-z0-9]{17}$")] = None
    """`next_cursor` of the previous page."""
    state: GttState | None = None
    """Only GTT orders in this state."""

    @property
    def after(self) -> tuple[datetime, str] | None:
        """Creation and id of the last GTT order of the previous page."""
        if self.cursor is None:
            return None
        microseconds, gtt_id = self.cursor.split(".")
        return _EPOCH + timedelta(microseconds=int(microseconds)), gtt_id


class LegView(Output):
    """Second leg of a GTT order."""

    trigger_price: Price
    """Price that the last price has to reach."""
    condition: Annotated[str, Field(examples=["at_or_above"])]
    """When the order is placed by this leg: `at_or_above` or `at_or_below` its trigger price."""
    limit_price: Price | None
    """Limit price of the order if this leg is reached."""


class GttView(Output):
    """A GTT order. It blocks no funds, and the broker does not know about it."""

    id: Annotated[str, Field(examples=["ag6t2t4o6r3d5e7r2a"])]
    """Id of the GTT order."""
    account: AccountName
    mode: AccountMode
    symbol: InstrumentSymbol
    trigger_price: Price
    """Price that the last price has to reach."""
    condition: Annotated[str, Field(examples=["at_or_below"])]
    """When the order is placed: with the last price `at_or_above` or `at_or_below` the trigger price."""
    expires_on: date
    """Last trading day on which the order may be placed."""
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
    second: LegView | None
    """Second leg, on the other side of the price; null for a GTT order with one trigger price."""
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
    errors=(
        NotFound,
        Conflict,
    ),
)
def place_gtt(body: NewGtt) -> Response:
    """Place a GTT order

    Algosat holds the GTT order, even through restarts, until the last price reaches the trigger price in
    continuous trading. Then the order is placed once, and checked by the gate like every other order. If the
    gate denies it, an alert opens.
    """
    desk = desk_of(body.order.account)
    key = required_key("POST /orders/gtt", body)
    placed, replayed = gtt.place_gtt(desk, body.request(desk.account), cause(), key=key)
    return json_answer(_view(placed), 201, {"Idempotency-Replayed": "true"} if replayed else {})


@routes.get("/orders/gtt", access=Access.VIEWER, query=GttQuery, answer=Page[GttView])
def list_gtts(query: GttQuery) -> dict[str, Any]:
    """List GTT orders, newest first"""
    account = desk_of(query.account).account
    with services().database.read() as connection:
        found = gtt_orders.page(
            connection,
            account,
            limit=query.limit + 1,
            cursor=query.after,
            state=query.state,
        )
    shown = found[: query.limit]
    return page(map(_view, shown), _cursor(shown[-1]) if len(found) > query.limit else None)


@routes.get("/orders/gtt/<order:order_id>", access=Access.VIEWER, answer=GttView, errors=(NotFound,))
def show_gtt(order_id: str) -> GttView:
    """Show one GTT order"""
    with services().database.read() as connection:
        return _view(gtt.show_gtt(connection, order_id))


@routes.patch(
    "/orders/gtt/<order:order_id>",
    access=Access.TRADER,
    body=GttChanges,
    answer=GttView,
    errors=(NotFound, Conflict, InvalidBody),
)
def change_gtt(order_id: str, body: GttChanges) -> GttView:
    """Change a GTT order that is waiting

    The changed order is checked as a new one is; if a value is wrong, nothing has changed.
    """
    return _view(gtt.change_gtt(_desk_of_gtt(order_id), order_id, body.change(), cause()))


@routes.delete(
    "/orders/gtt/<order:order_id>",
    access=Access.TRADER,
    answer=GttView,
    limited=False,
    errors=(NotFound, Conflict),
)
def cancel_gtt(order_id: str) -> GttView:
    """Cancel a GTT order"""
    return _view(gtt.cancel_gtt(_desk_of_gtt(order_id), order_id, cause()))


def _desk_of_gtt(order_id: str) -> Desk:
    with services().database.read() as connection:
        return desk_of(gtt.show_gtt(connection, order_id).terms.account)


def _view(of: GttOrder) -> GttView:
    terms, exits = of.terms, of.exits
    return {
        "id": of.id,
        "account": terms.account,
        "mode": mode_of(terms.account),
        "symbol": terms.symbol,
        "trigger_price": of.trigger_price,
        "condition": _condition(of.is_above),
        "expires_on": of.expires_on,
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
        "second": _leg_view(of),
        "order_id": of.order_id,
        "created_at": of.created_at,
        "updated_at": of.updated_at,
    }


def _leg_view(of: GttOrder) -> LegView | None:
    if of.second is None:
        return None
    return {
        "trigger_price": of.second.trigger_price,
        "condition": _condition(not of.is_above),
        "limit_price": of.second.limit_price,
    }


def _condition(is_above: bool) -> str:
    return "at_or_above" if is_above else "at_or_below"


def _cursor(last: GttOrder) -> str:
    return f"{(last.created_at - _EPOCH) // timedelta(microseconds=1)}.{last.id}"
