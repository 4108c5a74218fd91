"""Settle positions in expired contracts at the exchange's final settlement price.

The exchange closes such positions itself. In the ledger the settlement of a position is an entry
(`book_entries`), dated at the end of the contract's trading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import date_at
from algosat.domain.closing import exit_side
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import FinalSettlement, Instrument, SettlementMethod
from algosat.domain.orders import Order, OrderTerms, OrderType, Product, Trade, create
from algosat.domain.positions import Position
from algosat.domain.reason_codes import EngineCode
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import alerts, book_entries, daily_pnl
from algosat.trading.book_entries import BookEntry
from algosat.trading.desk import Desk

_PAISA: Final = Decimal("0.01")


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
    held = queries.open_positions(connection, desk.account)
    positions = [position for position in held if position.symbol == settlement.symbol]
    orders = [
        _settle_position(connection, desk, position, settlement, fees, cause)
        for position, fees in zip(positions, _fees(desk, positions, settlement), strict=True)
    ]
    for order in orders:
        alerts.close_alert(connection, desk, AlertKind.CONTRACT_UNSETTLED, order.terms.symbol, cause)
        if instrument is not None and instrument.settlement is SettlementMethod.PHYSICAL and settlement.price:
            _alert_of_delivery(connection, desk, order, settlement, cause)
    return orders


def _fees(desk: Desk, positions: Sequence[Position], settlement: FinalSettlement) -> list[Decimal]:
    """Return the fees of each position's settlement, in this order.

    The broker settles and charges what the account holds in all. The positions on that side share its
    charges by their quantities; the other ones are offset by them and pay nothing.
    """
    net = sum((position.quantity for position in positions), ZERO)
    shares = [max(position.quantity * net, ZERO) for position in positions]
    left, whole = _charges(desk, positions, net, settlement), sum(shares, ZERO)
    fees = []
    for share in shares:
        fees.append((left * share / whole).quantize(_PAISA) if share else ZERO)
        left, whole = left - fees[-1], whole - share
    return fees


def _charges(desk: Desk, positions: Sequence[Position], net: Decimal, settlement: FinalSettlement) -> Decimal:
    """Return what the broker charges for the settlement of the net position."""
    if not net:
        return ZERO
    product = next(position.product for position in positions if position.quantity * net > 0)
    side = exit_side(net)
    terms = OrderTerms(
        desk.account, settlement.symbol, side, abs(net), OrderType.MARKET, product=Product(product)
    )
    order = replace(create("net", terms, settlement.at), code=EngineCode.EXPIRY_SETTLED)
    return desk.books.fees_without_note(order, Trade("net", abs(net), settlement.price, settlement.at))


def _settle_position(
    connection: Connection,
    desk: Desk,
    position: Position,
    settlement: FinalSettlement,
    fees: Decimal,
    cause: Cause,
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
        fees=fees,
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
