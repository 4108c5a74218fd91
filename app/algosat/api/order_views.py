"""Response models of orders, their events and trades."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any, Final

from pydantic import Field
from sqlalchemy import Row

from algosat.api.context import mode_of
from algosat.api.fields import (
    AccountMode,
    AccountName,
    Actor,
    CorrelationId,
    InstrumentSymbol,
    LinkedExitId,
    Money,
    OrderId,
    Price,
    Quantity,
    StrategyName,
    Timestamp,
)
from algosat.api.responses import Output
from algosat.domain.linked_exits import ExitOutcome, ExitState, LinkedExit, LinkedRole
from algosat.domain.orders import (
    Order,
    OrderType,
    PendingRequest,
    Product,
    Side,
    Status,
    TradingSession,
    Validity,
)
from algosat.domain.reason_codes import EngineCode
from algosat.domain.risk import DenialCode
from algosat.store.audit import Event

_PLACES: Final = Decimal("0.00000001")


Link = tuple[str, LinkedRole]  # a linked exit's id, and the role of an order in it


class LinkView(Output):
    """The linked exit (OCO pair, trailing stop or bracket) that an order belongs to."""

    id: LinkedExitId
    role: Annotated[LinkedRole, Field(examples=["stop"])]
    """Role of the order in it."""


class OrderView(Output):
    """An order and its state."""

    id: OrderId
    account: AccountName
    mode: AccountMode
    symbol: InstrumentSymbol
    side: Side
    """Side of the order."""
    quantity: Quantity
    """Quantity of the whole order, filled or not."""
    type: Annotated[OrderType, Field(examples=["limit"])]
    """Type of the order."""
    limit_price: Annotated[Price | None, Field(examples=["101.5"])]
    """Worst price at which the order may trade; null without a limit."""
    trigger_price: Price | None
    """Price at which a stop order becomes active; null for other types."""
    protection_price: Price | None
    """Price protection: worst price at which a market or stop order may trade, set by the gate."""
    product: Product
    """Product of the order."""
    validity: Validity
    """How long the order stays at the exchange: for the day, or immediate or cancel."""
    reduce_only: bool
    """Whether the order may only reduce a position, never open or reverse one.

    True for every delivery sale of held shares.
    """
    strategy: StrategyName
    algo_id: str | None
    """The exchange's id of the algorithm, passed on to the broker."""
    session: TradingSession
    """Trading session of the order: the regular one, or the one after the market's next opening."""
    send_at: Annotated[Timestamp | None, Field(examples=[None])]
    """Time at which an after-market order is sent; null for a regular order."""
    slice_of: Annotated[str | None, Field(examples=[None])]
    """Id of the first slice, for the later slices of a sliced order; null for every other order."""
    status: Annotated[Status, Field(examples=["open"])]
    """State of the order."""
    pending: PendingRequest | None
    """Cancel or modify request that the broker has not answered yet."""
    filled_quantity: Annotated[Quantity, Field(examples=["0"])]
    """Quantity traded so far."""
    remaining_quantity: Quantity
    """Quantity still to trade."""
    average_price: Price | None
    """Average price of the fills; null before the first fill."""
    broker_order_id: Annotated[str | None, Field(examples=["P-000017"])]
    """The broker's id of the order; null before the acknowledgement."""
    code: DenialCode | EngineCode | str | None
    """Reason of a denial or rejection, for programs. A code that is not listed is the broker's own."""
    reason: str | None
    """Reason of a denial or rejection as a sentence."""
    external: bool
    """Whether the order was placed outside Algosat. Algosat counts such orders and never changes them."""
    version: Annotated[int, Field(examples=[3])]
    """Number of events of the order so far."""
    created_at: Timestamp
    """Time at which the order was placed."""
    updated_at: Timestamp
    """Time of the last change."""
    linked: LinkView | None
    """Linked exit that the order belongs to; null for a plain order. `GET /orders/{id}/linked` shows it."""


class LinkedOrderView(Output):
    """One order of a linked exit."""

    id: OrderId
    role: LinkedRole
    """Role of the order."""


class LinkedExitView(Output):
    """A stop that rests at the broker, with the target or trail that the engine manages for it."""

    id: LinkedExitId
    account: AccountName
    symbol: InstrumentSymbol
    strategy: StrategyName
    product: Product
    """Product of the position."""
    side: Annotated[Side, Field(examples=["sell"])]
    """Side of the stop and the target."""
    quantity: Quantity
    """Total quantity to exit; of a bracket, the quantity of the entry that has been filled so far."""
    trigger_price: Annotated[Price | None, Field(examples=["98.5"])]
    """Trigger price of the stop, as it is now."""
    limit_price: Price | None
    """Limit price of the stop; null for a stop that becomes a market order."""
    target_price: Annotated[Price | None, Field(examples=["104"])]
    """Limit price of the target; null without a target."""
    trail_amount: Price | None
    """Distance at which the stop follows the price."""
    trail_percent: Annotated[Decimal | None, Field(examples=[None])]
    """Distance at which the stop follows the price, in percent."""
    expires_on: Annotated[date | None, Field(examples=["2027-03-31"])]
    """Last trading day on which the stop is placed again; null: it ends with the trading day."""
    state: Annotated[ExitState, Field(examples=["protected"])]
    """State: `protected` while the stop works, `taking_profit` while the target is sent."""
    outcome: ExitOutcome | None
    """Why the linked exit ended; null until then."""
    order_id: Annotated[str | None, Field(examples=["a7k2m4q6s3u5w7y2b4"])]
    """Stop or target placed last; null before the first fill of a bracket's entry."""
    orders: list[LinkedOrderView]
    """Orders of the linked exit, oldest first."""
    version: Annotated[int, Field(examples=[1])]
    """Number of changes so far."""
    created_at: Timestamp
    """Time at which the linked exit was placed."""
    updated_at: Timestamp
    """Time of the last change."""


