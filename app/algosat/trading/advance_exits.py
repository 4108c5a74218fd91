"""Advance linked exits: carry out what `domain.linked_exits` decides, each action in one unit of work."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection, bindparam, func, select, text, type_coerce
from sqlalchemy.exc import SQLAlchemyError

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.closing import LineState
from algosat.domain.decimals import ZERO
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.linked_exits import (
    CancelEntry,
    CancelStop,
    End,
    ExitFacts,
    ExitState,
    Hold,
    KeepStop,
    LinkedExit,
    LinkedRole,
    ModifyStop,
    PlaceStop,
    PlaceTarget,
    Wait,
    adopted,
    decide,
    is_unprotected,
    next_attempt,
    with_trigger,
)
from algosat.domain.market_phases import takes
from algosat.domain.orders import ModifyRequest, Order, OrderTerms, OrderType, Status, Validity
from algosat.domain.risk import Denial, DenialCode, gate
from algosat.errors import AlgosatError, CalendarUnknown
from algosat.monitoring import correlation
from algosat.store import ledger, queries
from algosat.store import linked_exits as rows
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.tables import IS_UNFINISHED, WORKING_STATUS, conversions, orders, positions
from algosat.store.types import Scaled
from algosat.trading import alerts, cancel, close_records, limits, modify, place, risk_snapshot
from algosat.trading.close_records import Close, CloseLine
from algosat.trading.desk import Desk

_ACTOR: Final = "engine"

_log = structlog.get_logger(__name__)
_LINE = ("account", "strategy", "symbol", "product")
# What a conversion under way takes from the position, negative for a short one.
_CONVERTING = (
    select(conversions.c.quantity)
    .where(
        *(conversions.c[name] == bindparam(name) for name in ("account", "strategy", "symbol")),
        conversions.c.source == bindparam("product"),
        text(IS_UNFINISHED),
    )
    .scalar_subquery()
)
_HELD = Prepared(
    select(type_coerce(positions.c.quantity - func.coalesce(_CONVERTING, 0), Scaled).label("quantity")).where(
        *(positions.c[name] == bindparam(name) for name in _LINE)
    )
)
_WORKING = Prepared(
    select(
        type_coerce(func.sum(orders.c.quantity - orders.c.filled_quantity), Scaled).label("working")
    ).where(
        *(orders.c[name] == bindparam(name) for name in _LINE),
        orders.c.side == bindparam("side"),
        orders.c.id != bindparam("without"),
        text(WORKING_STATUS),
    )
)


def advance_exits(desk: Desk) -> None:
    """Advance every linked exit of the desk's account that has something to do.

    One that fails does not delay the others: it is logged, and tried again in the next round.
    """
    kind = AlertKind.LINKED_UNPROTECTED
    with desk.database.read() as connection:
        alerted = alerts.open_subjects(connection, desk, kind)
        active = rows.active(connection, desk.account)
        due = [each.id for each in active if _is_due(connection, desk, each, is_alerted=each.id in alerted)]
    for exit_id in due:
        try:
            _advance(desk, exit_id)
        except (AlgosatError, SQLAlchemyError) as error:
            _log.exception("linked_exit_failed", linked_exit=exit_id)
            desk.errors.record(error, f"engine {desk.account} linked exits")
    for exit_id in alerted - {each.id for each in active}:  # ended by a cancel
        cause = Cause(_ACTOR, correlation.new())
        desk.writer.run(partial(alerts.close_alert, desk=desk, kind=kind, subject=exit_id, cause=cause))


def _advance(desk: Desk, exit_id: str) -> None:
    touched = desk.writer.run(lambda connection: _ExitStep(connection, desk, exit_id).run())
    if touched:
        desk.wake_engine()
    for order in touched:
        desk.notify_web(order.id)


def _is_due(connection: Connection, desk: Desk, of: LinkedExit, *, is_alerted: bool) -> bool:
    facts = _facts(connection, desk, of)
    after = adopted(of, facts)
    acts = after != of or not isinstance(decide(after, facts), Wait)
    return acts or is_unprotected(of, facts) is not is_alerted


class _ExitStep:
    """One action for one linked exit, within a unit of work."""

    def __init__(self, connection: Connection, desk: Desk, exit_id: str) -> None:
        self._connection, self._desk = connection, desk
        self._exit_id = exit_id
        self._touched: list[Order] = []

    def run(self) -> list[Order]:
        """Carry out the next action. Returns the orders that were placed or changed."""
        before = rows.get(self._connection, self._exit_id)
        if before is None or not before.is_active:
            return []
        self._cause = rows.cause_of(self._connection, before.id, _ACTOR)
        facts = _facts(self._connection, self._desk, before)
        after = self._perform(adopted(before, facts), facts)
        after = rows.put(self._connection, before, after, facts.at, self._cause)
        self._alert(after)
        return self._touched

    def _alert(self, of: LinkedExit) -> None:
        """Open or close the alert about a position without a stop."""
        facts = _facts(self._connection, self._desk, of)
        kind, subject = AlertKind.LINKED_UNPROTECTED, of.id
        if not is_unprotected(of, facts):
            alerts.close_alert(self._connection, self._desk, kind, subject, self._cause)
            return
        last, quantity = facts.order, of.quantity - facts.exited
        if of.state is ExitState.TAKING_PROFIT:
            detail = f"{quantity} of {of.symbol} have no working stop: the target's outcome is unknown"
        elif last is not None and last.is_working:
            detail = f"{quantity} of {of.symbol}: the triggered stop {last.id} is not filled"
        else:
            reason = "" if last is None else last.reason or f"order {last.id} is {last.status}"
            detail = f"{quantity} of {of.symbol} have no working stop: {reason}"
        alerts.open_alert(self._connection, self._desk, kind, subject, self._cause, detail)

    def _perform(self, of: LinkedExit, facts: ExitFacts) -> LinkedExit:
        match decide(of, facts):
            case PlaceStop(quantity, is_retry):
                return self._place_stop(next_attempt(of, facts.at) if is_retry else of, quantity, facts)
            case PlaceTarget(quantity):
                return self._place_target(of, quantity, facts)
            case CancelStop() as action:
                return self._cancel_stop(of, action, facts)
            case ModifyStop() as action:
                return self._modify_stop(of, action, facts)
            case KeepStop():
                return replace(next_attempt(of, facts.at), state=ExitState.PROTECTED)
            case CancelEntry():
                self._cancel(facts.entry)
                return of
            case Hold():
                return replace(of, state=ExitState.UNPROTECTED)
            case End(outcome):
                return replace(of, state=ExitState.ENDED, outcome=outcome)
            case Wait():
                return of

    def _place_stop(self, of: LinkedExit, quantity: Decimal, facts: ExitFacts) -> LinkedExit:
        """Place the stop. If the market is beyond its trigger already, place a market or limit order."""
        denial = self._judge(of.stop_terms(quantity))
        passed = denial is not None and denial.code is DenialCode.TRIGGER_ALREADY_PASSED
        terms = of.triggered_terms(quantity) if passed else of.stop_terms(quantity)
        order = self._place(of, terms, LinkedRole.STOP)
        of = replace(of, order_id=order.id, changes=0)
        if order.status is not Status.DENIED:
            return replace(of, state=ExitState.PROTECTED)
        of = of if of.next_at is not None and of.next_at > facts.at else next_attempt(of, facts.at)
        return replace(of, state=ExitState.UNPROTECTED)

    def _place_target(self, of: LinkedExit, quantity: Decimal, facts: ExitFacts) -> LinkedExit:
        order = self._place(of, of.target_terms(quantity), LinkedRole.TARGET)
        if order.status is Status.DENIED:
            return self._place_stop(next_attempt(of, facts.at), quantity, facts)
        return replace(of, state=ExitState.TAKING_PROFIT, order_id=order.id)

    def _cancel_stop(self, of: LinkedExit, action: CancelStop, facts: ExitFacts) -> LinkedExit:
        """Ask for the cancel of the stop, if the gate would let its successor pass."""
        if facts.order is None:
            return of
        if action.trigger_price is None:
            terms = of.target_terms(facts.order.remaining_quantity)
        else:
            of = replace(of, prices=with_trigger(of.prices, action.trigger_price))
            terms = of.stop_terms(facts.order.remaining_quantity)
        if self._judge(terms, replacing=facts.order.id) is not None:
            return next_attempt(of, facts.at)
        self._cancel(facts.order)
        return replace(of, state=ExitState.CANCELLING)

    def _modify_stop(self, of: LinkedExit, action: ModifyStop, facts: ExitFacts) -> LinkedExit:
        if facts.order is None:
            return of
        request = ModifyRequest(quantity=action.quantity)
        if action.trigger_price is not None:
            prices = with_trigger(of.prices, action.trigger_price)
            request = ModifyRequest(trigger_price=prices.trigger_price, limit_price=prices.limit_price)
        change = request.of(facts.order.terms)
        outcome = modify.request(self._connection, self._desk, facts.order, change, self._cause)
        if isinstance(outcome, Denial):
            return next_attempt(of, facts.at)
        self._touched.append(outcome)
        return replace(of, changes=of.changes + 1)

    def _place(self, of: LinkedExit, terms: OrderTerms, role: LinkedRole) -> Order:
        order = place.admit(self._connection, self._desk, terms, self._cause)
        rows.link(self._connection, of.id, order.id, role)
        self._touched.append(order)
        return order

    def _cancel(self, order: Order | None) -> None:
        if order is not None:
            self._touched.append(
                cancel.request(self._connection, self._desk, order, self._cause, keeps_link=True)
            )

    def _judge(self, terms: OrderTerms, *, replacing: str | None = None) -> Denial | None:
        at = self._desk.clock()
        snapshot = risk_snapshot.read_snapshot(self._connection, self._desk, terms, at, replacing=replacing)
        return gate.judge(terms, snapshot)[1]


def _facts(connection: Connection, desk: Desk, of: LinkedExit) -> ExitFacts:
    at = desk.clock()
    instrument, quote = queries.listed(connection, desk.venue, of.symbol)
    closing = _closing(connection, of)
    waits_for_close = any(close.is_partial and line.state is LineState.CANCELLING for close, line in closing)
    return ExitFacts(
        at=at,
        order=None if of.order_id is None else ledger.get(connection, of.order_id),
        entry=None if of.entry_id is None else ledger.get(connection, of.entry_id),
        exited=rows.exited(connection, of.id),
        left=_left(connection, of),
        quote=quote if instrument is not None and _is_fresh(connection, desk, quote, at) else None,
        tick=Decimal(1) if instrument is None else instrument.tick,
        takes_stops=not waits_for_close and (instrument is None or _takes_stops(desk, instrument, at)),
        zone=desk.calendar.zone,
        is_closing=any(not close.is_partial and close.created_at >= of.created_at for close, _ in closing),
    )


def _closing(connection: Connection, of: LinkedExit) -> list[tuple[Close, CloseLine]]:
    """Return the unfinished closes of the position, each with its line."""
    key = (of.strategy or "", of.symbol, of.product.value)
    return [
        (close, line)
        for close in close_records.unfinished(connection, of.account)
        for line in close.lines
        if line.key == key and not line.is_finished
    ]


def _left(connection: Connection, of: LinkedExit) -> Decimal:
    """Return what is left of the position after a conversion and the working exits but the link's own."""
    line = {
        "account": of.account,
        "strategy": of.strategy or "",
        "symbol": of.symbol,
        "product": of.product.value,
    }
    held = _HELD.scalar(connection, **line) or ZERO
    working = _WORKING.scalar(connection, **line, side=of.side.value, without=of.order_id or "") or ZERO
    return max(-of.side.sign * held - working, ZERO)


def _is_fresh(connection: Connection, desk: Desk, quote: Quote | None, at: datetime) -> bool:
    in_force = limits.effective(connection, desk)
    if quote is None or in_force is None:
        return False
    return abs((at - quote.at).total_seconds()) <= in_force.stale_quote_seconds


def _takes_stops(desk: Desk, instrument: Instrument, at: datetime) -> bool:
    try:
        phase = desk.calendar.phase(instrument.segment, instrument.has_derivatives, at)
    except CalendarUnknown:
        return True  # the gate decides
    return takes(phase, OrderType.STOP, Validity.DAY)
