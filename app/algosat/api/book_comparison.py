"""Routes for the comparison of the books with the broker's: differences, comparisons and adjustments."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from flask import Response
from pydantic import Field, StringConstraints
from sqlalchemy import Row

from algosat.api.access import Access
from algosat.api.amounts import SignedAmount
from algosat.api.context import cause, desk_of, services
from algosat.api.fields import (
    AccountName,
    Actor,
    CorrelationId,
    InstrumentSymbol,
    OrderId,
    Price,
    StrategyName,
    Timestamp,
)
from algosat.api.headers import REQUIRED_KEY
from algosat.api.idempotency import required_key
from algosat.api.pages import Label, Page, PageQuery, Symbol, page
from algosat.api.request_models import Input
from algosat.api.responses import Output, json_answer
from algosat.api.routes import Routes
from algosat.domain.book_comparison import DifferenceKind, kinds_compared
from algosat.domain.decimals import ZERO
from algosat.domain.orders import Product
from algosat.errors import InvalidBody, NotFound
from algosat.store import queries
from algosat.store.audit import Event
from algosat.trading import book_adjustments, book_differences
from algosat.trading.book_adjustments import Adjusted, Adjustment
from algosat.trading.book_differences import ComparisonOutcome
from algosat.trading.desk import Desk

routes = Routes("book")


class BookQuery(Input):
    account: Annotated[Label | None, Field(examples=["paper"])] = None
    """Account; without one, the first."""


class ComparisonBody(Input):
    account: Annotated[Label | None, Field(examples=["paper"])] = None
    """Account; without one, the first."""


class DifferencesQuery(PageQuery):
    account: Annotated[Label | None, Field(examples=["paper"])] = None
    """Account; without one, the first."""
    open: bool | None = None
    """Only open differences, or only settled ones."""


class DifferenceView(Output):
    """A figure on which the books and the broker do not agree."""

    account: AccountName
    kind: Annotated[DifferenceKind, Field(examples=["holding"])]
    """`order`: its filled quantity; `position`; `holding`: shares held; `cash`."""
    symbol: Annotated[str, Field(examples=["ALPHA-EQ"])]
    """Symbol of the instrument; of cash, its currency."""
    product: Annotated[Product | None, Field(examples=["delivery"])]
    """Product of the position; null for cash."""
    order_id: Annotated[str | None, Field(examples=["a7k2m4q6s3u5w7y2b4"])]
    """Order whose filled quantity differs; null for all other kinds."""
    ours: Annotated[Decimal, Field(examples=["10"])]
    """Figure of the books, all strategies together."""
    theirs: Annotated[Decimal, Field(examples=["15"])]
    """Figure of the broker."""
    average_price: Price | None
    """Average price that the broker states; null if it states none."""
    since: Timestamp
    """Time of the first comparison that showed the difference."""
    settled_at: Timestamp | None
    """Time at which both sides agreed again; null while the difference is open."""
    adjustment: Annotated[str | None, Field(examples=["b2m4q6s3u5w7y2b4c6"])]
    """Id of the last adjustment of the figure; null if orders alone settled the difference."""


class ComparisonView(Output):
    """The last comparison of an account's books with the broker's."""

    account: AccountName
    outcome: Annotated[ComparisonOutcome | None, Field(examples=["agree"])]
    """`agree`; `differ`; `uncertain`: orders under way may still explain what differs; `not_read`: the broker
    did not state its figures. Null before the first comparison."""
    detail: Annotated[str | None, Field(examples=["the broker session has ended"])]
    """Reason of `not_read`; otherwise null."""
    compared: list[DifferenceKind]
    """Kinds of figures that the broker states, so that they are compared: not every one states its cash."""
    compared_at: Timestamp | None
    """Time of the last comparison; null if there was none."""
    requested_at: Timestamp | None
    """Time of the last request for a comparison; null if there was none."""
    requested_by: Annotated[str | None, Field(examples=["user:admin"])]
    """Who asked for it."""


class AdjustmentBody(Input):
    """A change of a position, of cash, or of both. A `quantity` needs `symbol`, `product` and `price`."""

    account: Annotated[Label | None, Field(examples=["paper"])] = None
    """Account; without one, the first."""
    symbol: Symbol | None = None
    """Instrument of the position."""
    product: Annotated[Product | None, Field(examples=["delivery"])] = None
    """Product of the position."""
    strategy: Label | None = None
    """Strategy that holds the position; without one, the position of manual orders."""
    quantity: Annotated[SignedAmount | None, Field(examples=["5"])] = None
    """Quantity to add to the position; negative to reduce it."""
    price: Annotated[SignedAmount | None, Field(examples=["90.5"])] = None
    """Price of the quantity: 0 for shares that cost nothing."""
    cash: Annotated[SignedAmount | None, Field(examples=["-12.34"])] = None
    """Amount to add to the cash; negative to reduce it."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500), Field(examples=["bonus 1:2"])]
    """Reason, for the audit trail."""


