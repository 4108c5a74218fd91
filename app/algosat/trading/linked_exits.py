"""Place and change linked exits: OCO pairs, brackets and trailing stops.

Everything is checked before anything is stored. The gate judges each order that is sent, as always; the
prices of an exit that is not sent yet are checked against its stop, the market and the instrument.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NoReturn

from sqlalchemy import Connection

from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.linked_exits import (
    ExitPrices,
    ExitState,
    LinkedExit,
    LinkedRole,
    first_trigger,
    problem_of,
)
from algosat.domain.orders import ModifyRequest, Order, OrderTerms, Side, Status
from algosat.domain.risk import Denial
from algosat.errors import Conflict, Denied, InvalidBody
from algosat.store import ledger, queries
from algosat.store import linked_exits as rows
from algosat.store.audit import Cause
from algosat.trading import modify, place
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed

STOP_LOSS = "stop_loss."  # prefix of the stop's fields in the request of a bracket


@dataclass(frozen=True, slots=True)
class ExitRequest:
    """The exits to link to an order: a target or trail for a reduce-only stop, or those of a bracket."""

    target_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    stop_loss: ExitPrices | None = None  # of a bracket


@dataclass(frozen=True, slots=True)
class LinkedChange:
    """What to change in a linked exit besides the terms of its stop; None leaves a value as it is."""

    target_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None

    def of(self, prices: ExitPrices) -> ExitPrices:
        """Return the changed prices. A new trail replaces one of the other kind."""
        if self.target_price is not None:
            prices = replace(prices, target_price=self.target_price)
        if self.trail_amount is None and self.trail_percent is None:
            return prices
        return replace(prices, trail_amount=self.trail_amount, trail_percent=self.trail_percent)


def place_linked(
    desk: Desk, terms: OrderTerms, exits: ExitRequest, cause: Cause, *, key: IdempotencyKey | None = None
) -> Placed:
    """Place a stop with a target or a trail, or an entry with its exits (a bracket).

    `terms` are those of a reduce-only stop, whose trigger price may be missing if it trails, or of an entry.

    Raises InvalidBody if the prices contradict each other or the market; then nothing is stored. A denied
    order is returned as `place_order` returns it, and has no linked exit.
    """
    return place.once(desk, key, lambda connection: [admit(connection, desk, terms, exits, cause)])


def admit(connection: Connection, desk: Desk, terms: OrderTerms, exits: ExitRequest, cause: Cause) -> Order:
    """Judge and store the order of `place_linked` and its linked exit, within the caller's unit of work."""
    _require_consistent(terms, exits)
    instrument, quote = queries.listed(connection, terms.symbol)
    if instrument is None or quote is None:
        return place.admit(connection, desk, terms, cause)  # the gate denies it
    if exits.stop_loss is None:
        return _admit_stop(connection, desk, terms, exits, _Market(instrument, quote), cause)
    return _admit_bracket(connection, desk, terms, exits, _Market(instrument, quote), cause)


