"""Orders: their terms, their events, and the states that events lead to.

An order changes only by `apply`: replaying its events gives the order.
"""

from __future__ import annotations

from algosat.domain.orders.events import EventKind, OrderEvent
from algosat.domain.orders.order import (
    LIVE,
    TERMINAL,
    UNCERTAIN,
    UNSENT,
    WORKING,
    Order,
    PendingRequest,
    Status,
)
from algosat.domain.orders.terms import (
    PRICES,
    Liquidity,
    ModifyRequest,
    OrderChange,
    OrderTerms,
    OrderType,
    Product,
    Side,
    Trade,
    TradingSession,
    Validity,
)
from algosat.domain.orders.transitions import ALLOWED, apply, create, may_happen

__all__ = [
    "ALLOWED",
    "LIVE",
    "PRICES",
    "TERMINAL",
    "UNCERTAIN",
    "UNSENT",
    "WORKING",
    "EventKind",
    "Liquidity",
    "ModifyRequest",
    "Order",
    "OrderChange",
    "OrderEvent",
    "OrderTerms",
    "OrderType",
    "PendingRequest",
    "Product",
    "Side",
    "Status",
    "Trade",
    "TradingSession",
    "Validity",
    "apply",
    "create",
    "may_happen",
]
