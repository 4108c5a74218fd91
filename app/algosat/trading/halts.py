"""Halts, the kill switch: rows that the gate and the engine obey. They need no broker and persist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import Connection, delete, func, insert, select

from algosat.domain.arming import Arming
from algosat.domain.closing import CloseReason
from algosat.domain.orders import Order
from algosat.domain.scope import ACCOUNT, IN_HALTS, Scope
from algosat.errors import NotFound, StoreBusy, StoreDamaged
from algosat.store import audit, machines
from algosat.store.audit import Cause
from algosat.store.emergency_journal import EmergencyJournal, Record, RecordKind
from algosat.store.prepared import Prepared
from algosat.store.tables import halts, orders, strategies
from algosat.store.writer import after_commit, part
from algosat.trading import arming, cancel, close
from algosat.trading.close import PositionFilter
from algosat.trading.close_follow import Followed
from algosat.trading.desk import Desk

_log = structlog.get_logger(__name__)
_ALL_HALTS = Prepared(select(halts).order_by(halts.c.at))


@dataclass(frozen=True, slots=True)
class Halt:
    """A halt in force."""

    scope: Scope
    at: datetime
    actor: str
    reason: str
    flatten: bool  # the engine closes positions until none is left
    cancels_up_to: int | None = None  # number of the newest order the halt cancels; None: it cancels none

    def covers(self, strategy: str | None) -> bool:
        """Return whether the halt applies to orders and positions of the strategy."""
        return self.scope.covers(strategy)

    def cancels(self, order: Order, number: int) -> bool:
        """Return whether this halt cancels the order. Reduce-only orders placed after the halt are kept.

        Orders are compared by their number in the store, since a clock may be put back.
        """
        if self.cancels_up_to is None or not self.covers(order.terms.strategy):
            return False
        return number <= self.cancels_up_to or not order.terms.reduce_only


def halt_trading(
    desk: Desk,
    cause: Cause,
    reason: str,
    *,
    scope: Scope = ACCOUNT,
    cancel_orders: bool = True,
    flatten: bool = False,
    others: Sequence[Desk] = (),
) -> Halt:
    """Halt all trading, one account's or one strategy's. Returns once no new order can pass.

    The halt and the cancel requests for working orders are one commit, so that no crash comes between them;
    if cancelling fails, the halt is stored all the same. Then positions are closed if `flatten` is set. The
    engine retries what cannot be cancelled or closed now, until trading is resumed.

    A halt that the store refuses is recorded in the emergency journal, and holds when the store is back.

    Args:
        others: The desks of the other accounts in the scope.

    Raises NotFound for an unknown strategy.
    """
    wanted, desks = Halt(scope, desk.clock(), cause.actor, reason, flatten), (desk, *others)
    try:
        halt, cancelled, failure = desk.writer.run(
            lambda connection: _store_and_cancel(connection, desks, wanted, cause, cancel_orders),
            timeout=cancel.EMERGENCY_AFTER,
        )
    except (StoreBusy, StoreDamaged) as error:
        return record_refused(desk, desks, wanted, cause, error, cancel_orders=cancel_orders)
    for each in desks:
        each.wake_engine()
    for order in cancelled:
        desk.notify_web(order.id)
    if failure is not None:
        raise failure
    for each in desks if flatten else ():
        close_halted(each, halt, cause)
        each.wake_engine()
    return halt


def close_halted(desk: Desk, halt: Halt, cause: Cause) -> None:
    """Close positions that the halt covers and no close covers yet, unless the halt has been lifted.

    An empty book costs no write.
    """
    chosen = PositionFilter(strategy=halt.scope.strategy)
    with desk.database.read() as connection:
        if not close.uncovered(connection, desk, chosen):
            return

    def unit(connection: Connection) -> Followed:
        if not any(each.flatten and each.scope == halt.scope for each in all_in_force(connection)):
            return Followed()
        lines = close.uncovered(connection, desk, chosen)
        return close.close_lines(connection, desk, cause, CloseReason.HALT, chosen, lines)

    desk.writer.run(unit).notify(desk)


def resume_trading(desk: Desk, cause: Cause, *, scope: Scope = ACCOUNT, others: Sequence[Desk] = ()) -> bool:
    """Let orders of the scope pass again. Returns whether the scope was halted.

    Closes that the halt opened are stopped; their working exits stay. Raises Conflict for the scope of all
    accounts while the store must be adopted first.
    """

    desks = (desk, *others)

    def unit(connection: Connection) -> bool:
        if scope == ACCOUNT:
            machines.require_adopted(connection)
        return lift(connection, desks, scope, cause)

    was_halted = desk.writer.run(unit)
    for each in desks:
        each.wake_engine()
    return was_halted


def begin(
    connection: Connection, desk: Desk, wanted: Halt, cause: Cause, *, cancel_orders: bool = True
) -> Halt:
    """Store a halt and request the cancels of the working orders, in the caller's unit of work.

    The engine retries the cancels that fail now.
    """
    halt, _, failure = _store_and_cancel(connection, (desk,), wanted, cause, cancel_orders)
    if failure is not None:
        _log.error("halt_cancels_failed", scope=halt.scope.name(IN_HALTS), exc_info=failure)
        after_commit(connection, partial(desk.errors.record, failure, "halt", cause=cause))
    return halt


def lift(connection: Connection, desks: Sequence[Desk], scope: Scope, cause: Cause) -> bool:
    """End a halt and its closes, in the caller's unit of work. Returns whether the scope was halted."""
    was_halted = _delete(connection, scope)
    if was_halted:
        for desk in desks:
            close.stop_halted(connection, desk, scope, cause)
        audit.append(connection, desks[0].clock(), "risk.resumed", scope.name(IN_HALTS), cause, {})
    return was_halted


