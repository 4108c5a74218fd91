"""Rows of linked exits and of the orders that belong to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select, text, type_coerce, update

from algosat.domain.decimals import ZERO
from algosat.domain.linked_exits import ExitOutcome, ExitPrices, ExitState, LinkedExit, LinkedRole
from algosat.domain.orders import Product, Side
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.tables import ACTIVE_EXIT, linked_exits, linked_orders, orders
from algosat.store.types import Scaled

_PRICES: Final = tuple(each.name for each in fields(ExitPrices))
_STATE: Final = (
    "quantity", "entered", "order_id", "state", "changes", "attempts", "next_at", "outcome",
    "version", "updated_at",
)  # fmt: skip
_ACTIVE = Prepared(
    select(linked_exits)
    .where(linked_exits.c.account == bindparam("account"), text(ACTIVE_EXIT))
    .order_by(linked_exits.c.id)
)
_BY_ID = Prepared(select(linked_exits).where(linked_exits.c.id == bindparam("exit_id")))
_OF_ORDER = Prepared(
    select(linked_exits)
    .join(linked_orders, linked_orders.c.exit_id == linked_exits.c.id)
    .where(linked_orders.c.order_id == bindparam("order_id"))
)
_ORDERS = Prepared(
    select(linked_orders.c.order_id, linked_orders.c.role)
    .join(orders, orders.c.id == linked_orders.c.order_id)
    .where(linked_orders.c.exit_id == bindparam("exit_id"))
    .order_by(orders.c.seq)
)
_EXITED = Prepared(
    select(type_coerce(func.sum(orders.c.filled_quantity), Scaled).label("exited"))
    .join(linked_orders, linked_orders.c.order_id == orders.c.id)
    .where(linked_orders.c.exit_id == bindparam("exit_id"), linked_orders.c.role != LinkedRole.ENTRY.value)
)
_ADD = Prepared(insert(linked_exits), linked_exits.c.keys())
_LINK = Prepared(insert(linked_orders), linked_orders.c.keys())
_UPDATE = Prepared(update(linked_exits).where(linked_exits.c.id == bindparam("exit_id")), (*_PRICES, *_STATE))


def active(connection: Connection, account: str) -> list[LinkedExit]:
    """Return the linked exits of an account that have not ended."""
    return [_from(row) for row in _ACTIVE.all(connection, account=account)]


def get(connection: Connection, exit_id: str) -> LinkedExit | None:
    row = _BY_ID.first(connection, exit_id=exit_id)
    return None if row is None else _from(row)


def of_order(connection: Connection, order_id: str) -> LinkedExit | None:
    """Return the linked exit that an order belongs to, whatever its role."""
    row = _OF_ORDER.first(connection, order_id=order_id)
    return None if row is None else _from(row)


def orders_of(connection: Connection, exit_id: str) -> list[tuple[str, LinkedRole]]:
    """Return ids and roles of the orders of a linked exit, oldest first."""
    return [(row.order_id, LinkedRole(row.role)) for row in _ORDERS.all(connection, exit_id=exit_id)]


def links_of(connection: Connection, order_ids: Iterable[str]) -> dict[str, tuple[str, LinkedRole]]:
    """Return the linked exit and role of each of these orders that has one."""
    statement = select(linked_orders).where(linked_orders.c.order_id.in_(list(order_ids)))
    return {row.order_id: (row.exit_id, LinkedRole(row.role)) for row in connection.execute(statement)}


def exited(connection: Connection, exit_id: str) -> Decimal:
    """Return the filled quantity of all stops and targets of a linked exit."""
    return _EXITED.scalar(connection, exit_id=exit_id) or ZERO


def add(connection: Connection, new: LinkedExit, cause: Cause) -> LinkedExit:
    """Store a new linked exit with the order it begins with."""
    _ADD.run(connection, {**_values(new), "actor": cause.actor, "correlation_id": cause.correlation_id})
    audit.append(connection, new.created_at, "linked_exit.created", new.id, cause, _data(new))
    return new


def link(connection: Connection, exit_id: str, order_id: str, role: LinkedRole) -> None:
    """Add an order to a linked exit."""
    _LINK.run(connection, {"order_id": order_id, "exit_id": exit_id, "role": role.value})


def put(
    connection: Connection, before: LinkedExit, after: LinkedExit, at: datetime, cause: Cause
) -> LinkedExit:
    """Store a changed linked exit, and its change in the audit trail. Returns it with its new version."""
    if after == before:
        return before
    after = replace(after, version=before.version + 1, updated_at=at)
    values = _values(after)
    _UPDATE.run(connection, {"exit_id": after.id, **{name: values[name] for name in (*_PRICES, *_STATE)}})
    kind = "linked_exit.changed" if after.is_active else "linked_exit.ended"
    known = _data(before)
    data = {name: value for name, value in _data(after).items() if value != known.get(name)}
    audit.append(connection, at, kind, after.id, cause, data)
    return after


def cause_of(connection: Connection, exit_id: str, actor: str) -> Cause:
    """Return the cause to record for the engine's actions on a linked exit: the request that placed it."""
    return Cause(actor, _BY_ID.first(connection, exit_id=exit_id).correlation_id)


def end(
    connection: Connection, ended: LinkedExit, outcome: ExitOutcome, at: datetime, cause: Cause
) -> LinkedExit:
    """Store that a linked exit has ended. It cannot become active again."""
    if not ended.is_active:
        return ended
    return put(connection, ended, replace(ended, state=ExitState.ENDED, outcome=outcome), at, cause)


def _values(of: LinkedExit) -> dict[str, Any]:
    values = {each.name: getattr(of, each.name) for each in fields(of) if each.name != "prices"}
    return {
        **values,
        **{name: getattr(of.prices, name) for name in _PRICES},
        "strategy": of.strategy or "",
        "product": of.product.value,
        "side": of.side.value,
        "state": of.state.value,
        "outcome": of.outcome.value if of.outcome else None,
    }


def _data(of: LinkedExit) -> dict[str, Any]:
    """Return a linked exit as the data of an audit event."""
    kept = ("symbol", "product", "side", "strategy", "entry_id", "expires_at", *_PRICES)
    shown = ("quantity", "order_id", "state", "changes", "attempts", "outcome", "version")
    values = _values(of)
    values["expires_at"] = None if of.expires_at is None else of.expires_at.isoformat()
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in ((name, values[name]) for name in (*kept, *shown))
        if value is not None
    }


def _from(row: Any) -> LinkedExit:
    values = {each.name: getattr(row, each.name) for each in fields(LinkedExit) if each.name != "prices"}
    return LinkedExit(
        **{
            **values,
            "prices": ExitPrices(**{name: getattr(row, name) for name in _PRICES}),
            "strategy": row.strategy or None,
            "product": Product(row.product),
            "side": Side(row.side),
            "state": ExitState(row.state),
            "outcome": ExitOutcome(row.outcome) if row.outcome else None,
        }
    )
