"""Place and change linked exits: OCO pairs, brackets and trailing stops.

Everything is checked before anything is stored. The gate checks each order that is sent, as always. The
prices of an exit that has not been sent are checked against its stop, the market and the instrument.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from algosat.domain.linked_exits import ExitPrices, ExitState, LinkedExit, LinkedRole
from algosat.domain.linked_requests import (
    STOP_LOSS,
    ExitRequest,
    LinkedChange,
    LinkedMarket,
    checked,
    end_of,
    entry_price,
    linked_exit,
    prepared,
)
from algosat.domain.orders import ModifyRequest, Order, OrderTerms, Status
from algosat.domain.risk import Denial, DenialCode
from algosat.errors import Conflict, Denied, InvalidBody
from algosat.store import ledger, queries
from algosat.store import linked_exits as rows
from algosat.store.audit import Cause
from algosat.trading import modify, place, risk_snapshot
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed


def place_linked(
    desk: Desk, terms: OrderTerms, exits: ExitRequest, cause: Cause, *, key: IdempotencyKey | None = None
) -> Placed:
    """Place a stop with a target or a trail, or an entry with its exits (a bracket).

    `terms` are those of an entry or of a reduce-only stop. A trailing stop needs no trigger price.

    Raises InvalidBody if the prices contradict each other or the market; then nothing is stored. A denied
    order is returned as `place_order` returns it, and has no linked exit.
    """
    return place.once(desk, key, lambda connection: [_admit(connection, desk, terms, exits, cause)], [terms])


def place_linked_or_deny(
    desk: Desk, terms: OrderTerms, exits: ExitRequest, cause: Cause, *, key: IdempotencyKey
) -> Placed:
    """Place as `place_linked` does, but store a denied order if the prices contradict each other."""
    return place.once(
        desk, key, lambda connection: [admit_or_deny(connection, desk, terms, exits, cause)], [terms]
    )


def admit_or_deny(
    connection: Connection, desk: Desk, terms: OrderTerms, exits: ExitRequest, cause: Cause
) -> Order:
    """Store an order with its linked exits, or a denied order if their prices contradict each other."""
    try:
        return _admit(connection, desk, terms, exits, cause)
    except InvalidBody as error:
        denial = Denial(DenialCode.INVALID_TERMS, error.detail)
        snapshot = risk_snapshot.read_snapshot(connection, desk, terms, desk.clock())
        return place.write(connection, desk, terms, denial, snapshot, cause)


def _admit(connection: Connection, desk: Desk, terms: OrderTerms, exits: ExitRequest, cause: Cause) -> Order:
    instrument, quote = queries.listed(connection, desk.venue, terms.symbol)
    if instrument is None or quote is None:
        if terms.reduce_only:  # the gate would let the stop pass, without its target or trail
            raise InvalidBody(
                f"there is no price of {terms.symbol} to check the exits by: place a plain stop"
            )
        return place.admit(connection, desk, terms, cause)  # the gate denies it
    terms, prices = prepared(terms, exits, LinkedMarket(instrument, quote, desk.calendar.zone), desk.clock())
    order = place.admit(connection, desk, terms, cause)
    if order.status is not Status.DENIED:
        expires_at = end_of(exits.expires_on, desk.calendar.zone)
        new = linked_exit(place.new_id(), order, prices, expires_at=expires_at)
        _store(connection, new, order, cause)
    return order


def modify_linked(
    desk: Desk, order_id: str, request: ModifyRequest, change: LinkedChange, cause: Cause
) -> Order:
    """Change the target or trail of a linked exit, together with the terms of its order.

    A reduce-only stop without a linked exit gets one. Raises what `modify_order` raises, and InvalidBody if
    the prices contradict each other or the market; then nothing has changed.
    """

    def unit(connection: Connection) -> Order | Denial:
        order = outcome = ledger.get(connection, order_id)
        if request != ModifyRequest():
            requested = modify.request(connection, desk, order, request.of(order.terms), cause)
            if isinstance(requested, Denial):
                return requested
            outcome = requested
        _relink(connection, desk, order, request, change, cause)
        return outcome

    outcome = desk.writer.run(unit)
    if isinstance(outcome, Denial):
        raise Denied(outcome.detail, code=outcome.code)
    desk.wake_engine()
    desk.notify_web(order_id)
    return outcome


def _store(connection: Connection, new: LinkedExit, order: Order, cause: Cause) -> None:
    rows.add(connection, new, cause)
    rows.link(connection, new.id, order.id, LinkedRole.ENTRY if new.entry_id else LinkedRole.STOP)


def _relink(
    connection: Connection,
    desk: Desk,
    order: Order,
    request: ModifyRequest,
    change: LinkedChange,
    cause: Cause,
) -> None:
    known = rows.of_order(connection, order.id)
    if known is not None and not known.is_active:
        raise Conflict(f"the linked exit of order {order.id} has ended: {known.outcome}")
    if known is not None and request != ModifyRequest() and order.id not in (known.order_id, known.entry_id):
        raise Conflict(f"order {order.id} was replaced by {known.order_id}: change that order instead")
    if known is None and not _takes_a_link(order):
        raise Conflict(f"order {order.id} is not a working reduce-only stop, so it takes no target or trail")
    new = known or linked_exit(place.new_id(), order, ExitPrices())
    prices = change.of(new.prices)
    if known is None or order.id == new.order_id:
        terms = request.of(order.terms)
        prices = replace(
            prices, trigger_price=terms.trigger_price or prices.trigger_price, limit_price=terms.limit_price
        )
    instrument, quote = queries.listed(connection, desk.venue, order.terms.symbol)
    if instrument is None or quote is None:
        raise Conflict(f"there is no price of {order.terms.symbol}")
    waits = new.state is ExitState.WAITING
    reference = entry_price(order.terms, quote) if waits else quote.last
    checked(prices, new.side, reference, LinkedMarket(instrument, quote), stop=STOP_LOSS if waits else "")
    changed = replace(new, prices=change.of(new.prices), attempts=0, next_at=None)
    if known is None:
        own = replace(changed.prices, trigger_price=order.terms.trigger_price)
        own = replace(own, limit_price=order.terms.limit_price)
        at = desk.clock()
        _store(connection, replace(changed, prices=own, created_at=at, updated_at=at), order, cause)
    else:
        rows.put(connection, known, changed, desk.clock(), cause)


def _takes_a_link(order: Order) -> bool:
    terms = order.terms
    waits = order.status in (Status.CREATED, Status.SUBMITTING, Status.TRIGGER_PENDING)
    return waits and terms.reduce_only and terms.type.has_trigger and not order.external