def modify_linked(
    desk: Desk, order_id: str, request: ModifyRequest, change: LinkedChange, cause: Cause
) -> Order:
    """Change the target or trail of a linked exit, and new terms of its order with them.

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


def _require_consistent(terms: OrderTerms, exits: ExitRequest) -> None:
    """Check that the exits fit the order. Raises InvalidBody, naming the field."""
    if exits.stop_loss is None:
        field = "target_price" if exits.target_price is not None else "trail_amount"
        if exits.target_price is None and exits.trail_amount is None:
            field = "trail_percent"
        if not terms.reduce_only:
            _refuse(field, "needs reduce_only, for the stop of a position, or stop_loss, for a bracket")
        if not terms.type.has_trigger:
            _refuse("type", f"an order with {field} is a stop or stop_limit")
        return
    if terms.reduce_only:
        _refuse("stop_loss", "is for an order that opens a position; this one is reduce_only")
    if exits.trail_amount is not None or exits.trail_percent is not None:
        field = "trail_amount" if exits.trail_amount is not None else "trail_percent"
        _refuse(field, f"belongs to the stop of a bracket: give {STOP_LOSS}{field}")


def _admit_stop(
    connection: Connection, desk: Desk, terms: OrderTerms, exits: ExitRequest, market: _Market, cause: Cause
) -> Order:
    prices = ExitPrices(
        terms.trigger_price, terms.limit_price, exits.target_price, exits.trail_amount, exits.trail_percent
    )
    prices = _checked(prices, terms.side, market.quote.last, market)
    order = place.admit(connection, desk, replace(terms, trigger_price=prices.trigger_price), cause)
    if order.status is not Status.DENIED:
        new = _linked(order, order.terms.side, prices)
        _store(connection, replace(new, state=ExitState.PROTECTED, order_id=order.id), order, cause)
    return order


def _admit_bracket(
    connection: Connection, desk: Desk, terms: OrderTerms, exits: ExitRequest, market: _Market, cause: Cause
) -> Order:
    side = terms.side.opposite
    prices = replace(exits.stop_loss or ExitPrices(), target_price=exits.target_price)
    prices = _checked(prices, side, _entry_price(terms, market.quote), market, stop=STOP_LOSS)
    order = place.admit(connection, desk, terms, cause)
    if order.status is not Status.DENIED:
        new = replace(_linked(order, side, prices), quantity=ZERO, entry_id=order.id)
        _store(connection, new, order, cause)
    return order


def _linked(order: Order, side: Side, exits: ExitPrices) -> LinkedExit:
    """Return a linked exit for the order's position."""
    terms = order.terms
    return LinkedExit(
        id=place.new_id(),
        account=terms.account,
        strategy=terms.strategy,
        symbol=terms.symbol,
        product=terms.product,
        algo_id=terms.algo_id,
        side=side,
        prices=exits,
        quantity=terms.quantity,
        created_at=order.created_at,
        updated_at=order.created_at,
    )


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
        raise Conflict(f"order {order.id} was replaced by {known.order_id}: change that order's terms")
    if known is None and not _takes_a_link(order):
        raise Conflict(f"order {order.id} is not a working reduce-only stop: it takes no target or trail")
    new = known or replace(
        _linked(order, order.terms.side, ExitPrices()), state=ExitState.PROTECTED, order_id=order.id
    )
    prices = change.of(new.prices)
    if known is None or order.id == new.order_id:
        terms = request.of(order.terms)
        prices = replace(
            prices, trigger_price=terms.trigger_price or prices.trigger_price, limit_price=terms.limit_price
        )
    instrument, quote = queries.listed(connection, order.terms.symbol)
    if instrument is None or quote is None:
        raise Conflict(f"there is no price of {order.terms.symbol}")
    waits = new.state is ExitState.WAITING
    reference = _entry_price(order.terms, quote) if waits else quote.last
    _checked(prices, new.side, reference, _Market(instrument, quote), stop=STOP_LOSS if waits else "")
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


def _entry_price(terms: OrderTerms, quote: Quote) -> Decimal:
    """Return the price at which an entry is expected to trade."""
    return terms.limit_price or terms.trigger_price or quote.last


def _checked(
    exits: ExitPrices, side: Side, reference: Decimal, market: _Market, *, stop: str = ""
) -> ExitPrices:
    """Return the prices with the trigger price to begin with. Raises InvalidBody, naming the field."""
    tick = market.instrument.tick
    exits = replace(exits, trigger_price=first_trigger(exits, side, reference, tick))
    problem = problem_of(exits, side, reference, tick=tick, stop=stop)
    if problem is not None:
        _refuse(*problem)
    for field, price in (
        (f"{stop}trigger_price", exits.trigger_price),
        (f"{stop}limit_price", exits.limit_price),
        ("target_price", exits.target_price),
    ):
        if price is not None:
            market.require_valid(field, price)
    if exits.trail_amount is not None:
        market.require_on_tick(f"{stop}trail_amount", exits.trail_amount)
    return exits


@dataclass(frozen=True, slots=True)
class _Market:
    instrument: Instrument
    quote: Quote

    def require_valid(self, field: str, price: Decimal) -> None:
        """Check that the exchange would take the price. Raises InvalidBody, naming the field."""
        self.require_on_tick(field, price)
        lower, upper = self.quote.lower_circuit, self.quote.upper_circuit
        if not lower <= price <= upper:
            _refuse(field, f"{price} is outside the circuit {lower} to {upper}")

    def require_on_tick(self, field: str, price: Decimal) -> None:
        if not self.instrument.takes_price(price):
            _refuse(field, f"{price} is not a multiple of the tick {self.instrument.tick}")


def _refuse(field: str, detail: str) -> NoReturn:
    raise InvalidBody(
        f"{field}: {detail}", errors=[{"field": field, "detail": detail, "code": "linked_exit"}]
    )
