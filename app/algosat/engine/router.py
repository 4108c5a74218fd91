"""Deciding which created orders are sent now, and committing them as `submitting` before any is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
)

from algosat.brokers.base import CallKind
from algosat.domain.orders import EventKind, Order, OrderEvent, PendingRequest, Status, may_happen
from algosat.domain.reason_codes import EngineCode
from algosat.domain.risk import Denial, DenialCode
from algosat.engine.budget import Budget
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.sender import Sender, is_late, longest_wait
from algosat.engine.workers import THREADS_FOR_EXITS, Workers
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.rows import order_from
from algosat.store.tables import CREATED_STATUS, LATER_SLICE, events, orders
from algosat.trading import halts, order_alerts, place
from algosat.trading.apply_report import cause_of, tracked
from algosat.trading.desk import Desk
from algosat.trading.halts import Halt

_PAGE: Final = 10  # created orders read at a time; no fewer than there are threads to send them
_BUSY_SECONDS: Final = 0.02  # before the next round: a permit or a thread becomes free soon
# So long before its deadline, a waiting order is rejected with the reason why it waited.
_LAST_ROUND: Final = timedelta(seconds=1)
_BLOCKED_SECONDS: Final = 0.25  # the broker is unavailable, or another order is `unknown`
_IS_CREATED = (text(CREATED_STATUS), orders.c.account == bindparam("account"))
_IS_REGULAR, _WAITS = orders.c.send_at.is_(None), orders.c.send_at.is_not(None)
# Exits first. Slices of an entry come last: the many requests that they need do not delay other orders.
_RANK: ColumnElement[int] = case(
    (orders.c.reduce_only, literal_column("0")),
    (orders.c.slice_of.is_(None), literal_column("1")),
    else_=literal_column("2"),
)
_AFTER_RANK: BindParameter[int] = bindparam("rank", type_=Integer)
_CREATED = Prepared(
    select(orders, _RANK.label("rank"))
    .where(
        *_IS_CREATED,
        _IS_REGULAR,
        or_(_RANK > _AFTER_RANK, and_(_RANK == _AFTER_RANK, orders.c.seq > bindparam("after"))),
    )
    .order_by(_RANK, orders.c.seq)
    .limit(_PAGE)
)
_DUE = Prepared(
    select(orders)
    .where(*_IS_CREATED, orders.c.send_at <= bindparam("at"))
    .order_by(orders.c.send_at, orders.c.seq)
)
# Each is one search in the index, however many orders wait for their market to open.
_ANY_CREATED = Prepared(
    select(
        select(orders.c.seq).where(*_IS_CREATED, _IS_REGULAR).limit(1).scalar_subquery().label("regular"),
        select(func.min(orders.c.send_at)).where(*_IS_CREATED, _WAITS).scalar_subquery().label("send_at"),
    )
)
# The slices of an order have one time of creation: with it they are found in an index.
_LATER_SLICES = select(orders.c.id).where(
    orders.c.account == bindparam("account"),
    orders.c.created_at == bindparam("created_at"),
    orders.c.slice_of == bindparam("first"),
    text(LATER_SLICE),
)
_LAST_SLICE_SENT_AT = Prepared(
    select(func.max(events.c.at).label("at")).where(
        events.c.kind == EventKind.SUBMITTING.value,
        or_(events.c.subject == bindparam("first"), events.c.subject.in_(_LATER_SLICES)),
    )
)
# Denials at the opening that are likely to pass: an after-market order waits for that until its deadline.
_PASSES_SOON: Final = frozenset({DenialCode.MARKET_CLOSED, DenialCode.NO_QUOTE, DenialCode.STALE_QUOTE})
_UNKNOWN = Prepared(
    select(orders.c.strategy, orders.c.symbol).where(
        orders.c.status == Status.UNKNOWN.value, orders.c.account == bindparam("account")
    )
)

Fence = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class CreatedOrders:
    """Whether any orders are `created`."""

    regular: bool  # some that are sent at once
    send_at: datetime | None  # the first time at which an after-market order is sent


@dataclass(frozen=True, slots=True)
class _Availability:
    """Whether orders can be sent to the broker now: exits are tried while entries wait."""

    takes_exits: bool
    takes_entries: bool
    why_not: str  # the reason why entries wait

    def takes(self, order: Order) -> bool:
        return self.takes_exits if order.terms.reduce_only else self.takes_entries


@dataclass(frozen=True, slots=True)
class _Batch:
    to_send: list[Order]
    ended: list[Order]  # rejected, or cancelled before they were sent
    retry_in: float | None  # seconds, if some orders wait


class Router:
    """Sends created orders once each: exits first, then the oldest."""

    def __init__(
        self,
        desk: Desk,
        broker: GuardedBroker,
        sender: Sender,
        budget: Budget,
        workers: Workers,
        deadline: timedelta,
        fence: Fence,
        is_reconciled: Callable[[], bool],
    ) -> None:
        """Build a router.

        Args:
            workers: Run the broker calls.
            deadline: The greatest age at which an order is sent.
            fence: Raises NotLeading unless this engine leads.
            is_reconciled: Whether the broker's order book has been read. It may hold orders of ours that a
                restored store does not know to be sent, and these must not be sent twice.
        """
        self._desk, self._broker, self._sender = desk, broker, sender
        self._budget, self._workers = budget, workers
        self._deadline = deadline
        self._fence, self._is_reconciled = fence, is_reconciled
        self._some_wait = False
        self._paced_at: datetime | None = None  # when the rate limits last kept an order back

    def created(self, connection: Connection) -> CreatedOrders:
        """Return whether any orders are `created`. If there are none to send, a round writes nothing."""
        row = _ANY_CREATED.first(connection, account=self._desk.account)
        return CreatedOrders(row.regular is not None, row.send_at)

    def step(self, created: CreatedOrders) -> float | None:
        """Send the orders that may be sent now.

        Returns the seconds to wait before the next round, or None if no order waits.
        """
        self._sender.mark_hung_unknown()
        self._resend(self._sender.due_resends())
        retry_in = _BLOCKED_SECONDS if self._sender.has_resends else None
        opens_in = None if created.send_at is None else (created.send_at - self._desk.clock()).total_seconds()
        is_due = opens_in is not None and opens_in <= 0
        if not created.regular and not is_due:
            return min((wait for wait in (retry_in, opens_in) if wait is not None), default=None)
        available = self._availability()  # before the unit of work: an adapter that hangs must not hold it
        batch = self._desk.writer.run(lambda connection: self._decide(connection, available, due=is_due))
        self._some_wait = batch.retry_in is not None
        for order in batch.ended:
            self._desk.notify_web(order.id)
        for order in batch.to_send:
            self._dispatch(order)
        return batch.retry_in or retry_in

    def stop(self) -> None:
        """Reject the orders that wait to be resent."""
        self._sender.reject_resends()

    def _dispatch(self, order: Order) -> None:
        def send() -> None:
            self._sender.send(order)
            if self._some_wait:
                self._desk.wake_engine()

        self._workers.run(send)

    def _resend(self, due: list[Order]) -> None:
        if not due:
            return
        batch = self._desk.writer.run(lambda connection: self._decide_resends(connection, due))
        self._sender.drop_resends(batch.to_send)
        self._sender.end_resends(batch.ended)
        for order in batch.ended:
            self._desk.notify_web(order.id)
        for order in batch.to_send:
            self._dispatch(order)

    def _decide_resends(self, connection: Connection, due: list[Order]) -> _Batch:
        """Decide on each order to resend, within one unit of work.

        A halt, a cancel, a lost lead or a pause counts for the second attempt as for the first.
        """
        self._fence(connection)
        to_send: list[Order] = []
        ended: list[Order] = []
        in_force = halts.before_sending(connection, self._desk)
        for each in due:
            order, cause = tracked(connection, each.id)
            event = self._why_not_resent(connection, order, in_force)
            if event is not None:
                events = [event] if may_happen(order, event.kind) else []
                ended.append(ledger.record_all(connection, order, events, cause, self._desk.books))
                order_alerts.after_events(connection, self._desk, order, events, cause)
            elif self._has_thread(order, len(to_send)) and self._has_permit(order):
                to_send.append(order)
        return _Batch(to_send, ended, None)

    def _decide(self, connection: Connection, available: _Availability, *, due: bool) -> _Batch:
        """Decide on each created order, and commit as `submitting` those that are sent now.

        `due`: also on the after-market orders whose market has opened.

        No more are committed than can be sent at once: if the engine is killed, they remain `submitting`, and
        the next engine has to search for each at the broker.
        """
        self._fence(connection)
        to_send: list[Order] = []
        rejected: list[Order] = []
        retry_in: float | None = None
        in_force, unknown = halts.before_sending(connection, self._desk), self._unknown(connection)
        for row in self._created(connection, due=due):
            order, cause = order_from(row), cause_of(row)
            # The gate has counted the unknown order against the position, so an exit cannot flip it.
            blocked = not row.reduce_only and (row.strategy, row.symbol) in unknown
            is_taken = available.takes(order)
            why_not = "" if is_taken else available.why_not
            event = self._why_not_sent(connection, order, in_force, why_not, blocked=blocked)
            if event is None and order.terms.is_after_market and is_taken and not blocked:
                order, event, blocked = self._judge_again(connection, order, cause)
            if event is not None:
                rejected.append(ledger.record(connection, order, event, cause, self._desk.books))
                order_alerts.after_events(connection, self._desk, order, [event], cause)
            elif not is_taken or blocked:
                retry_in = retry_in or _BLOCKED_SECONDS
            elif self._has_thread(order, len(to_send)) and self._has_permit(order):
                event = OrderEvent(EventKind.SUBMITTING, self._desk.clock())
                to_send.append(ledger.record(connection, order, event, cause, self._desk.books))
            else:
                if not self._budget.has_room(self._desk.clock()):
                    self._paced_at = self._desk.clock()
                retry_in = _BUSY_SECONDS
                break  # younger orders would find no permit or thread either
        return _Batch(to_send, rejected, retry_in)

    def _why_not_sent(
        self,
        connection: Connection,
        order: Order,
        in_force: list[Halt],
        unavailable: str = "",
        *,
        blocked: bool = False,
    ) -> OrderEvent | None:
        """Return the rejection of an order that has not been sent, or None if it may still be sent.

        Args:
            unavailable: Why the broker does not take the order now; empty if it does.
            blocked: The order waits for one of its strategy and symbol that is `unknown`.
        """
        at = self._desk.clock()
        covering = [halt for halt in in_force if halt.covers(order.terms.strategy)]
        if covering and not order.terms.reduce_only:
            return OrderEvent(EventKind.REJECTED, at, EngineCode.HALTED_BEFORE_SENDING, covering[0].reason)
        if not is_late(order, at, self._deadline) or self._is_slice_in_time(connection, order, at):
            return None
        if not unavailable:
            longest = longest_wait(order, self._deadline)
            reason = f"the order could not be sent within {longest.total_seconds():g} s"
            if blocked:
                reason += f": the outcome of another order for {order.terms.symbol} is not known yet"
            return OrderEvent(EventKind.REJECTED, at, EngineCode.SEND_DEADLINE, reason)
        return OrderEvent(EventKind.REJECTED, at, EngineCode.BROKER_UNAVAILABLE, unavailable)

    def _why_not_resent(
        self, connection: Connection, order: Order, in_force: list[Halt]
    ) -> OrderEvent | None:
        """Return the end of an order whose first request was not sent, or None if it may be resent."""
        if order.pending is PendingRequest.PENDING_CANCEL:
            return OrderEvent(EventKind.CANCELLED, self._desk.clock(), reason="cancelled before it was sent")
        if order.status is not Status.SUBMITTING:
            reason = "the order was not sent, and this became known too late to send it again"
            return OrderEvent(EventKind.REJECTED, self._desk.clock(), EngineCode.SEND_DEADLINE, reason)
        return self._why_not_sent(connection, order, in_force)

    def _is_slice_in_time(self, connection: Connection, order: Order, at: datetime) -> bool:
        """Return whether an old order is a slice whose turn came within the deadline, or has not come yet.

        Its turn comes when the slice before it has been sent and the rate limits permit another request.
        """
        first = order.terms.slice_of
        if first is None or order.status is not Status.CREATED:
            return False
        if not self._budget.has_room(at):
            return True
        sent_at = _LAST_SLICE_SENT_AT.scalar(
            connection, account=order.terms.account, created_at=order.created_at, first=first
        )
        turns = [came for came in (sent_at, self._paced_at) if came is not None]
        return any(abs(at - came) <= self._deadline for came in turns)

    def _judge_again(
        self, connection: Connection, order: Order, cause: Cause
    ) -> tuple[Order, OrderEvent | None, bool]:
        """Check an after-market order against the market that has opened.

        Returns the order with its new protection price, its rejection if there is one, and whether it must
        wait longer because its market has no price yet or briefly takes no orders.
        """
        outcome = place.judge_again(connection, self._desk, order, cause)
        if not isinstance(outcome, Denial):
            if outcome.prices == order.terms.prices:
                return order, None, False
            event = OrderEvent(EventKind.MODIFIED, self._desk.clock(), change=outcome)
            return ledger.record(connection, order, event, cause, self._desk.books), None, False
        now = self._desk.clock()
        if outcome.code in _PASSES_SOON and not is_late(order, now + _LAST_ROUND, self._deadline):
            return order, None, True
        return order, OrderEvent(EventKind.REJECTED, now, outcome.code, outcome.detail), False

    def _has_permit(self, order: Order) -> bool:
        """Take a permit to send the order, if there is one. The day's quota does not block exits."""
        kind = CallKind.EXIT if order.terms.reduce_only else CallKind.ORDER
        return self._budget.try_acquire(kind, self._desk.clock())

    def _created(self, connection: Connection, *, due: bool) -> Iterator[Any]:
        """Read created orders: exits, then other orders, then slices of entries, each oldest first.

        They are read page by page, so that blocked orders do not delay those behind them.
        """
        after, rank, number = 0, 0, _PAGE
        while number == _PAGE:
            number = 0
            for row in _CREATED.each(connection, account=self._desk.account, after=after, rank=rank):
                after, rank, number = row.seq, row.rank, number + 1
                yield row
        if due:
            yield from _DUE.each(connection, account=self._desk.account, at=self._desk.clock())

    def _has_thread(self, order: Order, taken: int) -> bool:
        """Return whether a thread is free to send the order. Entries leave some to exits."""
        kept = 0 if order.terms.reduce_only else THREADS_FOR_EXITS
        return taken < self._workers.free() - kept

    def _availability(self) -> _Availability:
        if not self._is_reconciled():
            return _Availability(False, False, "the broker's order book has not been read")
        session = self._broker.session()
        takes_exits = session.active or self._broker.session_of_exits().active
        return _Availability(takes_exits, session.active, session.detail or session.state.value)

    def _unknown(self, connection: Connection) -> set[tuple[str, str]]:
        """Return strategy and symbol of every `unknown` order. Other entries of these wait."""
        rows = _UNKNOWN.all(connection, account=self._desk.account)
        return {(row.strategy, row.symbol) for row in rows}
