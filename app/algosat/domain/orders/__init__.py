"""Orders: what was asked, what may happen to them, and where each event leads.

An order changes only by `apply`: replaying its events gives the order.
"""

from __future__ import annotations

from algosat.domain.orders.events import EventKind, OrderEvent
from algosat.domain.orders.order import LIVE, TERMINAL, UNSENT, WORKING, Order, Overlay, Status
from algosat.domain.orders.terms import Change, Intent, OrderType, Product, Revision, Side, Trade, Validity
from algosat.domain.orders.transitions import ALLOWED, apply, create, may_happen

__all__ = [
    "ALLOWED",
    "LIVE",
    "TERMINAL",
    "UNSENT",
    "WORKING",
    "Change",
    "EventKind",
    "Intent",
    "Order",
    "OrderEvent",
    "OrderType",
    "Overlay",
    "Product",
    "Revision",
    "Side",
    "Status",
    "Trade",
    "Validity",
    "apply",
    "create",
    "may_happen",
]
