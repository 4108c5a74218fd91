"""Differences between an account's books and the broker's: our figures, stored differences and their alerts.

The engine compares (`engine/book_check`). A confirmed difference is stored as a row and opens an
alert. It is settled when both sides agree again: because an order or trade arrived that explains it, or after
an adjustment.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, func, insert, select, text, type_coerce, update

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.book_comparison import (
    BookComparison,
    BookItem,
    BrokerFigure,
    Difference,
    DifferenceKind,
    OwnFigure,
    item_of,
)
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Product
from algosat.domain.orders.report import OrderReport
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.row_writes import insert_into
from algosat.store.rows import position_from
from algosat.store.tables import UNSETTLED_DIFFERENCE, book_comparisons, book_differences, days, positions
from algosat.store.types import Scaled
from algosat.trading import alerts, conversion_records
from algosat.trading.apply_report import order_of
from algosat.trading.desk import Desk
from algosat.trading.funds import fees_of, realised_of

_ALERTS: Final = {
    DifferenceKind.ORDER: AlertKind.BOOK_ORDER_DIFFERS,
    DifferenceKind.POSITION: AlertKind.BOOK_POSITION_DIFFERS,
    DifferenceKind.HOLDING: AlertKind.BOOK_POSITION_DIFFERS,
    DifferenceKind.CASH: AlertKind.BOOK_CASH_DIFFERS,
}
_REMEDY: Final = "wait for orders that explain it, or use `algosat book adjust`"

_POSITIONS = Prepared(select(positions).where(positions.c.account == bindparam("account")))
_FEES_OF_DAY = Prepared(
    select(type_coerce(func.sum(days.c.fees), Scaled).label("fees")).where(
        days.c.account == bindparam("account"), days.c.day == bindparam("day")
    )
)
_OPEN = Prepared(
    select(book_differences)
    .where(book_differences.c.account == bindparam("account"), text(UNSETTLED_DIFFERENCE))
    .order_by(book_differences.c.seq)
)
_STATE = Prepared(select(book_comparisons).where(book_comparisons.c.account == bindparam("account")))


class ComparisonOutcome(StrEnum):
    AGREE = "agree"
    DIFFER = "differ"
    UNCERTAIN = "uncertain"  # what differs may still be explained by orders under way
    NOT_READ = "not_read"  # the broker did not state its figures


@dataclass(frozen=True, slots=True)
class ComparisonState:
    """The last comparison of an account, and the last request for one."""

    requested_at: datetime | None = None
    requested_by: str | None = None
    compared_at: datetime | None = None
    outcome: ComparisonOutcome | None = None
    detail: str | None = None
    evening: date | None = None  # the last trading day at whose end the books were compared


def read_state(connection: Connection, account: str) -> ComparisonState:
    row = _STATE.first(connection, account=account)
    if row is None:
        return ComparisonState()
    outcome = ComparisonOutcome(row.outcome) if row.outcome else None
    return ComparisonState(
        row.requested_at, row.requested_by, row.compared_at, outcome, row.detail, row.evening
    )


def put_state(connection: Connection, desk: Desk, **changes: Any) -> None:
    """Change columns of the account's comparison."""
    statement = insert_into(book_comparisons, connection.dialect.name)
    update_row = statement.on_conflict_do_update(index_elements=["account"], set_=changes)
    connection.execute(update_row, {"account": desk.account, **changes})


def request(connection: Connection, desk: Desk, cause: Cause) -> None:
    """Ask the engine to compare the books now."""
    put_state(connection, desk, requested_at=desk.clock(), requested_by=cause.actor)


# --- our figures ---------------------------------------------------------------------------------------


def own_positions(connection: Connection, account: str) -> dict[BookItem, OwnFigure]:
    """Return the quantities of all strategies together."""
    found: dict[BookItem, OwnFigure] = {}
    for row in _POSITIONS.all(connection, account=account):
        item = item_of(row.symbol, Product(row.product))
        before = found.get(item)
        amount, changed_at = row.quantity, row.updated_at
        if before is not None and before.changed_at is not None:
            amount, changed_at = amount + before.amount, max(changed_at, before.changed_at)
        found[item] = OwnFigure(amount, changed_at)
    return found


def own_cash(connection: Connection, desk: Desk, currency: str) -> dict[BookItem, OwnFigure]:
    """Return the cash that a broker shows: without the cost of what is paid in full, shares and options.

    The charges of the day count as not booked at the broker yet.
    """
    rows = _POSITIONS.all(connection, account=desk.account)
    paid = sum(
        (position_from(row).cost for row in rows if _is_paid_in_full(connection, desk.venue, row)), ZERO
    )
    balance = queries.balance(connection, desk.account)
    cash = balance.deposited + realised_of(balance) - fees_of(balance) if balance else ZERO
    today = desk.books.trading_day(desk.clock())
    fees = _FEES_OF_DAY.scalar(connection, account=desk.account, day=today) or ZERO
    changed_at = max((row.updated_at for row in rows), default=None)
    return {BookItem(DifferenceKind.CASH, currency): OwnFigure(cash - paid, changed_at, unposted=fees)}


