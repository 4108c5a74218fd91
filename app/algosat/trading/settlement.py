"""Settle positions in expired contracts at the exchange's final settlement price.

The exchange closes such positions itself. In the ledger the settlement of a position is an external order
with one trade, dated at the end of the contract's trading. Position, cash, fees and audit trail follow from
it as from any other trade.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.instruments import FinalSettlement, Instrument, SettlementMethod
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
from algosat.domain.positions import Position
from algosat.domain.reason_codes import EngineCode
from algosat.store import ledger, queries
from algosat.store.audit import Cause
from algosat.trading import alerts, daily_pnl, place
from algosat.trading.desk import Desk


def expired_contracts(connection: Connection, desk: Desk, at: datetime) -> dict[str, Instrument]:
    """Return the contracts with an open position whose last trading day has come or has passed."""
    today = at.astimezone(EXCHANGE_TIME).date()
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
    terms = OrderTerms(
        account=position.account,
        symbol=position.symbol,
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        quantity=abs(position.quantity),
        type=OrderType.MARKET,
        product=Product(position.product),
        reduce_only=True,
        strategy=position.strategy or None,
    )
    now = desk.clock()
    order = ledger.add(connection, create(place.new_id(), terms, now, external=True), cause)
    trade = Trade(f"settlement-{order.id}", terms.quantity, settlement.price, settlement.at)
    reason = f"the contract expired and is settled at {settlement.price}"
    events = (
        OrderEvent(EventKind.SUBMITTING, now, EngineCode.EXPIRY_SETTLED, reason),
        OrderEvent(EventKind.FILLED, now, trade=trade),
    )
    settled = ledger.record_all(connection, order, events, cause, desk.books)
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
