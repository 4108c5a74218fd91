"""Apply a broker's report: find or import its order and record the events, in one unit of work."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import structlog
from sqlalchemy import Connection, bindparam, select

from algosat.domain.decimals import ZERO
from algosat.domain.orders import LIVE, TERMINAL, Order, OrderEvent, OrderTerms, Trade, create
from algosat.domain.orders.report import OrderReport
from algosat.domain.orders.report_events import ReportEvents, events_from, inferred_trade
from algosat.domain.reason_codes import EngineCode
from algosat.domain.scope import EXTERNAL
from algosat.errors import NotFound
from algosat.store import audit, ledger, queries
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import orders, trades
from algosat.trading import book_entries, daily_pnl
from algosat.trading.book_entries import BookEntry
from algosat.trading.desk import Desk

ACTOR = "engine"
_SMALLEST_PRICE: Final = Decimal("0.00000001")  # that the store can hold
_LONGEST_READING = timedelta(minutes=1)  # of the broker's book; the time-outs of its calls are far shorter

_log = structlog.get_logger(__name__)
_BY_ID = Prepared(select(orders).where(orders.c.id == bindparam("order_id")))
_BY_NUMBER = Prepared(
    select(orders)
    .where(
        orders.c.account == bindparam("account"),
        orders.c.broker_order_id == bindparam("number"),
        orders.c.symbol == bindparam("symbol"),
        orders.c.side == bindparam("side"),
    )
    .order_by(orders.c.seq.desc())
    .limit(1)
)
_TRADES = Prepared(
    select(*(trades.c[name] for name in ("trade_id", "quantity", "price", "at"))).where(
        trades.c.order_id == bindparam("order_id")
    )
)


@dataclass(frozen=True, slots=True)
class AppliedReport:
    """The outcome of a report."""

    order: Order
    cause: Cause
    events: tuple[OrderEvent, ...]
    overfills: tuple[Trade, ...] = ()  # trades beyond the order's quantity: not booked; a person must decide
    conflicts: tuple[Trade, ...] = ()  # booked before with other quantity or price; a person must decide
    number: str = ""  # the broker's number in the report
    is_ghost: bool = False  # the order is live at the broker although it has ended here


def apply_report(
    connection: Connection,
    desk: Desk,
    report: OrderReport,
    *,
    read_at: datetime | None = None,
    renumbers: bool = False,
) -> AppliedReport:
    """Record what is new in a report; a report of what is known already changes nothing.

    Args:
        read_at: When reading the broker's book began; None for a pushed report and the answer to a request.
        renumbers: The broker replaces a changed order by one with another number.
    """
    row = _row_of(connection, desk, report)
    order, cause = _import(connection, desk, report) if row is None else (order_from(row), cause_of(row))
    outcome = _events_of(connection, desk, order, report, read_at, renumbers=renumbers)
    order, events = ledger.record_new(connection, order, outcome.events, cause, desk.books)
    daily_pnl.include_late_trades(connection, desk, order, events)
    _move_excess(connection, desk, order, events, cause)
    return AppliedReport(
        order,
        cause,
        tuple(events),
        tuple(outcome.overfills),
        tuple(outcome.conflicts),
        report.broker_order_id,
        is_ghost=_is_fresh(desk, order, read_at) and order.status in TERMINAL and report.status in LIVE,
    )


def changes_anything(
    connection: Connection, desk: Desk, report: OrderReport, read_at: datetime, *, renumbers: bool = False
) -> bool:
    """Return whether applying the report would change anything or raise an alert; most reports do neither."""
    row = _row_of(connection, desk, report)
    if row is None:
        return True
    order = order_from(row)
    if order.status in TERMINAL and report.status in LIVE:
        return True
    outcome = _events_of(connection, desk, order, report, read_at, renumbers=renumbers)
    return bool(outcome.events or outcome.overfills or outcome.conflicts or outcome.is_undecided)


def order_of(connection: Connection, desk: Desk, report: OrderReport) -> Order | None:
    """Return the order that a report is about; None if it is not imported yet."""
    row = _row_of(connection, desk, report)
    return None if row is None else order_from(row)


def with_inferred_fill(
    connection: Connection, desk: Desk, order: Order, report: OrderReport
) -> OrderReport | None:
    """Return a report with a trade in place of those that the broker does not state; None without a price.

    The price is the one that gives the broker's average, if it states that; otherwise the worst price that
    the order accepts, otherwise the last price of its symbol.
    """
    quantity = report.filled_quantity - order.filled_quantity
    price = _missing_price(connection, desk, order, report, quantity) if quantity > 0 else None
    if price is None:
        return None
    trade = inferred_trade(order, quantity, price, report.at)
    return replace(report, trades=(*report.trades, trade))


def _missing_price(
    connection: Connection, desk: Desk, order: Order, report: OrderReport, quantity: Decimal
) -> Decimal | None:
    if report.average_price is not None:
        value = report.average_price * report.filled_quantity - order.filled_value
        price = (value / quantity).quantize(_SMALLEST_PRICE)
        return price if price > 0 else report.average_price
    terms = order.terms
    worst = terms.limit_price if terms.type.has_limit else terms.protection_price
    if worst is not None:
        return worst
    quote = queries.quote(connection, desk.venue, terms.symbol)
    return None if quote is None else quote.last


def _events_of(
    connection: Connection,
    desk: Desk,
    order: Order,
    report: OrderReport,
    read_at: datetime | None,
    *,
    renumbers: bool,
) -> ReportEvents:
    if order.status in TERMINAL and _has_all_trades(order, report):
        return ReportEvents(order, desk.clock())
    booked = _booked(connection, order)
    fresh = _is_fresh(desk, order, read_at)
    return events_from(order, report, booked, desk.clock(), fresh=fresh, renumbers=renumbers)


def _has_all_trades(order: Order, report: OrderReport) -> bool:
    booked = (order.filled_quantity, order.filled_value)
    is_equal = booked == (report.traded_quantity, report.traded_value)
    return is_equal and order.code != EngineCode.FILL_INFERRED


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


def _row_of(connection: Connection, desk: Desk, report: OrderReport) -> Any:
    """Return the row of the order that a report is about; None if there is none.

    It has the report's tag, or its number: brokers lose tags, and replace orders by others. A second order of
    the broker under the same tag that replaces none counts as an external one.
    """
    if report.tag is not None:
        row = _BY_ID.first(connection, order_id=report.tag)
        is_ours = row is not None and row.account == desk.account
        if is_ours and (
            row.broker_order_id in (None, report.broker_order_id) or _replaces(connection, row, report)
        ):
            return row
    for number in (report.broker_order_id, report.replaces):
        row = None if number is None else _with_number(connection, desk, report, number)
        if row is not None:
            return row
    imported = (_BY_ID.first(connection, order_id=each) for each in _ids_of_import(desk, report))
    return next((row for row in imported if row is not None and _is_about(desk, report, row)), None)


def _is_about(desk: Desk, report: OrderReport, row: Any) -> bool:
    """Return whether the order may be the reported one: numbers are equal at other brokers and used again."""
    terms = report.terms
    return (row.account, row.symbol, row.side) == (desk.account, terms.symbol, terms.side.value)


def _with_number(connection: Connection, desk: Desk, report: OrderReport, number: str) -> Any:
    """Return the order with this number of the broker, unless the number has been used again."""
    terms = report.terms
    return _BY_NUMBER.first(
        connection, account=desk.account, number=number, symbol=terms.symbol, side=terms.side.value
    )


def _replaces(connection: Connection, row: Any, report: OrderReport) -> bool:
    """Return whether one of the reported order and the row's order replaces the other at the broker."""
    if report.replaces is not None:
        return True
    numbers = (event.data.get("broker_order_id") for event in audit.events_of(connection, row.id))
    return report.broker_order_id in numbers


