"""Why an order is not sent at all, if it is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from algosat.domain.orders import EventKind, Order, OrderEvent, PendingRequest, Status
from algosat.engine.codes import EngineCode
from algosat.engine.guarded_broker import GuardedBroker
from algosat.trading.desk import Desk
from algosat.trading.halts import Halt


class Verdicts:
    def __init__(
        self, desk: Desk, broker: GuardedBroker, deadline: timedelta, is_ready: Callable[[], bool]
    ) -> None:
        self._desk, self._broker = desk, broker
        self._deadline, self._is_ready = deadline, is_ready

    def first(
        self, order: Order, stops: list[Halt], *, available: bool, kept_back: bool = False
    ) -> OrderEvent | None:
        """Of an order that has not left. `kept_back`: it waits for an order of unknown fate."""
        at = self._desk.clock()
        covering = [halt for halt in stops if halt.covers(order.terms.strategy)]
        if covering and not order.terms.reduce_only:
            return OrderEvent(EventKind.REJECTED, at, EngineCode.HALTED_BEFORE_SENDING, covering[0].reason)
        # One from ahead of now was placed before the clock was put back: nobody knows how long ago.
        if abs(at - order.created_at) <= self._deadline:
            return None
        if available:
            reason = f"it could not be sent within {self._deadline.total_seconds():g} s"
            if kept_back:
                reason += f": what became of another order of {order.terms.symbol} is not known yet"
            return OrderEvent(EventKind.REJECTED, at, EngineCode.SEND_DEADLINE, reason)
        reason = self._broker.session().detail if self._is_ready() else "the broker's book was never read"
        return OrderEvent(EventKind.REJECTED, at, EngineCode.BROKER_UNAVAILABLE, reason)

    def again(self, order: Order, stops: list[Halt]) -> OrderEvent | None:
        """Of one that was committed as submitting, and surely did not leave."""
        if order.pending is PendingRequest.PENDING_CANCEL:
            return OrderEvent(EventKind.CANCELLED, self._desk.clock(), reason="cancelled before it was sent")
        if order.status is not Status.SUBMITTING:
            reason = "it surely did not leave, but that was not known in time"
            return OrderEvent(EventKind.REJECTED, self._desk.clock(), EngineCode.SEND_DEADLINE, reason)
        return self.first(order, stops, available=True)