class AdjustmentView(Output):
    """An adjustment of the books."""

    id: Annotated[str, Field(examples=["b2m4q6s3u5w7y2b4c6"])]
    """Id of the adjustment."""
    account: AccountName
    symbol: Annotated[InstrumentSymbol | None, Field(examples=["ALPHA-EQ"])]
    """Symbol of the adjusted position; null if only cash was adjusted."""
    product: Annotated[Product | None, Field(examples=["delivery"])]
    """Product of the adjusted position."""
    strategy: StrategyName
    quantity: Annotated[Decimal, Field(examples=["5"])]
    """Quantity added to the position; 0 if only cash was adjusted."""
    price: Price | None
    """Price of the quantity."""
    cash: Annotated[Decimal, Field(examples=["0"])]
    """Amount added to the cash."""
    order_id: Annotated[OrderId | None, Field(examples=["a7k2m4q6s3u5w7y2b4"])]
    """Order that records the change of the position; null if only cash was adjusted."""
    reason: Annotated[str, Field(examples=["bonus 1:2"])]
    """Reason given."""
    actor: Actor
    correlation_id: CorrelationId
    at: Timestamp
    """Time of the adjustment."""


@routes.get(
    "/book/comparison", access=Access.VIEWER, query=BookQuery, answer=ComparisonView, errors=(NotFound,)
)
def show_comparison(query: BookQuery) -> ComparisonView:
    """Show the outcome of the last comparison of the books with the broker's"""
    return _comparison(desk_of(query.account))


@routes.post(
    "/book/comparison",
    access=Access.ADMIN,
    body=ComparisonBody,
    body_optional=True,
    answer=ComparisonView,
    status=202,
    errors=(NotFound,),
)
def request_comparison(body: ComparisonBody) -> Response:
    """Ask the engine to compare the books with the broker's now

    `GET /book/comparison` shows the outcome: its `compared_at` is then after `requested_at`.
    """
    desk, by = desk_of(body.account), cause()
    desk.writer.run(lambda connection: book_differences.request(connection, desk, by))
    return json_answer(_comparison(desk), 202, {})


@routes.get(
    "/book/differences",
    access=Access.VIEWER,
    query=DifferencesQuery,
    answer=Page[DifferenceView],
    errors=(NotFound,),
)
def list_differences(query: DifferencesQuery) -> dict[str, Any]:
    """List differences between the books and the broker's, newest first

    A difference is listed once it is certain: two comparisons show it, and no order under way explains it. It
    is settled when both sides agree again.
    """
    account = desk_of(query.account).account
    with services().database.read() as connection:
        found = queries.differences_page(
            connection, account, limit=query.limit, cursor=query.after, is_open=query.open
        )
    return page((_difference(row) for row in found.rows), found.next_cursor)


@routes.post(
    "/book/adjust",
    access=Access.ADMIN,
    body=AdjustmentBody,
    headers=(REQUIRED_KEY,),
    answer=AdjustmentView,
    status=201,
    errors=(InvalidBody, NotFound),
)
def adjust_book(body: AdjustmentBody) -> Response:
    """Adjust a position, the cash, or both, with a reason

    For what no order explains: shares that were transferred, a split or a bonus, a trade that the broker no
    longer shows. The adjustment is an event of its own in the audit trail, and changes no earlier event. It
    costs no fees, and the day's profit or loss stays as it is. Then the books are compared again.
    """
    key = required_key("POST /book/adjust", body)
    adjustment = Adjustment(
        reason=body.reason,
        symbol=body.symbol,
        product=body.product,
        strategy=body.strategy or "",
        quantity=body.quantity or ZERO,
        price=body.price,
        cash=body.cash or ZERO,
    )
    adjusted = book_adjustments.adjust(desk_of(body.account), adjustment, cause(), key=key)
    headers = {"Idempotency-Replayed": "true"} if adjusted.replayed else {}
    return json_answer(_adjusted(adjusted), 201, headers)


def _comparison(desk: Desk) -> ComparisonView:
    with desk.database.read() as connection:
        state = book_differences.read_state(connection, desk.account)
    return {
        "account": desk.account,
        "outcome": state.outcome,
        "detail": state.detail,
        "compared": _kinds(desk),
        "compared_at": state.compared_at,
        "requested_at": state.requested_at,
        "requested_by": state.requested_by,
    }


def _kinds(desk: Desk) -> list[DifferenceKind]:
    return [] if desk.capabilities is None else sorted(kinds_compared(desk.capabilities))


def _difference(row: Row[Any]) -> DifferenceView:
    return {
        "account": row.account,
        "kind": DifferenceKind(row.kind),
        "symbol": row.symbol,
        "product": Product(row.product) if row.product else None,
        "order_id": row.order_id or None,
        "ours": row.ours,
        "theirs": row.theirs,
        "average_price": row.average_price,
        "since": row.since,
        "settled_at": row.settled_at,
        "adjustment": row.adjustment,
    }


def _adjusted(adjusted: Adjusted) -> AdjustmentView:
    event: Event = adjusted.event
    data = event.data
    price, product = data.get("price"), data.get("product")
    return {
        "id": adjusted.id,
        "account": data["account"],
        "symbol": data.get("symbol"),
        "product": Product(product) if product else None,
        "strategy": data["strategy"] or None,
        "quantity": Decimal(data["quantity"]),
        "price": None if price is None else Decimal(price),
        "cash": Decimal(data["cash"]),
        "order_id": data.get("order_id"),
        "reason": data["reason"],
        "actor": event.actor,
        "correlation_id": event.correlation_id,
        "at": event.at,
    }
