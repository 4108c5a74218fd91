"""A broker's report of an order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algosat.domain.orders.order import Status
from algosat.domain.orders.terms import OrderTerms, Trade


@dataclass(frozen=True, slots=True)
class OrderReport:
    """The state of one order at the broker at one moment."""

    broker_order_id: str
    tag: str | None  # our order's id; None for an external order
    status: Status  # open, trigger_pending, partially_filled, filled, cancelled, rejected or expired
    terms: OrderTerms  # as the broker has them now; its quantity and prices are the truth after a change
    filled_quantity: Decimal
    trades: tuple[Trade, ...]  # those known so far; may lag behind filled_quantity
    at: datetime  # the broker's time of this state, UTC
    reason: str | None = None
    replaces: str | None = None  # the broker's number of the order that this one replaces after a change
    parent: str | None = None  # the broker's number of the order that this one is a part or leg of
    exchange_order_id: str | None = None
    raw_status: str | None = None  # the broker's own word, and code, for logs and support
    raw_code: str | None = None
