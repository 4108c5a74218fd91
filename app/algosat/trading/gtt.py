"""Place, cancel and trigger GTT orders.

A GTT order blocks no funds and is not sent to the broker. When its trigger price is reached, one unit of work
places its order and ends the GTT order, so the order is placed exactly once. The gate checks the order at
that moment.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Final, NoReturn

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.gtt import LONGEST, MOST_ACTIVE, GttOrder, GttState
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.linked_requests import ExitRequest, LinkedMarket, prepared
from algosat.domain.market_phases import Phase, takes
from algosat.domain.orders import Order, OrderTerms, Status
from algosat.errors import AlgosatError, CalendarUnknown, Conflict, InvalidBody, NotFound
from algosat.store import gtt_orders as rows
from algosat.store import queries
from algosat.store.audit import Cause
from algosat.trading import alerts, idempotency, limits, linked_exits, place
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey

_ACTOR: Final = "engine"
_ORDER: Final = "order."  # prefix of the order's fields in the request

_log = structlog.get_logger(__name__)


def place_gtt(
    desk: Desk,
    terms: OrderTerms,
    exits: ExitRequest | None,
    trigger_price: Decimal,
    expires_on: date | None,
    cause: Cause,
    *,
    key: IdempotencyKey,
) -> tuple[GttOrder, bool]:
    """Keep an order until the last price reaches the trigger price.

    `expires_on` is the last day in exchange time on which the order may be placed; without one it waits for
    a year. Returns the GTT order, and whether the key was used before.

    Raises InvalidBody, naming the field, and Conflict if too many wait already; then nothing is stored.
    Raises KeyReused.
    """

    def unit(connection: Connection) -> tuple[GttOrder, bool]:
        known = idempotency.find(connection, key)
        if known is not None:
            return show_gtt(connection, known.order_ids[0]), True
        if len(rows.active(connection, desk.account)) >= MOST_ACTIVE:
            raise Conflict(f"{MOST_ACTIVE} GTT orders are waiting, which is the limit: cancel one first")
        new = _checked(connection, desk, terms, exits, trigger_price, expires_on)
        idempotency.keep_id(connection, key, new.id, new.created_at)
        return rows.add(connection, new, cause), False

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
        except (AlgosatError, SQLAlchemyError):
            _log.exception("gtt_failed", gtt=gtt_id)
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
    if of.exits is None:
        order = place.admit(connection, desk, of.terms, cause)
    else:
        order = linked_exits.admit_or_deny(connection, desk, of.terms, of.exits, cause)
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
    if instrument is None or quote is None or not of.is_reached(quote):
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
    connection: Connection,
    desk: Desk,
    terms: OrderTerms,
    exits: ExitRequest | None,
    trigger_price: Decimal,
    expires_on: date | None,
) -> GttOrder:
    """Return a new GTT order. Raises InvalidBody, naming the field."""
    instrument, quote = queries.listed(connection, desk.venue, terms.symbol)
    if instrument is None or quote is None:
        _refuse(f"{_ORDER}symbol", f"no instrument {terms.symbol!r} with a price is known")
    at = desk.clock()
    expires_at = _expiry(instrument, expires_on, at)
    if terms.is_after_market:
        _refuse(f"{_ORDER}session", "a GTT order cannot be an after-market order: leave the session out")
    if not instrument.takes_price(trigger_price):
        _refuse("trigger_price", f"{trigger_price} is not a multiple of the tick {instrument.tick}")
    if trigger_price == quote.last:
        _refuse(
            "trigger_price", f"{trigger_price} is the last price already: place the order with POST /orders"
        )
    if not instrument.takes_quantity(terms.quantity):
        _refuse(f"{_ORDER}quantity", f"{terms.quantity} is not a multiple of the lot {instrument.lot}")
    _require_prices(terms, exits, instrument)
    if exits is not None:
        # Checked at the trigger price; the circuit limits of the day on which it is reached are not known.
        then = replace(quote, last=trigger_price, lower_circuit=Decimal(0), upper_circuit=Decimal("Infinity"))
        prepared(terms, exits, LinkedMarket(instrument, then))
    return GttOrder(
        id=place.new_id(),
        terms=terms,
        exits=exits,
        trigger_price=trigger_price,
        is_above=trigger_price > quote.last,
        expires_at=expires_at,
        created_at=at,
        updated_at=at,
    )


def _expiry(instrument: Instrument, expires_on: date | None, at: datetime) -> datetime:
    """Return the end of the last day on which the order may be placed."""
    today = at.astimezone(EXCHANGE_TIME).date()
    if expires_on is None:
        last = today + LONGEST if instrument.expiry is None else min(today + LONGEST, instrument.expiry)
    elif not today <= expires_on <= today + LONGEST:
        _refuse("expires_on", f"{expires_on} is not between today, {today}, and {today + LONGEST}")
    elif instrument.expiry is not None and expires_on > instrument.expiry:
        _refuse("expires_on", f"{expires_on} is after the expiry of the contract, {instrument.expiry}")
    else:
        last = expires_on
    return datetime.combine(last + timedelta(days=1), time(), EXCHANGE_TIME)


def _require_prices(terms: OrderTerms, exits: ExitRequest | None, instrument: Instrument) -> None:
    """Check that the order has the prices of its type, on the tick."""
    trails = exits is not None and exits.stop_loss is None
    for name, price, wanted in (
        ("limit_price", terms.limit_price, terms.type.has_limit),
        ("trigger_price", terms.trigger_price, terms.type.has_trigger),
    ):
        if wanted is not (price is not None) and not (trails and wanted):
            _refuse(f"{_ORDER}{name}", f"a {terms.type} order {'needs one' if wanted else 'takes none'}")
        if price is not None and not instrument.takes_price(price):
            _refuse(f"{_ORDER}{name}", f"{price} is not a multiple of the tick {instrument.tick}")


def _refuse(field: str, detail: str) -> NoReturn:
    raise InvalidBody(f"{field}: {detail}", errors=[{"field": field, "detail": detail, "code": "gtt"}])
