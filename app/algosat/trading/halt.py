"""The kill switch. It needs no broker: it is a row that the gate and the engine obey."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, select

from algosat.domain.orders import Order
from algosat.errors import NotFound
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.tables import orders, strategies
from algosat.store.writer import part
from algosat.trading import cancel, close, halts
from algosat.trading.desk import Desk
from algosat.trading.halts import ALL, Halt


def halt_trading(
    desk: Desk,
    cause: Cause,
    reason: str,
    *,
    scope: str = ALL,
    cancel_orders: bool = True,
    flatten: bool = False,
) -> Halt:
    """Stop all trading, or one strategy's. Returns once nothing new can pass.

    Whoever finds it halted may rely on it that working orders are being cancelled: both are one commit,
    so that no crash comes between. Should cancelling fail, the halt stands all the same. Then, if asked,
    positions are closed. What cannot be cancelled or closed now, the engine goes on with until the halt is
    lifted.

    Raises NotFound for a strategy that nobody knows.
    """
    order = Halt(scope, desk.clock(), cause.actor, reason, flatten)
    put, cancelled, trouble = desk.writer.run(
        lambda connection: _put_and_cancel(connection, desk, order, cause, cancel_orders)
    )
    desk.wake_engine()
    for each in cancelled:
        desk.tell_web(each.id)
    if trouble is not None:
        raise trouble
    if flatten:
        desk.writer.run(
            lambda connection: close.exits(connection, desk, cause, lambda line: order.covers(line.strategy))
        )
    desk.wake_engine()
    return put


def resume_trading(desk: Desk, cause: Cause, *, scope: str = ALL) -> bool:
    """Let orders pass again. Whether it was halted at all."""

    def unit(connection: Connection) -> bool:
        lifted = halts.lift(connection, scope)
        if lifted:
            audit.append(connection, desk.clock(), "risk.resumed", scope, cause, {})
        return lifted

    lifted = desk.writer.run(unit)
    desk.wake_engine()
    return lifted


def _require_known(connection: Connection, scope: str) -> None:
    """A halt whose scope was misspelt would stop nothing, and look as if it did."""
    if scope == ALL:
        return
    defined = select(strategies.c.name).where(strategies.c.name == scope)
    traded = select(orders.c.strategy).where(orders.c.strategy == scope).limit(1)
    if all(connection.execute(statement).first() is None for statement in (defined, traded)):
        raise NotFound(
            f"no strategy {scope!r} is known, so nothing is halted; the scope of everything is {ALL!r}"
        )


def _put(connection: Connection, wanted: Halt, cause: Cause, cancel_orders: bool) -> Halt:
    if cancel_orders or wanted.flatten:  # what works is in the way of closing
        wanted = replace(wanted, cancels_up_to=halts.last_order(connection))
    # Whoever halts what is halted already does not call off what the first one asked for.
    for each in halts.in_force(connection):
        if each.scope == wanted.scope:
            flatten, up_to = wanted.flatten or each.flatten, wanted.cancels_up_to or each.cancels_up_to
            wanted = replace(wanted, flatten=flatten, cancels_up_to=up_to)
    halts.put(connection, wanted)
    data = {"reason": wanted.reason, "cancel_orders": cancel_orders, "flatten": wanted.flatten}
    audit.append(connection, wanted.at, "risk.halted", wanted.scope, cause, data)
    return wanted


def _put_and_cancel(
    connection: Connection, desk: Desk, wanted: Halt, cause: Cause, cancel_orders: bool
) -> tuple[Halt, list[Order], Exception | None]:
    """The halt as it was put, the orders that are cancelled, and what kept them from being."""
    _require_known(connection, wanted.scope)
    put = _put(connection, wanted, cause, cancel_orders)
    if not cancel_orders:
        return put, [], None
    try:
        with part(connection):
            return put, _cancel(connection, desk, cause, put), None
    except Exception as error:  # noqa: BLE001 - raised again once the halt is on disk
        return put, [], error


def _cancel(connection: Connection, desk: Desk, cause: Cause, order: Halt) -> list[Order]:
    return cancel.request_all(connection, desk, cause, lambda working: order.covers(working.terms.strategy))
