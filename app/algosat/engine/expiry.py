"""Day orders whose day is over: the exchange expires them, and what it forgot to tell is found here."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from algosat.domain.instruments import Instrument
from algosat.domain.orders import EventKind, Order, Status
from algosat.domain.reason_codes import EngineCode
from algosat.engine.report_processor import ReportProcessor
from algosat.store import queries
from algosat.trading.desk import Desk

_GRACE: Final = timedelta(minutes=60)  # after continuous trading, for auctions and the exchange's own word


def expire(desk: Desk, report_processor: ReportProcessor, book_read_at: datetime) -> None:
    """Expire what the broker's book, read after the end of the order's day, left as it was."""
    with desk.database.read() as connection:
        # Nothing ends sooner than the grace after it was placed.
        working = queries.working_since(connection, desk.account, book_read_at - _GRACE)
        symbols = {order.terms.symbol for order in working}
        traded = {symbol: queries.instrument(connection, symbol) for symbol in symbols}
    for order in working:
        instrument = traded[order.terms.symbol]
        ended = _ended_at(desk, order, instrument) if instrument else None
        if ended is not None and ended <= book_read_at and order.status is not Status.CREATED:
            report_processor.happened(
                order.id, EventKind.EXPIRED, code=EngineCode.DAY_ENDED, reason="its trading day is over"
            )


def _ended_at(desk: Desk, order: Order, instrument: Instrument) -> datetime | None:
    """When an order is surely out of the market; None where the market never closes.

    What was placed elsewhere on a day without trading is good for the next one.
    """
    calendar, where = desk.calendar, (instrument.segment, instrument.has_derivatives)
    closes_at = calendar.closes_at(*where, order.created_at) or calendar.closes_at(
        *where, calendar.next_open(*where, order.created_at)
    )
    return None if closes_at is None else max(closes_at, order.created_at) + _GRACE
