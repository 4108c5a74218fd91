"""Expiry of day orders that are still working here after their trading day.

The exchange expires them; this catches the ones whose expiry the broker did not report.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from algosat.domain.instruments import Instrument
from algosat.domain.orders import EventKind, Order, Status
from algosat.domain.reason_codes import EngineCode
from algosat.engine.report_processor import ReportProcessor
from algosat.store import queries
from algosat.trading.desk import Desk

_GRACE: Final = timedelta(minutes=60)  # after continuous trading, for auctions and the exchange's reports


def expire(desk: Desk, report_processor: ReportProcessor, book_read_at: datetime) -> None:
    """Expire working orders whose trading day had ended when the broker's order book was read."""
    with desk.database.read() as connection:
        # No order ends sooner than the grace after it was placed.
        working = queries.working_placed_by(connection, desk.account, book_read_at - _GRACE)
        symbols = {order.terms.symbol for order in working}
        instruments = {symbol: queries.instrument(connection, symbol) for symbol in symbols}
    for order in working:
        instrument = instruments[order.terms.symbol]
        ended = _ended_at(desk, order, instrument) if instrument else None
        if ended is not None and ended <= book_read_at and order.status is not Status.CREATED:
            report_processor.record(
                order.id, EventKind.EXPIRED, code=EngineCode.DAY_ENDED, reason="its trading day is over"
            )


def _ended_at(desk: Desk, order: Order, instrument: Instrument) -> datetime | None:
    """Return when a day order has certainly expired, or None if its market never closes.

    The day of an after-market order is the one on which it is sent.

    An external order placed on a day without trading is valid for the next trading day.
    """
    calendar, where = desk.calendar, (instrument.segment, instrument.has_derivatives)
    closes_at = calendar.closes_at(*where, order.due_at) or calendar.closes_at(
        *where, calendar.next_open(*where, order.due_at)
    )
    return None if closes_at is None else max(closes_at, order.due_at) + _GRACE
