"""Entries: changes of a position that follow from no order of ours, such as a settlement or an adjustment.

In the ledger an entry is an external order with one trade. Position, cash, fees and audit trail follow from
it as from any other trade, and every release can replay it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from algosat.domain.orders import (
    EventKind,
    Order,
    OrderEvent,
    OrderTerms,
    OrderType,
    Product,
    Side,
    Trade,
    create,
)
from algosat.domain.reason_codes import EngineCode
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.trading import place
from algosat.trading.desk import Desk


@dataclass(frozen=True, slots=True)
class BookEntry:
    """A change of the position of one strategy ('': orders placed by hand)."""

    strategy: str
    symbol: str
    product: Product
    quantity: Decimal  # negative: the position falls
    price: Decimal
    at: datetime
    code: EngineCode
    reason: str
    reduce_only: bool = False
    fees: Decimal | None = None  # None: those that follow from the trade


def book(
    connection: Connection, desk: Desk, entry: BookEntry, cause: Cause, *, trade_prefix: str
) -> tuple[Order, tuple[OrderEvent, ...]]:
    """Book the entry, and return its order with the events after its creation."""
    terms = OrderTerms(
        account=desk.account,
        symbol=entry.symbol,
        side=Side.BUY if entry.quantity > 0 else Side.SELL,
        quantity=abs(entry.quantity),
        type=OrderType.MARKET,
        product=entry.product,
        reduce_only=entry.reduce_only,
        strategy=entry.strategy or None,
    )
    now = desk.clock()
    order = ledger.add(connection, create(place.new_id(), terms, now, external=True), cause)
    trade = Trade(f"{trade_prefix}-{order.id}", terms.quantity, entry.price, entry.at, entry.fees)
    events = (
        OrderEvent(EventKind.SUBMITTING, now, entry.code, entry.reason),
        OrderEvent(EventKind.FILLED, now, trade=trade),
    )
    return ledger.record_all(connection, order, events, cause, desk.books), events
