"""Linked exits of a back-test: the engine's decisions, carried out on the ledger in memory.

A target is filled at the quote that reaches it, as far as the quote's quantity allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Final, Protocol

from algosat.backtest.simulated_ledger import SimulatedLedger
from algosat.domain.instruments import Quote
from algosat.domain.linked_exits import (
    CancelEntry,
    CancelStop,
    End,
    ExitFacts,
    ExitOutcome,
    ExitPrices,
    ExitState,
    Hold,
    KeepStop,
    LinkedExit,
    ModifyStop,
    PlaceStop,
    PlaceTarget,
    Wait,
    adopted,
    decide,
    next_attempt,
    with_trigger,
)
from algosat.domain.linked_requests import end_of, linked_exit
from algosat.domain.orders import ModifyRequest, Order, OrderTerms, Status
from algosat.domain.risk import DenialCode

_MOST_STEPS: Final = 5  # at one quote: cancel, target, stop again


class ExitOrders(Protocol):
    """How linked exits place and change orders in a back-test."""

    def place_exit(self, terms: OrderTerms, *, at_once: bool = False) -> Order: ...

    def cancel_exit(self, order_id: str) -> Order: ...

    def modify(self, order_id: str, request: ModifyRequest) -> Order: ...


@dataclass(slots=True)
class _Linked:
    """A linked exit, and the ids of all its stops and targets."""

    of: LinkedExit
    exits: list[str] = field(default_factory=list)


class SimulatedExits:
    def __init__(
        self, ledger: SimulatedLedger, orders: ExitOrders, takes_stops: Callable[[str], bool], zone: tzinfo
    ) -> None:
        """Build exits without any.

        `takes_stops` returns whether the market of a symbol accepts stop orders now; `zone` is the time zone
        of the venue's days.
        """
        self._ledger, self._orders, self._takes_stops, self._zone = ledger, orders, takes_stops, zone
        self._active: list[_Linked] = []
        self._changed: list[Order] = []

    def add(self, order: Order, prices: ExitPrices, expires_on: date | None = None) -> None:
        """Link exits to an order that was just placed."""
        new = linked_exit(f"l{order.id}", order, prices, expires_at=end_of(expires_on, self._zone))
        self._active.append(_Linked(new, [order.id] if new.order_id else []))

    def end_with(self, order_id: str) -> str | None:
        """End the linked exit of a stop or target that is cancelled. Returns the order that works for it."""
        for linked in self._active:
            if order_id in linked.exits:
                self._put(linked, replace(linked.of, state=ExitState.ENDED, outcome=ExitOutcome.CANCELLED))
                return linked.of.order_id
        return None

    @property
    def is_empty(self) -> bool:
        """Whether no linked exit is active."""
        return not self._active

    def advance(self, quote: Quote, tick: Decimal, at: datetime) -> list[Order]:
        """Carry out the actions due at a quote, for its symbol. Returns the orders that changed at once."""
        self._changed = []
        for linked in [each for each in self._active if each.of.symbol == quote.symbol]:
            for _ in range(_MOST_STEPS):
                if not linked.of.is_active or not self._step(linked, quote, tick, at):
                    break
        return self._changed

    def _step(self, linked: _Linked, quote: Quote, tick: Decimal, at: datetime) -> bool:
        """Carry out one action. Returns whether there was one."""
        facts = self._facts(linked, quote, tick, at)
        of = adopted(linked.of, facts)
        action = decide(of, facts)
        match action:
            case PlaceStop(quantity, is_retry):
                of = self._place_stop(linked, next_attempt(of, at) if is_retry else of, quantity, at)
            case PlaceTarget(quantity):
                target = self._place(linked, of.target_terms(quantity), at_once=True)
                of = replace(of, state=ExitState.TAKING_PROFIT, order_id=target.id)
            case CancelStop(trigger):
                of = of if trigger is None else replace(of, prices=with_trigger(of.prices, trigger))
                self._orders.cancel_exit(of.order_id or "")
                of = replace(of, state=ExitState.CANCELLING)
            case ModifyStop(quantity, trigger):
                self._modify(of, quantity, trigger)
                of = replace(of, changes=of.changes + 1)
            case KeepStop():
                of = replace(next_attempt(of, at), state=ExitState.PROTECTED)
            case CancelEntry():
                self._orders.cancel_exit(of.entry_id or "")
            case Hold():
                of = replace(of, state=ExitState.UNPROTECTED)
            case End(outcome):
                of = replace(of, state=ExitState.ENDED, outcome=outcome)
            case Wait():
                pass
        self._put(linked, of)
        return not isinstance(action, Wait | ModifyStop)

    def _place_stop(self, linked: _Linked, of: LinkedExit, quantity: Decimal, at: datetime) -> LinkedExit:
        order = self._place(linked, of.stop_terms(quantity))
        if order.code == DenialCode.TRIGGER_ALREADY_PASSED:
            order = self._place(linked, of.triggered_terms(quantity))
        of = replace(of, order_id=order.id, changes=0)
        if order.status is Status.DENIED:
            return replace(next_attempt(of, at), state=ExitState.UNPROTECTED)
        return replace(of, state=ExitState.PROTECTED)

    def _place(self, linked: _Linked, terms: OrderTerms, *, at_once: bool = False) -> Order:
        order = self._orders.place_exit(terms, at_once=at_once)
        linked.exits.append(order.id)
        self._changed.append(order)
        return order

    def _modify(self, of: LinkedExit, quantity: Decimal | None, trigger: Decimal | None) -> None:
        request = ModifyRequest(quantity=quantity)
        if trigger is not None:
            prices = with_trigger(of.prices, trigger)
            request = ModifyRequest(trigger_price=prices.trigger_price, limit_price=prices.limit_price)
        self._orders.modify(of.order_id or "", request)

    def _facts(self, linked: _Linked, quote: Quote, tick: Decimal, at: datetime) -> ExitFacts:
        of, orders = linked.of, self._ledger.orders
        held = self._ledger.position(of.symbol).quantity
        others = sum(
            order.remaining_quantity
            for order in self._ledger.working.values()
            if order.terms.symbol == of.symbol and order.terms.side is of.side and order.id != of.order_id
        )
        return ExitFacts(
            at=at,
            order=None if of.order_id is None else orders[of.order_id],
            entry=None if of.entry_id is None else orders[of.entry_id],
            exited=sum((orders[order_id].filled_quantity for order_id in linked.exits), Decimal()),
            left=max(-of.side.sign * held - others, Decimal()),
            quote=quote,
            tick=tick,
            takes_stops=self._takes_stops(of.symbol),
            zone=self._zone,
        )

    def _put(self, linked: _Linked, of: LinkedExit) -> None:
        linked.of = of if of == linked.of else replace(of, version=of.version + 1)
        if not of.is_active and linked in self._active:
            self._active.remove(linked)
