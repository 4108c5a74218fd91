"""Orders, events and trades as answers."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from sqlalchemy import Row
from typing_extensions import TypedDict

from algosat.domain.orders import Order, OrderType, PendingRequest, Product, Side, Status, Validity
from algosat.store.audit import Event

_PLACES: Final = Decimal("0.00000001")


class OrderView(TypedDict):
    id: str
    account: str
    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType
    limit_price: Decimal | None
    trigger_price: Decimal | None
    protection_price: Decimal | None
    product: Product
    validity: Validity
    reduce_only: bool
    strategy: str | None
    algo_id: str | None
    status: Status
    pending: PendingRequest | None
    filled_quantity: Decimal
    remaining_quantity: Decimal
    average_price: Decimal | None
    broker_order_id: str | None
    code: str | None
    reason: str | None
    external: bool
    version: int
    created_at: datetime
    updated_at: datetime


class OrderEventView(TypedDict):
    seq: int
    at: datetime
    kind: str
    actor: str
    correlation_id: str
    data: dict[str, Any]


class TradeView(TypedDict):
    id: str
    order_id: str
    account: str
    symbol: str
    strategy: str | None
    product: Product
    side: Side
    quantity: Decimal
    price: Decimal
    realised: Decimal
    fees: Decimal
    at: datetime


def order_view(order: Order) -> OrderView:
    terms = order.terms
    return {
        "id": order.id,
        "account": terms.account,
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
    }


def event_view(event: Event) -> OrderEventView:
    return {
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "actor": event.actor,
        "correlation_id": event.correlation_id,
        "data": event.data,
    }


def trade_view(row: Row[Any]) -> TradeView:
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
        "realised": row.realised,
        "fees": row.fees,
        "at": row.at,
    }


def rounded(value: Decimal | None) -> Decimal | None:
    """A quotient, to as many places as the store keeps."""
    return None if value is None else value.quantize(_PLACES, ROUND_HALF_EVEN).normalize()
