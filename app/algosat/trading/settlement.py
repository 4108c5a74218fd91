"""Settle positions in expired contracts at the exchange's final settlement price.

The exchange closes such positions itself. In the ledger the settlement of a position is an entry
(`book_entries`), dated at the end of the contract's trading.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import date_at
from algosat.domain.instruments import FinalSettlement, Instrument, SettlementMethod
from algosat.domain.orders import Order, Product
from algosat.domain.positions import Position
from algosat.domain.reason_codes import EngineCode
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import alerts, book_entries, daily_pnl
from algosat.trading.book_entries import BookEntry
from algosat.trading.desk import Desk


def expired_contracts(connection: Connection, desk: Desk, at: datetime) -> dict[str, Instrument]:
    """Return the contracts with an open position whose last trading day has come or has passed."""
    today = date_at(desk.calendar, at)
    held = sorted({position.symbol for position in queries.open_positions(connection, desk.account)})
    found = ((symbol, queries.instrument(connection, desk.venue, symbol)) for symbol in held)
    return {
        symbol: instrument
        for symbol, instrument in found
        if instrument is not None and instrument.expiry is not None and instrument.expiry <= today
    }


def settle(connection: Connection, desk: Desk, settlement: FinalSettlement, cause: Cause) -> list[Order]:
    """Settle every open position in an expired contract. Returns the orders; none if nothing is open."""
    instrument = queries.instrument(connection, desk.venue, settlement.symbol)
    orders = [
        _settle_position(connection, desk, position, settlement, cause)
        for position in queries.open_positions(connection, desk.account)
        if position.symbol == settlement.symbol
    ]
    for order in orders:
        alerts.close_alert(connection, desk, AlertKind.CONTRACT_UNSETTLED, order.terms.symbol, cause)
        if instrument is not None and instrument.settlement is SettlementMethod.PHYSICAL and settlement.price:
            _alert_of_delivery(connection, desk, order, settlement, cause)
    return orders


def _settle_position(
    connection: Connection, desk: Desk, position: Position, settlement: FinalSettlement, cause: Cause
) -> Order:
    entry = BookEntry(
        strategy=position.strategy,
        symbol=position.symbol,
        product=Product(position.product),
        quantity=-position.quantity,
        price=settlement.price,
        at=settlement.at,
        code=EngineCode.EXPIRY_SETTLED,
        reason=f"the contract expired and is settled at {settlement.price}",
        reduce_only=True,
    )
    settled, events = book_entries.book(connection, desk, entry, cause, trade_prefix="settlement")
    daily_pnl.include_late_trades(connection, desk, settled, events)
    return settled


def _alert_of_delivery(
    connection: Connection, desk: Desk, order: Order, settlement: FinalSettlement, cause: Cause
) -> None:
    detail = (
        f"{order.terms.quantity} were still held at expiry; a real exchange would have delivered the shares; "
        f"they were settled in cash at {settlement.price}"
    )
    alerts.open_alert(connection, desk, AlertKind.CONTRACT_NOT_CLOSED, order.terms.symbol, cause, detail)
