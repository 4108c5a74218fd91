"""An order whose inferred fill the broker's trades replace, written as the engine of this release does."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Connection

from algosat.config.loader import load
from algosat.domain.orders import EventKind, OrderEvent, OrderTerms, OrderType, Side, Trade, create
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.wakeup.unix_socket import SocketNotifier
from algosat.store.writer import Writer
from algosat.trading import desk as desks
from algosat.trading import place
from algosat.trading.desk import Desk


def book(directory: Path) -> None:
    """Book the order on the store of these settings."""
    settings = load(directory)
    database = Database(settings.algosat.database.url.get_secret_value())
    writer, notifier = Writer(database), SocketNotifier(settings.algosat.runtime_directory)
    try:
        desk = desks.build_all(settings, database, writer, notifier).first
        writer.run(lambda connection: _book(connection, desk))
    finally:
        writer.close()
        notifier.close()
        database.close()


def _book(connection: Connection, desk: Desk) -> None:
    cause, now = Cause("engine", "a turn of the rollback"), desk.clock()
    terms = OrderTerms(desk.account, "BRAVO-EQ", Side.BUY, Decimal(10), OrderType.MARKET)
    order = ledger.add(connection, create(place.new_id(), terms, now, external=True), cause)
    inferred = Trade(f"inferred-{order.id}-3", Decimal(4), Decimal(90), now)
    counterpart = replace(inferred, id=f"{inferred.id}-cancelled", quantity=-inferred.quantity)
    events = (
        OrderEvent(EventKind.SUBMITTING, now),
        OrderEvent(EventKind.ACCEPTED, now),
        OrderEvent(EventKind.FILLED, now, trade=inferred),
        OrderEvent(EventKind.CANCELLED, now),
        OrderEvent(EventKind.TRADE_CANCELLED, now, trade=counterpart),
        OrderEvent(EventKind.FILLED, now, trade=Trade(f"real-{order.id}", Decimal(5), Decimal("90.5"), now)),
    )
    ledger.record_all(connection, order, events, cause, desk.books)
