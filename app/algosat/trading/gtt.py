"""Place, change, cancel and trigger GTT orders.

A GTT order blocks no funds and is not sent to the broker. When its trigger price is reached, one unit of work
places its order and ends the GTT order, so the order is placed exactly once. The gate checks the order at
that moment.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.gtt import MOST_ACTIVE, GttChange, GttOrder, GttRequest, GttState, gtt_order
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.market_phases import Phase, takes
from algosat.domain.orders import Order, OrderTerms, Status
from algosat.errors import AlgosatError, CalendarUnknown, Conflict, NotFound
from algosat.store import gtt_orders as rows
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import alerts, idempotency, limits, linked_exits, place
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey

_ACTOR: Final = "engine"

_log = structlog.get_logger(__name__)


def place_gtt(desk: Desk, request: GttRequest, cause: Cause, *, key: IdempotencyKey) -> tuple[GttOrder, bool]:
    """Keep an order until the last price reaches its trigger price.

    Returns the GTT order, and whether the key was used before.

    Raises InvalidBody, naming the field, and Conflict if too many wait already; then nothing is stored.
    Raises KeyReused.
    """

    def unit(connection: Connection) -> tuple[GttOrder, bool]:
        known = idempotency.find(connection, key)
        if known is not None:
            return show_gtt(connection, known.order_ids[0]), True
        if len(rows.active(connection, desk.account)) >= MOST_ACTIVE:
            raise Conflict(f"{MOST_ACTIVE} GTT orders are waiting, which is the limit: cancel one first")
        new = _checked(connection, desk, request)
        idempotency.keep_id(connection, key, new.id, new.created_at)
        return rows.add(connection, new, cause), False

    return desk.writer.run(unit)


def change_gtt(desk: Desk, gtt_id: str, change: GttChange, cause: Cause) -> GttOrder:
    """Change a GTT order that is waiting; it is checked as a new one is.

    Raises NotFound, Conflict if it has ended, and InvalidBody, naming the field; then nothing has changed.
    """

    def unit(connection: Connection) -> GttOrder:
        found = show_gtt(connection, gtt_id)
        if found.state is not GttState.ACTIVE:
            raise Conflict(f"GTT order {gtt_id} is {found.state}: it cannot be changed")
        new = _checked(connection, desk, change.of(found), before=found)
        changed = replace(
            new, id=found.id, created_at=found.created_at, updated_at=found.updated_at, version=found.version
        )
        if changed == found:
            return found
        changed = replace(changed, updated_at=desk.clock(), version=found.version + 1)
        return rows.put_change(connection, changed, cause)

    return desk.writer.run(unit)


def cancel_gtt(desk: Desk, gtt_id: str, cause: Cause) -> GttOrder:
    """Cancel a GTT order; cancelling again changes nothing. Raises NotFound, or Conflict if it has ended."""

    def unit(connection: Connection) -> GttOrder:
        found = show_gtt(connection, gtt_id)
        if found.state is GttState.CANCELLED:
            return found
        if found.state is not GttState.ACTIVE:
            raise Conflict(f"GTT order {gtt_id} is {found.state}: there is nothing left to cancel")
        return rows.end(connection, found, GttState.CANCELLED, desk.clock(), cause)

    return desk.writer.run(unit)


def show_gtt(connection: Connection, gtt_id: str) -> GttOrder:
    """Return a GTT order. Raises NotFound."""
    found = rows.get(connection, gtt_id)
    if found is None:
        raise NotFound(f"there is no GTT order {gtt_id}")
    return found


def trigger_gtts(desk: Desk) -> None:
    """Place the orders whose trigger price is reached, and end the GTT orders that have expired.

    One that fails does not delay the others: it is logged, and tried again in the next round.
    """
    with desk.database.read() as connection:
        due = [each.id for each in rows.active(connection, desk.account) if _is_due(connection, desk, each)]
    for gtt_id in due:
        try:
            order = desk.writer.run(partial(_end, desk=desk, gtt_id=gtt_id))
        except (AlgosatError, SQLAlchemyError) as error:
            _log.exception("gtt_failed", gtt=gtt_id)
            desk.errors.record(error, f"engine {desk.account} gtt")
            continue
        if order is not None:
            desk.wake_engine()
            desk.notify_web(order.id)


def _end(connection: Connection, desk: Desk, gtt_id: str) -> Order | None:
    """Expire or trigger a GTT order, if that is due. Returns the order that is placed."""
    of, at = show_gtt(connection, gtt_id), desk.clock()
    if of.state is not GttState.ACTIVE or not _is_due(connection, desk, of):
        return None
    cause = rows.cause_of(connection, of.id, _ACTOR)
    if of.is_expired(at):
        rows.end(connection, of, GttState.EXPIRED, at, cause)
        return None
    _, quote = queries.listed(connection, desk.venue, of.terms.symbol)
    terms = (of.reached(quote) if quote is not None else None) or of.terms
    if of.exits is None:
        order = place.admit(connection, desk, terms, cause)
    else:
        order = linked_exits.admit_or_deny(connection, desk, terms, of.exits, cause)
    rows.end(connection, of, GttState.TRIGGERED, at, cause, order_id=order.id)
    if order.status is Status.DENIED:
        detail = f"the order for {of.terms.symbol} was denied: {order.reason}"
        alerts.open_alert(connection, desk, AlertKind.GTT_DENIED, of.id, cause, detail)
    return order


def _is_due(connection: Connection, desk: Desk, of: GttOrder) -> bool:
    at = desk.clock()
    if of.is_expired(at):
        return True
    instrument, quote = queries.listed(connection, desk.venue, of.terms.symbol)
    if instrument is None or quote is None or of.reached(quote) is None:
        return False
    return _is_fresh(connection, desk, quote, at) and _is_open(desk, instrument, of.terms, at)


def _is_fresh(connection: Connection, desk: Desk, quote: Quote, at: datetime) -> bool:
    in_force = limits.effective(connection, desk)
    return in_force is not None and abs((at - quote.at).total_seconds()) <= in_force.stale_quote_seconds


def _is_open(desk: Desk, instrument: Instrument, terms: OrderTerms, at: datetime) -> bool:
    """Return whether the market takes such an order now; a GTT order waits until it does."""
    try:
        phase = desk.calendar.phase(instrument.segment, instrument.has_derivatives, at)
    except CalendarUnknown:
        return False
    return phase is Phase.CONTINUOUS and takes(phase, terms.type, terms.validity)


def _checked(
    connection: Connection, desk: Desk, request: GttRequest, *, before: GttOrder | None = None
) -> GttOrder:
    instrument, quote = queries.listed(connection, desk.venue, request.terms.symbol)
    zone = desk.calendar.zone
    return gtt_order(place.new_id(), request, instrument, quote, desk.clock(), before=before, zone=zone)