def record(
    journal: EmergencyJournal,
    scope: Scope,
    at: datetime,
    cause: Cause,
    reason: str,
    *,
    cancel: bool,
    flatten: bool,
) -> None:
    """Record a halt in the emergency journal. Raises StoreBusy if that fails, too."""
    data = {"scope": scope.name(IN_HALTS), "reason": reason, "cancel_orders": cancel, "flatten": flatten}
    journal.append(RecordKind.HALT, at, cause, data)


def recorded(connection: Connection, desk: Desk) -> list[Halt]:
    """Return the halts of the emergency journal that the store has not taken yet."""
    records = [] if desk.journal is None else desk.journal.unmerged(connection)
    return [_recorded(each) for each in records if each.kind is RecordKind.HALT]


def store_recorded(connection: Connection, desks: Sequence[Desk], recorded: Record) -> None:
    """Store a halt of the emergency journal, in the caller's unit of work. Raises NotFound."""
    wanted, cause = _recorded(recorded), recorded.cause
    cancel_orders = recorded.data["cancel_orders"]
    _, _, failure = _store_and_cancel(connection, desks, wanted, cause, cancel_orders)
    if failure is not None:  # the engine cancels the orders in its next round
        _log.error("halt_cancels_failed", scope=recorded.data["scope"], exc_info=failure)


def _recorded(record: Record) -> Halt:
    scope = Scope.named(record.data["scope"], IN_HALTS)
    return Halt(scope, record.at, record.cause.actor, record.data["reason"], record.data["flatten"])


def record_refused(
    desk: Desk,
    desks: Sequence[Desk],
    wanted: Halt,
    cause: Cause,
    refusal: Exception,
    *,
    cancel_orders: bool = True,
) -> Halt:
    """Record a halt that the store has refused. Raises the refusal without a journal, and NotFound."""
    if desk.journal is None:
        raise refusal
    with desk.database.read() as connection:
        require_known(connection, wanted.scope)
    record(
        desk.journal,
        wanted.scope,
        wanted.at,
        cause,
        wanted.reason,
        cancel=cancel_orders,
        flatten=wanted.flatten,
    )
    for each in desks:
        each.wake_engine()
    return wanted


def in_force(connection: Connection, account: str) -> list[Halt]:
    """Return the halts in force that apply to an account, oldest first."""
    return [halt for halt in all_in_force(connection) if halt.scope.is_of(account)]


def known(connection: Connection, desk: Desk) -> list[Halt]:
    """Return the halts that apply to an account, with those of the emergency journal."""
    return [*in_force(connection, desk.account), *_recorded_for(connection, desk)]


def _recorded_for(connection: Connection, desk: Desk) -> list[Halt]:
    return [halt for halt in recorded(connection, desk) if halt.scope.is_of(desk.account)]


