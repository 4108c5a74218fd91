"""The events of an order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from algosat.domain.orders.terms import OrderChange, Trade


class EventKind(StrEnum):
    CREATED = "order.created"
    DENIED = "order.denied"
    SUBMITTING = "order.submitting"
    ACKNOWLEDGED = "order.acknowledged"
    ACCEPTED = "order.accepted"
    TRIGGERED = "order.triggered"
    REJECTED = "order.rejected"
    UNCERTAIN = "order.uncertain"
    NOT_FOUND = "order.not_found"
    FILLED = "order.filled"
    TRADE_CANCELLED = "order.trade_cancelled"
    CANCELLED = "order.cancelled"
    EXPIRED = "order.expired"
    MODIFY_REQUESTED = "order.modify_requested"
    MODIFIED = "order.modified"
    MODIFY_FAILED = "order.modify_failed"
    CANCEL_REQUESTED = "order.cancel_requested"
    CANCEL_FAILED = "order.cancel_failed"


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """An event of an order. Only the fields of its kind are set."""

    kind: EventKind
    at: datetime  # UTC
    code: str | None = None  # a denial's or rejection's code
    reason: str | None = None
    broker_order_id: str | None = None
    change: OrderChange | None = None
    trade: Trade | None = None  # of a cancelled trade: its counterpart, with a negative quantity