def _is_paid_in_full(connection: Connection, venue: str, row: Any) -> bool:
    if not row.quantity or row.product == Product.DELIVERY:
        return bool(row.quantity)
    instrument = queries.instrument(connection, venue, row.symbol)
    return instrument is not None and instrument.kind is InstrumentKind.OPTION


def filled_quantities(
    connection: Connection, desk: Desk, reports: Iterable[OrderReport]
) -> tuple[dict[BookItem, OwnFigure], dict[BookItem, BrokerFigure], dict[BookItem, Decimal]]:
    """Return the orders of which the broker has filled more or less than is booked.

    Returns: our filled quantities, the broker's, and by how much these fills would change each position.
    """
    ours: dict[BookItem, OwnFigure] = {}
    theirs: dict[BookItem, BrokerFigure] = {}
    unbooked: dict[BookItem, Decimal] = {}
    for report in reports:
        order, terms = order_of(connection, desk, report), report.terms
        filled = order.filled_quantity if order else ZERO
        if filled == report.filled_quantity:
            continue
        order_id = order.id if order else report.broker_order_id
        item = BookItem(DifferenceKind.ORDER, terms.symbol, terms.product.value, order_id)
        ours[item] = OwnFigure(filled, order.updated_at if order else None)
        theirs[item] = BrokerFigure(report.filled_quantity)
        position = item_of(terms.symbol, terms.product)
        change = terms.side.sign * (report.filled_quantity - filled)
        unbooked[position] = unbooked.get(position, ZERO) + change
    return ours, theirs, unbooked


def converting(connection: Connection, account: str) -> dict[BookItem, Decimal]:
    """Return by how much conversions whose outcome is not known would change each position."""
    found: dict[BookItem, Decimal] = {}
    for each in conversion_records.under_way(connection, account):
        if each.is_sent:
            for product, change in ((each.source, -each.quantity), (each.target, each.quantity)):
                item = item_of(each.symbol, product)
                found[item] = found.get(item, ZERO) + change
    return found


# --- stored differences --------------------------------------------------------------------------------


def open_differences(connection: Connection, account: str) -> list[Row[Any]]:
    """Return the rows of the open differences, oldest first."""
    return _OPEN.all(connection, account=account)


def put(
    connection: Connection,
    desk: Desk,
    found: Iterable[Difference],
    comparison: BookComparison,
    compared: AbstractSet[DifferenceKind],
    cause: Cause,
) -> None:
    """Store the certain differences, and settle those on which both sides agree again.

    `compared` are the kinds of figures that the comparison covers.
    """
    known = {_item_of_row(row): row for row in open_differences(connection, desk.account)}
    for each in found:
        _put_difference(connection, desk, each, known.get(each.item), cause)
    for item, row in known.items():
        if item.kind in compared and item not in comparison.sightings:
            _settle(connection, desk, item, row, cause)


def note_adjustment(
    connection: Connection, desk: Desk, item: BookItem | None, adjustment_id: str, *, cash: bool
) -> None:
    """Note an adjustment in the open differences of the figures that it changes."""
    for row in open_differences(connection, desk.account):
        is_cash = cash and row.kind == DifferenceKind.CASH
        if is_cash or _item_of_row(row) == item:
            _change(connection, row, adjustment=adjustment_id)


def _put_difference(connection: Connection, desk: Desk, found: Difference, row: Any, cause: Cause) -> None:
    item, now = found.item, desk.clock()
    values = {"ours": found.ours, "theirs": found.theirs, "average_price": found.average_price}
    if row is None:
        key = {
            "account": desk.account,
            "kind": item.kind.value,
            "symbol": item.symbol,
            "product": item.product,
            "order_id": item.order_id,
        }
        connection.execute(
            insert(book_differences), {**key, **values, "since": found.since, "updated_at": now}
        )
    elif (row.ours, row.theirs) != (found.ours, found.theirs):
        _change(connection, row, **values, updated_at=now)
    since = found.since if row is None else row.since
    detail = f"{found}, since {since:%Y-%m-%d %H:%M:%S} UTC: {_REMEDY}"
    alerts.open_alert(connection, desk, _ALERTS[item.kind], item.subject, cause, detail)


def _settle(connection: Connection, desk: Desk, item: BookItem, row: Any, cause: Cause) -> None:
    now = desk.clock()
    _change(connection, row, settled_at=now, updated_at=now)
    alerts.close_alert(connection, desk, _ALERTS[item.kind], item.subject, cause)


def _change(connection: Connection, row: Any, **values: Any) -> None:
    connection.execute(update(book_differences).where(book_differences.c.seq == row.seq).values(values))


def _item_of_row(row: Any) -> BookItem:
    return BookItem(DifferenceKind(row.kind), row.symbol, row.product, row.order_id)
