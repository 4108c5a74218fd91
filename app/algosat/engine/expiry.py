"""Expiry of day orders and of contracts.

The exchange expires day orders; `expire` catches the ones whose expiry the broker did not report.
`settle_expired` settles positions in expired contracts at the price that the broker states, however late.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import date_at
from algosat.domain.instruments import FinalSettlement, Instrument
from algosat.domain.orders import EventKind, Order, Status, Validity
from algosat.domain.reason_codes import EngineCode
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.report_processor import ReportProcessor
from algosat.errors import BrokerBookTooShort, BrokerError, CalendarUnknown
from algosat.monitoring import correlation
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import alerts, settlement
from algosat.trading.desk import Desk

_ACTOR: Final = "clock"
_GRACE: Final = timedelta(minutes=60)  # after continuous trading, for auctions and the exchange's reports

_log = structlog.get_logger(__name__)


def expire(
    desk: Desk, broker: GuardedBroker, report_processor: ReportProcessor, book_read_at: datetime
) -> None:
    """Expire working orders whose trading day had ended when the broker's order book was read.

    If the engine was down at the end of that day, the order book of a later day does not show their outcome;
    then the broker is asked about each order.
    """
    with desk.database.read() as connection:
        # No order ends sooner than the grace after it was placed.
        working = queries.working_placed_by(connection, desk.account, book_read_at - _GRACE)
        symbols = {order.terms.symbol for order in working}
        instruments = {symbol: queries.instrument(connection, desk.venue, symbol) for symbol in symbols}
    for order in working:
        instrument = instruments[order.terms.symbol]
        ended = _ended_at(desk, order, instrument) if instrument else None
        if ended is None or ended > book_read_at or order.status is Status.CREATED:
            continue
        if _is_of_same_day(desk, order, book_read_at) or _is_unknown_to(
            broker, desk, report_processor, order
        ):
            report_processor.record(
                order.id, EventKind.EXPIRED, code=EngineCode.DAY_ENDED, reason="its trading day is over"
            )


def _is_of_same_day(desk: Desk, order: Order, book_read_at: datetime) -> bool:
    trading_day = desk.books.trading_day
    return trading_day(order.due_at) == trading_day(book_read_at)


def _is_unknown_to(
    broker: GuardedBroker, desk: Desk, report_processor: ReportProcessor, order: Order
) -> bool:
    """Ask the broker for the outcome of an order of an earlier day, and book the answer.

    Returns whether the broker no longer has the order; then an alert says that fills may be missing. The
    reconciler, not this function, resolves `unknown` orders.
    """
    if order.status is Status.UNKNOWN:
        return False
    report = None
    try:
        report = broker.find_on(order, desk.books.trading_day(order.due_at))
    except BrokerBookTooShort:
        pass  # no book of the broker goes back to the order's day
    except BrokerError as error:
        _log.warning("search_failed", order=order.id, detail=error.detail)
        return False
    if report is not None:
        report_processor.process([report])
        return False
    terms = order.terms
    detail = (
        f"{terms.side} {order.remaining_quantity} {terms.symbol}: the order's day ended while the engine was "
        "down, and the broker no longer shows its outcome. Fills may be missing: compare the position with "
        "the broker's"
    )
    desk.writer.run(
        lambda connection: alerts.open_alert(
            connection,
            desk,
            AlertKind.BROKER_OUTCOME_MISSED,
            order.id,
            Cause(_ACTOR, correlation.new()),
            detail,
        )
    )
    return True


def settle_expired(desk: Desk, broker: GuardedBroker, book_read_at: datetime) -> None:
    """Settle the positions in expired contracts, and alert on those whose settlement price is missing.

    A contract is settled once the broker's order book has been read after the end of its trading and shows no
    working order in it: a fill that is not known yet would change the position.
    """
    now = desk.clock()
    with desk.database.read() as connection:
        expired = settlement.expired_contracts(connection, desk, now)
        if not expired:
            return
        working = {order.terms.symbol for order in queries.working(connection, desk.account)}
    try:
        known = {each.symbol: each for each in broker.settlements()}
    except BrokerError as error:
        _log.warning("settlements_not_read", detail=error.detail)
        known = {}
    for symbol, instrument in expired.items():
        price = known.get(symbol)
        if price is not None and book_read_at >= price.at:
            if symbol not in working or book_read_at > price.at + _GRACE:
                _settle(desk, price)
        elif _is_overdue(desk, instrument, now):
            _alert_of_unsettled(desk, instrument)


def _settle(desk: Desk, price: FinalSettlement) -> None:
    cause = Cause(_ACTOR, correlation.new())
    for order in desk.writer.run(lambda connection: settlement.settle(connection, desk, price, cause)):
        desk.notify_web(order.id)
        _log.info(
            EngineCode.EXPIRY_SETTLED.value,
            order=order.id,
            account=desk.account,
            mode=desk.mode,
            symbol=price.symbol,
            quantity=str(order.terms.quantity),
            price=str(price.price),
            correlation_id=cause.correlation_id,
        )


def _is_overdue(desk: Desk, instrument: Instrument, now: datetime) -> bool:
    """Return whether the price should be known by now: an hour after the close, or on the day after."""
    try:
        closes_at = desk.calendar.closes_at(instrument.segment, instrument.has_derivatives, now)
    except CalendarUnknown:
        closes_at = None
    expires_today = instrument.expiry == date_at(desk.calendar, now)
    return not expires_today or (closes_at is not None and now > closes_at + _GRACE)


def _alert_of_unsettled(desk: Desk, instrument: Instrument) -> None:
    cause = Cause(_ACTOR, correlation.new())
    detail = (
        f"{instrument.symbol} expired on {instrument.expiry} and is still held: check the broker's terminal"
    )
    desk.writer.run(
        lambda connection: alerts.open_alert(
            connection, desk, AlertKind.CONTRACT_UNSETTLED, instrument.symbol, cause, detail
        )
    )


def _ended_at(desk: Desk, order: Order, instrument: Instrument) -> datetime | None:
    """Return when a day order has certainly expired, or None if its market never closes or it is GTC.

    The day of an after-market order is the one on which it is sent.

    An external order placed on a day without trading is valid for the next trading day.
    """
    if order.terms.validity is Validity.GTC:
        return None
    calendar, where = desk.calendar, (instrument.segment, instrument.has_derivatives)
    closes_at = calendar.closes_at(*where, order.due_at) or calendar.closes_at(
        *where, calendar.next_open(*where, order.due_at)
    )
    return None if closes_at is None else max(closes_at, order.due_at) + _GRACE