def _import(connection: Connection, desk: Desk, report: OrderReport) -> tuple[Order, Cause]:
    """Store an external order. It counts in the book, and the engine never changes it."""
    cause = Cause(ACTOR, report.broker_order_id)
    terms = replace(report.terms, account=desk.account, strategy=_strategy_of(connection, desk, report.terms))
    order = create(_free_id(connection, desk, report), terms, desk.clock(), external=True)
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


def _move_excess(
    connection: Connection, desk: Desk, order: Order, events: Iterable[OrderEvent], cause: Cause
) -> None:
    """Move to `external` what an external order has traded beyond the position held by hand.

    An exit of the excess would trade what the broker does not hold.
    """
    traded = [event.trade for event in events if event.trade is not None]
    moved = sum((trade.quantity for trade in traded), ZERO)
    if not order.external or order.terms.strategy is not None or moved <= 0:
        return
    terms = order.terms
    held = queries.held(connection, desk.account, "", terms.symbol, terms.product.value)
    excess = terms.side.sign * min(max(terms.side.sign * held, ZERO), moved)
    for strategy, quantity in (("", -excess), (EXTERNAL, excess)) if excess else ():
        entry = BookEntry(
            strategy=strategy,
            symbol=terms.symbol,
            product=terms.product,
            quantity=quantity,
            price=traded[-1].price,
            at=traded[-1].at,
            code=EngineCode.EXCESS_EXTERNAL,
            reason=f"excess of order {order.id} over the position held by hand",
        )
        moved_order, booked = book_entries.book(connection, desk, entry, cause, trade_prefix="excess")
        daily_pnl.include_late_trades(connection, desk, moved_order, booked)


def _free_id(connection: Connection, desk: Desk, report: OrderReport) -> str:
    """Return the id of an order to import."""
    first, other = _ids_of_import(desk, report)
    return first if _BY_ID.first(connection, order_id=first) is None else other


def _ids_of_import(desk: Desk, report: OrderReport) -> tuple[str, str]:
    """Return the ids under which an external order is imported, so that it is imported only once.

    The first is the only one that releases before accounts know. The other one is used if an order of another
    account, or an earlier order, has the same number.
    """
    number, terms = report.broker_order_id, report.terms
    return _hashed(number), _hashed(f"{desk.account} {number} {terms.symbol} {terms.side}")


def _hashed(text: str) -> str:
    return "a" + base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:17]


def _booked(connection: Connection, order: Order) -> Mapping[str, Trade]:
    """Return the booked trades of an order by their numbers at the broker."""
    if not order.filled_quantity:
        return {}
    rows = _TRADES.all(connection, order_id=order.id)
    booked = (
        Trade(ledger.trade_number(order.id, row.trade_id), row.quantity, row.price, row.at) for row in rows
    )
    return {trade.id: trade for trade in booked}
