"""Taking a broker's report into the ledger: whose order it is, what follows, all in one unit of work."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, bindparam, select

from algosat.domain.orders import LIVE, TERMINAL, Order, OrderEvent, Trade, create
from algosat.domain.orders.report import OrderReport
from algosat.domain.orders.report_events import ReportEvents, events_from
from algosat.errors import NotFound
from algosat.store import audit, ledger
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import orders, trades
from algosat.trading.desk import Desk

ACTOR = "engine"
_LONGEST_READING = timedelta(minutes=1)  # of the broker's book; his calls have time-outs far below it

_log = structlog.get_logger(__name__)
_BY_ID = Prepared(select(orders).where(orders.c.id == bindparam("order_id")))
_TRADES = Prepared(select(trades.c.trade_id).where(trades.c.order_id == bindparam("order_id")))


@dataclass(frozen=True, slots=True)
class AppliedReport:
    """What became of a report."""

    order: Order
    cause: Cause
    events: tuple[OrderEvent, ...]
    overfills: tuple[
        Trade, ...
    ] = ()  # trades beyond the order's quantity: booked nowhere, a person must look
    is_ghost: bool = False  # the broker still works an order that is at its end here


def apply_report(
    connection: Connection, desk: Desk, report: OrderReport, *, read_at: datetime | None = None
) -> AppliedReport:
    """Book everything that is new in a report; a report that says nothing new changes nothing.

    `read_at` is when the reading of the broker's book began that the report comes from; None for
    one that was pushed, or came as an answer.
    """
    row = _row_of(connection, report)
    order, cause = _import(connection, desk, report) if row is None else (order_from(row), cause_of(row))
    settlement = _settle(connection, desk, order, report, read_at)
    order = ledger.record_all(connection, order, settlement.events, cause, desk.books)
    return AppliedReport(
        order,
        cause,
        tuple(settlement.events),
        tuple(settlement.overfills),
        is_ghost=_is_fresh(desk, order, read_at) and order.status in TERMINAL and report.status in LIVE,
    )


def is_news(connection: Connection, desk: Desk, report: OrderReport, read_at: datetime) -> bool:
    """Whether receiving the report would change anything, or call for anybody; most need no write."""
    row = _row_of(connection, report)
    if row is None:
        return True
    order = order_from(row)
    if order.status in TERMINAL and report.status in LIVE:
        return True
    settlement = _settle(connection, desk, order, report, read_at)
    return bool(settlement.events or settlement.overfills)


def _settle(
    connection: Connection, desk: Desk, order: Order, report: OrderReport, read_at: datetime | None
) -> ReportEvents:
    if order.status in TERMINAL and order.filled_quantity == sum(each.quantity for each in report.trades):
        return ReportEvents(order, desk.clock())
    booked = _booked(connection, order)
    return events_from(order, report, booked, desk.clock(), fresh=_is_fresh(desk, order, read_at))


def _is_fresh(desk: Desk, order: Order, read_at: datetime | None) -> bool:
    """Whether the book was read after everything we know of the order had been written."""
    if read_at is None:
        return False
    # What is ahead of now was written before the clock was put back, and a reading of now began after that.
    return order.updated_at < read_at or read_at <= desk.clock() < order.updated_at - _LONGEST_READING


def tracked(connection: Connection, order_id: str) -> tuple[Order, Cause]:
    """An order, and the cause that what the engine does with it goes back to."""
    row = _BY_ID.first(connection, order_id=order_id)
    if row is None:
        raise NotFound(f"there is no order {order_id}")
    return order_from(row), cause_of(row)


def cause_of(row: Any) -> Cause:
    return Cause(ACTOR, row.correlation_id)


def _row_of(connection: Connection, report: OrderReport) -> Any:
    """Ours by its tag, unless the broker has a second order under it; else one that was imported before."""
    if report.tag is not None:
        row = _BY_ID.first(connection, order_id=report.tag)
        if row is not None and row.broker_order_id in (None, report.broker_order_id):
            return row
    return _BY_ID.first(connection, order_id=_imported_id(report))


def _import(connection: Connection, desk: Desk, report: OrderReport) -> tuple[Order, Cause]:
    """An order that was placed elsewhere. It counts in the book, and is never touched."""
    cause = Cause(ACTOR, report.broker_order_id)
    terms = replace(report.terms, account=desk.account)
    order = create(_imported_id(report), terms, desk.clock(), external=True)
    data = {"broker_order_id": report.broker_order_id, "tag": report.tag}
    audit.append(connection, order.created_at, "broker.order_imported", order.id, cause, data)
    _log.warning("order_imported", order=order.id, broker_order=report.broker_order_id, tag=report.tag)
    return ledger.add(connection, order, cause), cause


def _imported_id(report: OrderReport) -> str:
    """The same for the same order, so that it is imported once."""
    digest = hashlib.sha256(report.broker_order_id.encode()).digest()
    return "a" + base64.b32encode(digest).decode().lower()[:17]


def _booked(connection: Connection, order: Order) -> AbstractSet[str]:
    if not order.filled_quantity:
        return frozenset()
    return {row.trade_id for row in _TRADES.all(connection, order_id=order.id)}
