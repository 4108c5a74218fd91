"""Which orders leave now. They are committed as submitting, all of a batch at once, before any is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Connection, bindparam, select

from algosat.domain.orders import EventKind, Order, OrderEvent, PendingRequest, Status, may_happen
from algosat.domain.reason_codes import EngineCode
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.sender import Sender
from algosat.engine.throttle import Throttle
from algosat.engine.workers import Workers
from algosat.store import ledger
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import orders
from algosat.trading import halts
from algosat.trading.apply_report import cause_of, tracked
from algosat.trading.desk import Desk
from algosat.trading.halts import Halt

_BATCH: Final = 10  # a round sends no more than there are threads to call the broker
_SOON: Final = 0.02  # seconds: a permit or a thread comes free
_BLOCKED: Final = 0.25  # seconds: the broker is away, or another order's fate is unknown
_IS_CREATED = (orders.c.status == Status.CREATED.value, orders.c.account == bindparam("account"))
_CREATED = Prepared(
    select(orders).where(*_IS_CREATED, orders.c.seq > bindparam("after")).order_by(orders.c.seq).limit(_BATCH)
)
_ANY_CREATED = Prepared(select(orders.c.seq).where(*_IS_CREATED).limit(1))
_UNCERTAIN = Prepared(
    select(orders.c.strategy, orders.c.symbol).where(
        orders.c.status == Status.UNKNOWN.value, orders.c.account == bindparam("account")
    )
)

_log = structlog.get_logger(__name__)
Fence = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class _Batch:
    to_send: list[Order]
    refused: list[Order]
    look_again: float | None  # seconds, when some orders wait


class Router:
    """Takes created orders in their order and has each sent once."""

    def __init__(
        self,
        desk: Desk,
        broker: GuardedBroker,
        sender: Sender,
        throttle: Throttle,
        lane: Workers,
        deadline: timedelta,
        fence: Fence,
        is_ready: Callable[[], bool],
    ) -> None:
        """`fence` raises when this engine does not lead any more; `is_ready` says whether the broker's book
        was read, which may have more of ours than we know."""
        self._desk, self._broker, self._sender = desk, broker, sender
        self._limiter, self._lane = throttle, lane
        self._deadline = deadline
        self._fence, self._is_ready = fence, is_ready
        self._some_wait = False

    def has_created(self, connection: Connection) -> bool:
        """Whether there are orders to decide on; without any, a round needs no write."""
        return _ANY_CREATED.first(connection, account=self._desk.account) is not None

    def step(self, *, decide: bool) -> float | None:
        """Send what may be sent, and decide on created orders first if there are any.

        The seconds until it is worth looking again, when some orders wait.
        """
        self._sender.give_up_hung()
        self._send_again(self._sender.due())
        again = _BLOCKED if self._sender.has_waiting else None
        if not decide:
            return again
        batch = self._desk.writer.run(self._take)
        self._some_wait = batch.look_again is not None
        for order in batch.refused:
            self._desk.tell_web(order.id)
        for order in batch.to_send:
            self._dispatch(order)
        return batch.look_again or again

    def stop(self) -> None:
        """Refuse what surely did not leave, and would be sent again by nobody."""
        self._sender.refuse_waiting()

    def _dispatch(self, order: Order) -> None:
        def send() -> None:
            self._sender.send(order)
            if self._some_wait:
                self._desk.wake_engine()

        self._lane.run(send)

    def _send_again(self, due: list[Order]) -> None:
        """What surely did not leave leaves now, unless something has come in between."""
        if not due:
            return
        batch = self._desk.writer.run(lambda connection: self._take_again(connection, due))
        self._sender.forget([*batch.to_send, *batch.refused])
        for order in batch.refused:
            self._desk.tell_web(order.id)
        for order in batch.to_send:
            self._dispatch(order)

    def _take_again(self, connection: Connection, due: list[Order]) -> _Batch:
        """Within one unit of work: the same decisions once more. A halt, a cancel, another engine that leads,
        a broker that asked for patience: all count for the second try as they do for the first."""
        self._fence(connection)
        to_send: list[Order] = []
        refused: list[Order] = []
        stops, free = halts.in_force(connection), self._lane.free()
        for each in due:
            order, cause = tracked(connection, each.id)
            event = self._resend_refusal(order, stops)
            if event is not None:
                happens = [event] if may_happen(order, event.kind) else []
                refused.append(ledger.record_all(connection, order, happens, cause, self._desk.books))
            elif len(to_send) < free and self._limiter.take(self._desk.clock()):
                to_send.append(order)
        return _Batch(to_send, refused, None)

    def _take(self, connection: Connection) -> _Batch:
        """Within one unit of work: decide on each created order, and commit those that leave.

        No more are committed as submitting than can be sent at once: what an engine that is killed leaves
        behind as submitting has to be sought.
        """
        self._fence(connection)
        to_send: list[Order] = []
        refused: list[Order] = []
        look_again: float | None = None
        stops, uncertain = halts.in_force(connection), self._uncertain(connection)
        available, free = self._is_available(), self._lane.free()
        for row in self._created(connection):
            order = order_from(row)
            kept_back = (row.strategy, row.symbol) in uncertain
            event = self._rejection(order, stops, available=available, kept_back=kept_back)
            if event is not None:
                refused.append(ledger.record(connection, order, event, cause_of(row), self._desk.books))
            elif not available or kept_back:
                look_again = look_again or _BLOCKED
            elif len(to_send) < free and self._limiter.take(self._desk.clock()):
                event = OrderEvent(EventKind.SUBMITTING, self._desk.clock())
                to_send.append(ledger.record(connection, order, event, cause_of(row), self._desk.books))
            else:
                look_again = _SOON
                break  # those behind it are no better off
        return _Batch(to_send, refused, look_again)

    def _rejection(
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

    def _resend_refusal(self, order: Order, stops: list[Halt]) -> OrderEvent | None:
        """Of one that was committed as submitting, and surely did not leave."""
        if order.pending is PendingRequest.PENDING_CANCEL:
            return OrderEvent(EventKind.CANCELLED, self._desk.clock(), reason="cancelled before it was sent")
        if order.status is not Status.SUBMITTING:
            reason = "it surely did not leave, but that was not known in time"
            return OrderEvent(EventKind.REJECTED, self._desk.clock(), EngineCode.SEND_DEADLINE, reason)
        return self._rejection(order, stops, available=True)

    def _created(self, connection: Connection) -> Iterator[Any]:
        """Oldest first. Those that are kept back, however many they are, stand in nobody's way."""
        after, number = 0, _BATCH
        while number == _BATCH:
            number = 0
            for row in _CREATED.each(connection, account=self._desk.account, after=after):
                after, number = row.seq, number + 1
                yield row

    def _is_available(self) -> bool:
        return self._is_ready() and self._broker.session().active

    def _uncertain(self, connection: Connection) -> set[tuple[str, str]]:
        """Where an order of unknown fate keeps others from being sent: per strategy and symbol."""
        rows = _UNCERTAIN.all(connection, account=self._desk.account)
        return {(row.strategy, row.symbol) for row in rows}
