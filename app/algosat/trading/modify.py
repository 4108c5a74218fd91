"""Modify an order: the gate checks the new terms, and the engine sends the request to the broker.

An after-market order that waits for its market to open is modified at once.
"""

from __future__ import annotations

from sqlalchemy import Connection

from algosat.domain.orders import (
    EventKind,
    ModifyRequest,
    Order,
    OrderChange,
    OrderEvent,
    Status,
    modification,
)
from algosat.domain.risk import Denial, DenialCode
from algosat.errors import Denied
from algosat.store import audit, history, ledger
from algosat.store.audit import Cause
from algosat.trading import exit_alerts, risk_snapshot
from algosat.trading.desk import Desk


def modify_order(desk: Desk, order_id: str, changes: ModifyRequest, cause: Cause) -> Order:
    """Request new terms for an order. They apply once the broker has confirmed them.

    Raises NotFound, IllegalTransition or Conflict when the order cannot be changed now, Denied when the gate
    denies the new terms. The order then stays as it is.
    """

    def unit(connection: Connection) -> Order | Denial:
        order = ledger.get(connection, order_id)
        return request(connection, desk, order, changes.of(order.terms), cause)

    outcome = desk.writer.run(unit)
    if isinstance(outcome, Denial):
        raise Denied(outcome.detail, code=outcome.code)
    desk.wake_engine()
    desk.notify_web(order_id)
    return outcome


def request(
    connection: Connection, desk: Desk, order: Order, change: OrderChange, cause: Cause
) -> Order | Denial:
    """Request a change within the caller's unit of work. A denial is recorded in the audit trail.

    Raises IllegalTransition or Conflict when the order cannot be changed now.
    """
    modification.require_changeable(order, change, desk.clock())
    remaining = modification.remaining_terms(order, change)
    snapshot = risk_snapshot.read_snapshot(connection, desk, remaining, desk.clock(), replacing=order.id)
    outcome = _beyond_last(connection, desk, order) or modification.judge(remaining, change, snapshot)
    if isinstance(outcome, Denial):
        data = {"code": outcome.code, "reason": outcome.detail}
        audit.append(connection, desk.clock(), "risk.change_denied", order.id, cause, data)
        if order.terms.reduce_only:
            exit_alerts.after_gate(connection, desk, remaining, outcome, snapshot, cause)
        return outcome
    # The broker does not know an order that waits for its market to open.
    kind = EventKind.MODIFIED if order.status is Status.CREATED else EventKind.MODIFY_REQUESTED
    event = OrderEvent(kind, desk.clock(), change=outcome)
    return ledger.record(connection, order, event, cause, desk.books)


def _beyond_last(connection: Connection, desk: Desk, order: Order) -> Denial | None:
    """Return the denial of a modification that the broker would refuse, since the order has had too many."""
    largest = desk.capabilities.max_modifications if desk.capabilities else None
    if largest is None or order.status is Status.CREATED:
        return None
    requested = history.number_of(connection, order.id, EventKind.MODIFY_REQUESTED)
    if requested < largest:
        return None
    return Denial(
        DenialCode.NOT_SUPPORTED,
        f"the broker takes at most {largest} modifications of an order: cancel it, and place another",
    )