class OrderEventView(Output):
    """One event of an order."""

    seq: Annotated[int, Field(examples=[41])]
    """Position in the audit trail."""
    at: Timestamp
    """Time of the event."""
    kind: Annotated[str, Field(examples=["order.accepted"])]
    """Kind of event."""
    actor: Actor
    correlation_id: CorrelationId
    data: Annotated[dict[str, Any], Field(examples=[{"broker_order_id": "P-000017"}])]
    """Details, depending on the kind."""


class TradeView(Output):
    """One fill of an order."""

    id: Annotated[str, Field(examples=["T-000009"])]
    """The broker's number of the trade, with `@` and the order's id if another order has that number.

    A trade whose id begins with `inferred-` stands in for trades that the broker has not stated yet.
    """
    order_id: OrderId
    account: AccountName
    symbol: InstrumentSymbol
    strategy: StrategyName
    product: Product
    """Product of the order."""
    side: Side
    """Side of the order."""
    quantity: Quantity
    """Quantity traded; negative for the counterpart that cancels an inferred trade."""
    price: Price
    """Price per unit."""
    realised: Annotated[Money, Field(examples=["0"])]
    """Profit realised by closing part of a position, before fees; negative for a loss."""
    fees: Annotated[Money, Field(examples=["1.27"])]
    """By how much the fill raised the charges on the day's contract note; negative if it lowered them."""
    position_quantity: Quantity
    """By how much the position changed: less than the quantity bought if the fee was taken out of it."""
    other_fee: Money | None
    """Fee in `other_currency`, which no other amount includes; null if there is none."""
    other_currency: Annotated[str | None, Field(examples=["BNB"])]
    """Currency of `other_fee`."""
    at: Timestamp
    """Time of execution."""


def order_view(order: Order, link: Link | None = None) -> OrderView:
    """Return the response model of an order."""
    terms = order.terms
    return {
        "id": order.id,
        "account": terms.account,
        "mode": mode_of(terms.account),
        "symbol": terms.symbol,
        "side": terms.side,
        "quantity": terms.quantity,
        "type": terms.type,
        "limit_price": terms.limit_price,
        "trigger_price": terms.trigger_price,
        "protection_price": terms.protection_price,
        "product": terms.product,
        "validity": terms.validity,
        "reduce_only": terms.reduce_only,
        "strategy": terms.strategy,
        "algo_id": terms.algo_id,
        "session": terms.session,
        "send_at": terms.send_at,
        "slice_of": terms.slice_of,
        "status": order.status,
        "pending": order.pending,
        "filled_quantity": order.filled_quantity,
        "remaining_quantity": order.remaining_quantity,
        "average_price": rounded(order.average_price),
        "broker_order_id": order.broker_order_id,
        "code": order.code,
        "reason": order.reason,
        "external": order.external,
        "version": order.version,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "linked": None if link is None else {"id": link[0], "role": link[1]},
    }


def linked_exit_view(of: LinkedExit, orders: Sequence[tuple[str, LinkedRole]]) -> LinkedExitView:
    """Return the response model of a linked exit with its orders."""
    return {
        "id": of.id,
        "account": of.account,
        "symbol": of.symbol,
        "strategy": of.strategy,
        "product": of.product,
        "side": of.side,
        "quantity": of.quantity,
        "trigger_price": of.prices.trigger_price,
        "limit_price": of.prices.limit_price,
        "target_price": of.prices.target_price,
        "trail_amount": of.prices.trail_amount,
        "trail_percent": of.prices.trail_percent,
        "expires_on": of.expires_on,
        "state": of.state,
        "outcome": of.outcome,
        "order_id": of.order_id,
        "orders": [{"id": order_id, "role": role} for order_id, role in orders],
        "version": of.version,
        "created_at": of.created_at,
        "updated_at": of.updated_at,
    }


def event_view(event: Event) -> OrderEventView:
    """Return the response model of an order's event."""
    return {
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "actor": event.actor,
        "correlation_id": event.correlation_id,
        "data": event.data,
    }


def trade_view(row: Row[Any]) -> TradeView:
    """Return the response model of a trade."""
    return {
        "id": row.trade_id,
        "order_id": row.order_id,
        "account": row.account,
        "symbol": row.symbol,
        "strategy": row.strategy or None,
        "product": row.product,
        "side": row.side,
        "quantity": row.quantity,
        "price": row.price,
        "realised": row.realised + row.realised_low,
        "fees": row.fees + row.fees_low,
        "position_quantity": row.quantity if row.position_quantity is None else row.position_quantity,
        "other_fee": row.other_fee,
        "other_currency": row.other_currency,
        "at": row.at,
    }


def rounded(value: Decimal | None) -> Decimal | None:
    """Return a quotient rounded to the decimal places of the store."""
    return None if value is None else value.quantize(_PLACES, ROUND_HALF_EVEN).normalize()