def before_sending(connection: Connection, desk: Desk) -> list[Halt]:
    """Return the halts that apply to orders of the account that are about to be sent.

    An account that was disarmed after the gate had passed an order counts as halted.
    """
    found = in_force(connection, desk.account)
    if arming.arming(connection, desk) is not Arming.ARMED:
        reason = "the account is not armed"
        found.append(Halt(Scope(account=desk.account), desk.clock(), "engine", reason, flatten=False))
    return found


def all_in_force(connection: Connection) -> list[Halt]:
    """Return the halts in force of all accounts, oldest first."""
    rows = (row._asdict() for row in _ALL_HALTS.all(connection))
    return [Halt(**{**row, "scope": Scope.named(row["scope"], IN_HALTS)}) for row in rows]


def reasons(connection: Connection, desk: Desk, strategy: str | None) -> tuple[str, ...]:
    """Return why a strategy (None: orders placed by hand) may not open positions now; empty if it may.

    Halts of the emergency journal count, too, and an account that is not armed.
    """
    known = [*before_sending(connection, desk), *_recorded_for(connection, desk)]
    return tuple(f"{halt.reason} ({halt.scope.name(IN_HALTS)})" for halt in known if halt.covers(strategy))


def _store_and_cancel(
    connection: Connection, desks: Sequence[Desk], wanted: Halt, cause: Cause, cancel_orders: bool
) -> tuple[Halt, list[Order], Exception | None]:
    """Store the halt. Returns it with the orders being cancelled and the error that kept them from it."""
    require_known(connection, wanted.scope)
    halt = _store(connection, wanted, cause, cancel_orders)
    if not cancel_orders:
        return halt, [], None
    try:
        with part(connection):
            found = [order for desk in desks for order in _cancel(connection, desk, cause, halt)]
            return halt, found, None
    except Exception as error:  # noqa: BLE001 - raised again once the halt is on disk
        return halt, [], error


def require_known(connection: Connection, scope: Scope) -> None:
    """Check that the strategy exists: a halt with a misspelt scope would stop nothing. Raises NotFound."""
    if scope.strategy is None:
        return
    defined = select(strategies.c.name).where(strategies.c.name == scope.strategy)
    traded = select(orders.c.strategy).where(orders.c.strategy == scope.strategy).limit(1)
    if all(connection.execute(statement).first() is None for statement in (defined, traded)):
        raise NotFound(
            f"no strategy {scope.strategy!r} is known, so nothing has changed; "
            f"the scope of all accounts is {IN_HALTS!r}"
        )


def _store(connection: Connection, wanted: Halt, cause: Cause, cancel_orders: bool) -> Halt:
    """Store the halt; it keeps what an earlier halt of the same scope asked for."""
    if cancel_orders or wanted.flatten:  # working orders would stand in the way of closing
        wanted = replace(wanted, cancels_up_to=_newest_order(connection))
    for earlier in all_in_force(connection):
        if earlier.scope == wanted.scope:
            flatten = wanted.flatten or earlier.flatten
            up_to = wanted.cancels_up_to or earlier.cancels_up_to
            wanted = replace(wanted, flatten=flatten, cancels_up_to=up_to)
    name = wanted.scope.name(IN_HALTS)
    _delete(connection, wanted.scope)
    row = {field: getattr(wanted, field) for field in Halt.__slots__}
    connection.execute(insert(halts), {**row, "scope": name})
    data = {
        "reason": wanted.reason,
        "cancel_orders": cancel_orders,
        "flatten": wanted.flatten,
        "cancels_up_to": wanted.cancels_up_to,
    }
    audit.append(connection, wanted.at, "risk.halted", name, cause, data)
    return wanted


def _cancel(connection: Connection, desk: Desk, cause: Cause, halt: Halt) -> list[Order]:
    return cancel.request_all(connection, desk, cause, lambda order: halt.covers(order.terms.strategy))


def _newest_order(connection: Connection) -> int:
    return connection.execute(select(func.max(orders.c.seq))).scalar() or 0


def _delete(connection: Connection, scope: Scope) -> bool:
    """Delete the halt of the scope. Returns whether there was one."""
    return connection.execute(delete(halts).where(halts.c.scope == scope.name(IN_HALTS))).rowcount > 0
