"""Which orders leave now. They are committed as submitting, all of a batch at once, before any is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, bindparam, select

from algosat.domain.orders import EventKind, Order, OrderEvent, Status
from algosat.engine.codes import EngineCode
from algosat.engine.guard import Guard
from algosat.engine.lanes import Lane
from algosat.engine.limiter import Limiter
from algosat.engine.sender import Sender
from algosat.store import ledger
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import orders
from algosat.trading import halts
from algosat.trading.desk import Desk
from algosat.trading.halts import Halt
from algosat.trading.receive import cause_of

_BATCH: Final = 50
_IS_CREATED = (orders.c.status == Status.CREATED.value, orders.c.account == bindparam("account"))
_CREATED = Prepared(select(orders).where(*_IS_CREATED).order_by(orders.c.seq).limit(_BATCH))
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
    left_over: bool  # some wait: for a permit, for the broker, or for another order's fate


class Router:
    """Takes created orders in their order and has each sent once."""

    def __init__(
        self,
        desk: Desk,
        broker: Guard,
        sender: Sender,
        limiter: Limiter,
        lane: Lane,
        deadline: timedelta,
        fence: Fence,
    ) -> None:
        self._desk, self._broker, self._sender = desk, broker, sender
        self._limiter, self._lane = limiter, lane
        self._deadline = deadline
        self._fence = fence  # raises when this engine does not lead any more

    def step(self) -> bool:
        """Send what may be sent. Whether some orders wait, so that it is worth looking again soon."""
        self._sender.give_up_hung()
        for order in self._sender.due():
            self._dispatch(order)
        if not self._has_created():
            return False
        batch = self._desk.writer.run(self._take)
        for order in batch.refused:
            self._desk.tell_web(order.id)
        for order in batch.to_send:
            self._dispatch(order)
        return batch.left_over

    def stop(self) -> None:
        """Refuse what surely did not leave, and would be sent again by nobody."""
        self._sender.refuse_waiting()

    def _dispatch(self, order: Order) -> None:
        self._lane.run(lambda: self._sender.send(order))

    def _has_created(self) -> bool:
        with self._desk.database.read() as connection:
            return _ANY_CREATED.first(connection, account=self._desk.account) is not None

    def _take(self, connection: Connection) -> _Batch:
        """Within one unit of work: decide on each created order, and commit those that leave."""
        self._fence(connection)
        batch = _Batch([], [], left_over=False)
        stops = halts.in_force(connection)
        uncertain = self._uncertain(connection)
        available = self._broker.session().active
        waiting = False
        for row in _CREATED.all(connection, account=self._desk.account):
            order = order_from(row)
            event = self._verdict(order, stops, available)
            if event is None and not (
                available
                and (row.strategy, row.symbol) not in uncertain
                and self._limiter.take(self._desk.clock())
            ):
                waiting = True
                continue
            happened = event or OrderEvent(EventKind.SUBMITTING, self._desk.clock())
            order = ledger.record(connection, order, happened, cause_of(row), self._desk.books)
            (batch.refused if event else batch.to_send).append(order)
        return _Batch(batch.to_send, batch.refused, waiting)

    def _verdict(self, order: Order, stops: list[Halt], available: bool) -> OrderEvent | None:
        """Why an order is not sent at all, if it is not."""
        at = self._desk.clock()
        covering = [halt for halt in stops if halt.covers(order.intent.strategy)]
        if covering and not order.intent.reduce_only:
            return OrderEvent(EventKind.REJECTED, at, EngineCode.HALTED_BEFORE_SENDING, covering[0].reason)
        if at <= order.created_at + self._deadline:
            return None
        if available:
            reason = f"it could not be sent within {self._deadline.total_seconds():g} s"
            return OrderEvent(EventKind.REJECTED, at, EngineCode.SEND_DEADLINE, reason)
        return OrderEvent(
            EventKind.REJECTED, at, EngineCode.BROKER_UNAVAILABLE, self._broker.session().detail
        )

    def _uncertain(self, connection: Connection) -> set[tuple[str, str]]:
        """Where an order of unknown fate keeps others from being sent: per strategy and symbol."""
        rows = _UNCERTAIN.all(connection, account=self._desk.account)
        return {(row.strategy, row.symbol) for row in rows}
