"""Rows of GTT orders."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, text, tuple_, update

from algosat.domain.gtt import GttOrder, GttState, SecondLeg
from algosat.domain.linked_exits import ExitPrices
from algosat.domain.linked_requests import ExitRequest
from algosat.domain.orders import create
from algosat.store import audit
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.rows import terms_data, terms_from
from algosat.store.tables import ACTIVE_GTT, gtt_orders

_STATE: Final = ("state", "order_id", "version", "updated_at")
_ACTIVE = Prepared(
    select(gtt_orders)
    .where(gtt_orders.c.account == bindparam("account"), text(ACTIVE_GTT))
    .order_by(gtt_orders.c.id)
)
_BY_ID = Prepared(select(gtt_orders).where(gtt_orders.c.id == bindparam("gtt_id")))
_ADD = Prepared(insert(gtt_orders), gtt_orders.c.keys())
_REQUEST: Final = (
    "trigger_price", "is_above", "terms", "exits", "expires_at", "second_trigger_price", "second_limit_price",
)  # fmt: skip
_CHANGE = Prepared(update(gtt_orders).where(gtt_orders.c.id == bindparam("gtt_id")), (*_REQUEST, *_STATE))
_UPDATE = Prepared(update(gtt_orders).where(gtt_orders.c.id == bindparam("gtt_id")), _STATE)


def active(connection: Connection, account: str) -> list[GttOrder]:
    """Return the GTT orders of an account that wait for their trigger price."""
    return [_from(row) for row in _ACTIVE.all(connection, account=account)]


def page(
    connection: Connection,
    account: str,
    *,
    limit: int,
    cursor: tuple[datetime, str] | None = None,
    state: GttState | None = None,
) -> list[GttOrder]:
    """Return GTT orders of an account, newest first.

    `cursor` is creation and id of the last one of the page before.
    """
    key = tuple_(gtt_orders.c.created_at, gtt_orders.c.id)
    statement = select(gtt_orders).where(gtt_orders.c.account == account)
    if state is not None:
        statement = statement.where(gtt_orders.c.state == state.value)
    if cursor is not None:
        statement = statement.where(key < cursor)
    ordered = statement.order_by(gtt_orders.c.created_at.desc(), gtt_orders.c.id.desc()).limit(limit)
    return [_from(row) for row in connection.execute(ordered)]


def get(connection: Connection, gtt_id: str) -> GttOrder | None:
    row = _BY_ID.first(connection, gtt_id=gtt_id)
    return None if row is None else _from(row)


def cause_of(connection: Connection, gtt_id: str, actor: str) -> Cause:
    """Return the cause to record for the engine's actions on a GTT order: the request that placed it."""
    return Cause(actor, _BY_ID.first(connection, gtt_id=gtt_id).correlation_id)


def add(connection: Connection, new: GttOrder, cause: Cause) -> GttOrder:
    """Store a new GTT order, and its audit event."""
    row = {
        "id": new.id,
        "account": new.terms.account,
        "symbol": new.terms.symbol,
        "created_at": new.created_at,
        "actor": cause.actor,
        "correlation_id": cause.correlation_id,
        **_request(new),
        **_state(new),
    }
    _ADD.run(connection, row)
    audit.append(connection, new.created_at, "gtt.created", new.id, cause, _data(new))
    return new


def put_change(connection: Connection, changed: GttOrder, cause: Cause) -> GttOrder:
    """Store a changed GTT order that is waiting, and its audit event."""
    _CHANGE.run(connection, {"gtt_id": changed.id, **_request(changed), **_state(changed)})
    audit.append(connection, changed.updated_at, "gtt.changed", changed.id, cause, _data(changed))
    return changed


def end(
    connection: Connection,
    active_order: GttOrder,
    state: GttState,
    at: datetime,
    cause: Cause,
    *,
    order_id: str | None = None,
) -> GttOrder:
    """Store that a GTT order has ended. It cannot become active again."""
    ended = replace(
        active_order, state=state, order_id=order_id, version=active_order.version + 1, updated_at=at
    )
    _UPDATE.run(connection, {"gtt_id": ended.id, **_state(ended)})
    data = {} if order_id is None else {"order_id": order_id}
    audit.append(connection, at, f"gtt.{state}", ended.id, cause, data)
    return ended


def _request(of: GttOrder) -> dict[str, Any]:
    second = of.second
    return {
        "trigger_price": of.trigger_price,
        "is_above": of.is_above,
        "terms": terms_data(create(of.id, of.terms, of.created_at)),
        "exits": None if of.exits is None else _plain(asdict(of.exits)),
        "expires_at": of.expires_at,
        "second_trigger_price": None if second is None else second.trigger_price,
        "second_limit_price": None if second is None else second.limit_price,
    }


def _data(of: GttOrder) -> dict[str, Any]:
    """Return what a GTT order asks for, as the data of an audit event."""
    data = {
        "trigger_price": format(of.trigger_price, "f"),
        "expires_at": of.expires_at.isoformat(),
        "order": terms_data(create(of.id, of.terms, of.created_at)),
    }
    return data if of.second is None else {**data, "second": _plain(asdict(of.second))}


def _state(of: GttOrder) -> dict[str, Any]:
    values = {name: getattr(of, name) for name in _STATE}
    return {**values, "state": of.state.value}


def _from(row: Any) -> GttOrder:
    return GttOrder(
        id=row.id,
        terms=terms_from(row.terms),
        exits=None if row.exits is None else _exits_from(row.exits),
        trigger_price=row.trigger_price,
        is_above=row.is_above,
        expires_at=row.expires_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        state=GttState(row.state),
        order_id=row.order_id,
        version=row.version,
        second=None
        if row.second_trigger_price is None
        else SecondLeg(row.second_trigger_price, row.second_limit_price),
    )


def _exits_from(data: dict[str, Any]) -> ExitRequest:
    stop_loss = data["stop_loss"]
    return ExitRequest(
        target_price=_decimal(data["target_price"]),
        trail_amount=_decimal(data["trail_amount"]),
        trail_percent=_decimal(data["trail_percent"]),
        expires_on=date.fromisoformat(data["expires_on"]) if data.get("expires_on") else None,
        stop_loss=None
        if stop_loss is None
        else ExitPrices(**{name: _decimal(value) for name, value in stop_loss.items()}),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else value


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
