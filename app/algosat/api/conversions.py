"""Routes to convert positions to another product, and to follow, cancel and settle conversions."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

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
    StrategyName,
    Timestamp,
)
from algosat.api.headers import OPTIONAL_KEY, PREFER_CONVERTED
from algosat.api.idempotency import optional_key
from algosat.api.pages import Label, OfAccount, Page, PageQuery, page
from algosat.api.request_models import Input
from algosat.api.responses import Output, json_answer
from algosat.api.routes import Routes
from algosat.api.waiting import seconds_preferred
from algosat.domain.conversion import ConversionState
from algosat.domain.orders import Product
from algosat.errors import Conflict, ConversionRefused, NotFound
from algosat.trading import conversion_records, conversions
from algosat.trading.conversion_records import ConversionRecord
from algosat.trading.conversions import ConversionRequest
from algosat.trading.desk import Desk

routes = Routes("book")


class ConversionBody(OfAccount):
    """What to convert of a position, and to which product."""

    to_product: Annotated[Product, Field(examples=["delivery"])]
    """Product under which the quantity is held afterwards."""
    product: Annotated[Product | None, Field(examples=["intraday"])] = None
    """Product of the position; needed only if the symbol is held under several."""
    strategy: Label | None = None
    """Strategy that holds the position; without one, the position of manual orders."""
    quantity: Amount | None = None
    """Quantity to convert, in whole lots; without it, the whole position."""


class ConversionsQuery(PageQuery, OfAccount):
    finished: bool | None = None
    """Only conversions that are finished (`true`) or under way (`false`)."""


class SettlementBody(Input):
    """The outcome of a conversion, as the broker's terminal shows it."""

    converted: Annotated[bool, Field(examples=[True])]
    """Whether the broker has converted the quantity."""


class ConversionView(Output):
    """A conversion of a position, and its progress."""

    id: Annotated[str, Field(examples=["v4k2m4q6s3u5w7y2b4"])]
    """Id of the conversion."""
    account: AccountName
    mode: AccountMode
    symbol: InstrumentSymbol
    strategy: StrategyName
    product: Annotated[Product, Field(examples=["intraday"])]
    """Product that the quantity is taken from."""
    to_product: Annotated[Product, Field(examples=["delivery"])]
    """Product under which the quantity is held afterwards."""
    quantity: Annotated[Decimal, Field(examples=["10"])]
    """Quantity to convert; negative for a short position."""
    state: Annotated[ConversionState, Field(examples=["converted"])]
    """`created`: not sent yet; `submitting`; `unknown`: the broker's positions will show the outcome;
    `converted`; `rejected`: certainly not converted; `cancelled` before it was sent."""
    code: Annotated[str | None, Field(examples=["more_than_held"])]
    """Code of the broker or the engine that explains the state; null if there is none."""
    detail: Annotated[str, Field(examples=["0 ALPHA-EQ are held as intraday today"])]
    """Explanation of the state; empty if none is needed."""
    order_ids: list[OrderId]
    """The two orders that record the conversion in the ledger; empty unless it was made."""
    actor: Actor
    correlation_id: CorrelationId
    created_at: Timestamp
    """Time of the request."""
    sent_at: Timestamp | None
    """Time at which it was sent to the broker; null before."""
    updated_at: Timestamp
    """Time of the last change."""
    finished_at: Timestamp | None
    """Time at which the outcome was known; null while it is under way."""


@routes.post(
    "/positions/<symbol:symbol>/convert",
    access=Access.TRADER,
    body=ConversionBody,
    headers=(OPTIONAL_KEY, PREFER_CONVERTED),
    sets=("Location",),
    answer=ConversionView,
    status=202,
    errors=(ConversionRefused,),
)
def convert_position(symbol: str, body: ConversionBody) -> Response:
    """Convert a position, or a part of it, to another product

    The conversion is durable before the response. The engine sends it once. Until its outcome is known, no
    exit is sent for its quantity: exits of the quantity are denied with `more_than_held`, and closes wait.
    Without an answer of the broker the conversion is `unknown`, and the broker's positions decide. The two
    entries in the ledger have the average price of the position and no charges, so that the day's profit or
    loss stays as it is.
    """
    requested = conversions.request_conversion(
        desk_of(body.account),
        ConversionRequest(symbol, body.to_product, body.strategy or "", body.product, body.quantity),
        cause(),
        key=optional_key(f"convert {symbol}", body),
    )
    seconds = seconds_preferred(request.headers.get("Prefer"), 0)
    found = services().waiting.until_converted(requested.record, seconds)
    headers = {"Location": f"/conversions/{found.id}"}
    if requested.replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_answer(_view(found), 202, headers)


@routes.get("/conversions", access=Access.VIEWER, query=ConversionsQuery, answer=Page[ConversionView])
def list_conversions(query: ConversionsQuery) -> dict[str, Any]:
    """List conversions of positions, newest first"""
    with services().database.read() as connection:
        found, cursor = conversion_records.page(
            connection,
            desk_of(query.account).account,
            limit=query.limit,
            cursor=query.after,
            is_finished=query.finished,
        )
    return page((_view(each) for each in found), cursor)


@routes.get(
    "/conversions/<conversion:conversion_id>",
    access=Access.VIEWER,
    answer=ConversionView,
    errors=(NotFound,),
)
def show_conversion(conversion_id: str) -> ConversionView:
    """Show one conversion of a position"""
    with services().database.read() as connection:
        return _view(conversion_records.get(connection, conversion_id))


@routes.delete(
    "/conversions/<conversion:conversion_id>",
    access=Access.TRADER,
    answer=ConversionView,
    limited=False,
    errors=(NotFound, Conflict),
)
def cancel_conversion(conversion_id: str) -> ConversionView:
    """Cancel a conversion that was not sent yet"""
    return _view(conversions.cancel_conversion(_desk_of(conversion_id), conversion_id, cause()))


@routes.post(
    "/conversions/<conversion:conversion_id>/settle",
    access=Access.ADMIN,
    body=SettlementBody,
    answer=ConversionView,
    errors=(NotFound, Conflict),
)
def settle_conversion(conversion_id: str, body: SettlementBody) -> ConversionView:
    """Settle a conversion whose outcome the broker's positions do not show

    For a conversion with an open alert `conversion.unknown`: look in the broker's own terminal first. A
    conversion that was made is then booked; the quantity of one that was not is free for exits again.
    """
    return _view(
        conversions.settle_conversion(
            _desk_of(conversion_id), conversion_id, cause(), converted=body.converted
        )
    )


def _desk_of(conversion_id: str) -> Desk:
    with services().database.read() as connection:
        return desk_of(conversion_records.get(connection, conversion_id).account)


def _view(of: ConversionRecord) -> ConversionView:
    return {
        "id": of.id,
        "account": of.account,
        "mode": mode_of(of.account),
        "symbol": of.symbol,
        "strategy": of.strategy or None,
        "product": of.source,
        "to_product": of.target,
        "quantity": of.quantity,
        "state": of.state,
        "code": of.code,
        "detail": of.detail,
        "order_ids": [each for each in (of.source_order_id, of.target_order_id) if each is not None],
        "actor": of.actor,
        "correlation_id": of.correlation_id,
        "created_at": of.created_at,
        "sent_at": of.sent_at,
        "updated_at": of.updated_at,
        "finished_at": of.finished_at,
    }
