"""Conversion of domain values to rows and JSON data, and back: one pair of functions per value."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import Row

from algosat.domain.instruments import Instrument, InstrumentKind, OptionType, Quote, SettlementMethod
from algosat.domain.orders import (
    PRICES,
    EventKind,
    Order,
    OrderChange,
    OrderEvent,
    OrderTerms,
    OrderType,
    PendingRequest,
    Product,
    Side,
    Status,
    Trade,
    TradingSession,
    Validity,
)
from algosat.domain.positions import Position
from algosat.store import fallbacks
from algosat.store.types import split

_INSTRUMENT: Final = TypeAdapter(Instrument)
_TERMS: Final = tuple(each.name for each in fields(OrderTerms))


def order_values(order: Order) -> dict[str, Any]:
    terms = order.terms
    return {
        "id": order.id,
        "account": terms.account,
        "symbol": terms.symbol,
        "side": terms.side.value,
        "quantity": terms.quantity,
        "type": terms.type.value,
        "product": terms.product.value,
        **fallbacks.columns("validity", terms.validity),
        "reduce_only": terms.reduce_only,
        "strategy": terms.strategy or "",
        "algo_id": terms.algo_id,
        "session": terms.session.value,
        "send_at": terms.send_at,
        "slice_of": terms.slice_of,
        "external": order.external,
        "created_at": order.created_at,
        **order_state(order),
    }


def order_state(order: Order) -> dict[str, Any]:
    """Return the columns that events change."""
    filled_value, filled_value_low = split(order.filled_value)
    return {
        "quantity": order.terms.quantity,
        **order.terms.prices,
        "status": order.status.value,
        "overlay": order.pending.value if order.pending else None,
        "filled_quantity": order.filled_quantity,
        "filled_value": filled_value,
        "filled_value_low": filled_value_low,
        "broker_order_id": order.broker_order_id,
        "code": order.code,
        "reason": order.reason,
        "pending_change": _change_data(order.pending_change),
        "version": order.version,
        "updated_at": order.updated_at,
    }


def amounts(**values: Decimal) -> dict[str, Decimal]:
    """Return the columns of these amounts, which are named like the columns: high and low parts."""
    columns: dict[str, Decimal] = {}
    for name, value in values.items():
        columns[name], columns[f"{name}_low"] = split(value)
    return columns


def order_from(row: Row[Any]) -> Order:
    return Order(
        id=row.id,
        terms=OrderTerms(
            account=row.account,
            symbol=row.symbol,
            side=Side(row.side),
            quantity=row.quantity,
            type=OrderType(row.type),
            **{name: getattr(row, name) for name in PRICES},
            product=Product(row.product),
            validity=fallbacks.value_of(Validity, row.validity, row.validity_exact),
            reduce_only=row.reduce_only,
            strategy=row.strategy or None,
            algo_id=row.algo_id,
            session=TradingSession(row.session),
            send_at=row.send_at,
            slice_of=row.slice_of,
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
        status=Status(row.status),
        pending=PendingRequest(row.overlay) if row.overlay else None,
        filled_quantity=row.filled_quantity,
        filled_value=row.filled_value + row.filled_value_low,
        broker_order_id=row.broker_order_id,
        code=row.code,
        reason=row.reason,
        pending_change=_change_from(row.pending_change),
        external=row.external,
        version=row.version,
    )


def terms_data(order: Order) -> dict[str, Any]:
    """Return an order's terms as the data of its `created` event."""
    terms = ((name, getattr(order.terms, name)) for name in _TERMS)
    data = {name: _plain(value) for name, value in terms if value is not None}
    if order.terms.session is TradingSession.REGULAR:
        del data["session"]  # as in the events of releases that knew no other session
    return {**data, **fallbacks.data("validity", order.terms.validity), "external": order.external}


def terms_from(data: dict[str, Any]) -> OrderTerms:
    return OrderTerms(
        account=data["account"],
        symbol=data["symbol"],
        side=Side(data["side"]),
        quantity=Decimal(data["quantity"]),
        type=OrderType(data["type"]),
        **_prices_from(data),
        product=Product(data["product"]),
        validity=fallbacks.value_of(Validity, data["validity"], data.get("validity_exact")),
        reduce_only=data["reduce_only"],
        strategy=data.get("strategy"),
        algo_id=data.get("algo_id"),
        session=TradingSession(data.get("session", TradingSession.REGULAR)),
        send_at=_time(data.get("send_at")),
        slice_of=data.get("slice_of"),
    )


def event_data(event: OrderEvent) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name in ("code", "reason", "broker_order_id"):
        if getattr(event, name) is not None:
            data[name] = getattr(event, name)
    if event.change is not None:
        data["change"] = _change_data(event.change)
    if event.trade is not None:
        data["trade"] = _values(event.trade)
    return data


def event_from(kind: str, at: datetime, data: dict[str, Any]) -> OrderEvent:
    trade = data.get("trade")
    return OrderEvent(
        kind=EventKind(fallbacks.exact_kind(kind, data)),
        at=at,
        code=data.get("code"),
        reason=data.get("reason"),
        broker_order_id=data.get("broker_order_id"),
        change=_change_from(data.get("change")),
        trade=None
        if trade is None
        else Trade(
            id=trade["id"],
            quantity=Decimal(trade["quantity"]),
            price=Decimal(trade["price"]),
            at=datetime.fromisoformat(trade["at"]),
        ),
    )


def position_from(row: Row[Any]) -> Position:
    return Position(
        account=row.account,
        strategy=row.strategy,
        symbol=row.symbol,
        product=row.product,
        quantity=row.quantity,
        cost=row.cost + row.cost_low,
        realised=row.realised + row.realised_low,
        fees=row.fees + row.fees_low,
    )


def instrument_from(row: Any) -> Instrument:
    values = {name: getattr(row, name) for name in Instrument.__slots__}
    return Instrument(
        **{
            **values,
            "kind": InstrumentKind(row.kind),
            "option_type": OptionType(row.option_type) if row.option_type else None,
            "settlement": SettlementMethod(row.settlement) if row.settlement else None,
        }
    )


def instrument_data(instrument: Instrument) -> dict[str, Any]:
    return {name: _plain(getattr(instrument, name)) for name in Instrument.__slots__}


def instrument_from_data(data: dict[str, Any]) -> Instrument:
    return _INSTRUMENT.validate_python(data)


def quote_from(row: Any) -> Quote:
    return Quote(**{name: getattr(row, name) for name in Quote.__slots__})


def _change_data(change: OrderChange | None) -> dict[str, Any] | None:
    return None if change is None else _values(change)


def _values(value: OrderChange | Trade) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in (each.name for each in fields(value))}


def _change_from(data: dict[str, Any] | None) -> OrderChange | None:
    if data is None:
        return None
    return OrderChange(
        quantity=Decimal(data["quantity"]),
        **_prices_from(data),
    )


def _prices_from(data: dict[str, Any]) -> dict[str, Decimal | None]:
    return {name: _decimal(data.get(name)) for name in PRICES}


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date) else value  # a datetime is a date, too
