"""Orders, events and trades on a real store, for the tests of the store."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection

from algosat.domain.fee_table import packaged
from algosat.domain.fees import ContractNote, note_for
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import EventKind, Order, OrderEvent, OrderTerms, OrderType, Side, Trade, create
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.store.ledger import Bookkeeping
from algosat.store.writer import Writer

NOW = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)
CAUSE = Cause("tester", "correlation-1")


def _note(order: Order, trade: Trade) -> ContractNote:
    terms = order.terms
    return note_for(
        packaged(), InstrumentKind.EQUITY, terms.product, trade.at.date(), broker="zerodha", exchange="nse"
    )


BOOKS = Bookkeeping(trading_day=lambda at: at.date(), note=_note)


def order_of(number: int, *, side: Side = Side.BUY, quantity: str = "10") -> Order:
    terms = OrderTerms(
        "paper", "ALPHA-EQ", side, Decimal(quantity), OrderType.LIMIT, limit_price=Decimal("100.05")
    )
    return create(f"a{number:017d}", terms, NOW)


def event_of(kind: EventKind, *, trade: Trade | None = None) -> OrderEvent:
    return OrderEvent(kind, NOW, trade=trade, broker_order_id="B1" if kind is EventKind.ACCEPTED else None)


def trade_of(number: int, quantity: str, price: str = "100") -> Trade:
    return Trade(f"T{number}", Decimal(quantity), Decimal(price), NOW)


def place(writer: Writer, order: Order) -> Order:
    def work(connection: Connection) -> Order:
        ledger.count_order(connection, order, NOW.date())
        return ledger.add(connection, order, CAUSE)

    return writer.run(work)


def record(writer: Writer, order_id: str, *events: OrderEvent) -> Order:
    def work(connection: Connection) -> Order:
        order = ledger.get(connection, order_id)
        for event in events:
            order = ledger.record(connection, order, event, CAUSE, BOOKS)
        return order

    return writer.run(work)


def fill(writer: Writer, order: Order, *trades: Trade) -> Order:
    """Place an order, accept it, and fill it by these trades."""
    place(writer, order)
    return record(
        writer,
        order.id,
        event_of(EventKind.SUBMITTING),
        event_of(EventKind.ACCEPTED),
        *(event_of(EventKind.FILLED, trade=trade) for trade in trades),
    )
