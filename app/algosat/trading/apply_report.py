"""Apply a broker's report: find or import its order and record the events, in one unit of work."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, bindparam, select

from algosat.domain.orders import LIVE, TERMINAL, Order, OrderEvent, OrderTerms, Trade, create
from algosat.domain.orders.report import OrderReport
from algosat.domain.orders.report_events import ReportEvents, events_from
from algosat.domain.scope import EXTERNAL
from algosat.errors import NotFound
from algosat.store import audit, ledger, queries
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import orders, trades
from algosat.trading import daily_pnl
from algosat.trading.desk import Desk

ACTOR = "engine"
_LONGEST_READING = timedelta(minutes=1)  # of the broker's book; the time-outs of its calls are far shorter

_log = structlog.get_logger(__name__)
_BY_ID = Prepared(select(orders).where(orders.c.id == bindparam("order_id")))
_TRADES = Prepared(select(trades.c.trade_id).where(trades.c.order_id == bindparam("order_id")))


@dataclass(frozen=True, slots=True)
class AppliedReport:
    """The outcome of a report."""

    order: Order
    cause: Cause
    events: tuple[OrderEvent, ...]
    overfills: tuple[Trade, ...] = ()  # trades beyond the order's quantity: not booked; a person must decide
    is_ghost: bool = False  # the order is live at the broker although it has ended here


def apply_report(
    connection: Connection, desk: Desk, report: OrderReport, *, read_at: datetime | None = None
) -> AppliedReport:
    """Record what is new in a report; a report of what is known already changes nothing.

    `read_at` is when reading the broker's book began; None for a pushed report and for the answer to a
    request.
    """
    row = _row_of(connection, report)
    order, cause = _import(connection, desk, report) if row is None else (order_from(row), cause_of(row))
    outcome = _events_of(connection, desk, order, report, read_at)
    order = ledger.record_all(connection, order, outcome.events, cause, desk.books)
    daily_pnl.include_late_trades(connection, desk, order, outcome.events)
    return AppliedReport(
        order,
        cause,
        tuple(outcome.events),
        tuple(outcome.overfills),
        is_ghost=_is_fresh(desk, order, read_at) and order.status in TERMINAL and report.status in LIVE,
    )


def changes_anything(connection: Connection, desk: Desk, report: OrderReport, read_at: datetime) -> bool:
    """Return whether applying the report would change anything or raise an alert; most reports do neither."""
    row = _row_of(connection, report)
    if row is None:
        return True
    order = order_from(row)
    if order.status in TERMINAL and report.status in LIVE:
        return True
    outcome = _events_of(connection, desk, order, report, read_at)
    return bool(outcome.events or outcome.overfills)


def _events_of(
    connection: Connection, desk: Desk, order: Order, report: OrderReport, read_at: datetime | None
) -> ReportEvents:
    if order.status in TERMINAL and order.filled_quantity == sum(each.quantity for each in report.trades):
        return ReportEvents(order, desk.clock())
    booked = _booked(connection, order)
    return events_from(order, report, booked, desk.clock(), fresh=_is_fresh(desk, order, read_at))


def _is_fresh(desk: Desk, order: Order, read_at: datetime | None) -> bool:
    """Return whether the broker's book was read after the last change of the order was stored."""
    if read_at is None:
        return False
    # An update in the future was stored before the clock was put back, so this reading began after it.
    return order.updated_at < read_at or read_at <= desk.clock() < order.updated_at - _LONGEST_READING


def tracked(connection: Connection, order_id: str) -> tuple[Order, Cause]:
    """Return an order, and the cause to which the engine's actions on it are attributed. Raises NotFound."""
    row = _BY_ID.first(connection, order_id=order_id)
    if row is None:
        raise NotFound(f"there is no order {order_id}")
    return order_from(row), cause_of(row)


def cause_of(row: Any) -> Cause:
    return Cause(ACTOR, row.correlation_id)


def _row_of(connection: Connection, report: OrderReport) -> Any:
    """Return the row of the order with the report's tag, or of the imported order; None if there is neither.

    A second order of the broker under the same tag counts as an external one.
    """
    if report.tag is not None:
        row = _BY_ID.first(connection, order_id=report.tag)
        if row is not None and row.broker_order_id in (None, report.broker_order_id):
            return row
    return _BY_ID.first(connection, order_id=_imported_id(report))


def order_of(connection: Connection, report: OrderReport) -> Order | None:
    """Return the order that a report is about, or None if it is not known."""
    row = _row_of(connection, report)
    return None if row is None else order_from(row)


def _import(connection: Connection, desk: Desk, report: OrderReport) -> tuple[Order, Cause]:
    """Store an external order. It counts in the book, and the engine never changes it."""
    cause = Cause(ACTOR, report.broker_order_id)
    terms = replace(report.terms, account=desk.account, strategy=_strategy_of(connection, desk, report.terms))
    order = create(_imported_id(report), terms, desk.clock(), external=True)
    data = {"broker_order_id": report.broker_order_id, "tag": report.tag}
    audit.append(connection, order.created_at, "broker.order_imported", order.id, cause, data)
    _log.warning("order_imported", order=order.id, broker_order=report.broker_order_id, tag=report.tag)
    return ledger.add(connection, order, cause), cause


def _strategy_of(connection: Connection, desk: Desk, terms: OrderTerms) -> str | None:
    """Return the strategy of an external order: none if the order reduces a position held by hand.

    Then a person has closed or reduced that position in the broker's terminal. Every other external order
    opens or changes an external position.
    """
    held = queries.held(connection, desk.account, "", terms.symbol, terms.product.value)
    return None if held * terms.side.sign < 0 else EXTERNAL


def _imported_id(report: OrderReport) -> str:
    """Return an id derived from the broker's, so that an external order is imported only once."""
    digest = hashlib.sha256(report.broker_order_id.encode()).digest()
    return "a" + base64.b32encode(digest).decode().lower()[:17]


def _booked(connection: Connection, order: Order) -> AbstractSet[str]:
    if not order.filled_quantity:
        return frozenset()
    return {row.trade_id for row in _TRADES.all(connection, order_id=order.id)}
