"""Conversion of the exchange's values to rows and JSON, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import RowMapping

from algosat.domain.instruments import FinalSettlement, Quote
from algosat.domain.market_phases import Phase
from algosat.domain.orders import PRICES, OrderTerms, OrderType, Product, Side, Status, Trade, Validity
from algosat.exchange.order_book import BookOrder, SymbolBook
from algosat.exchange.prices.random_walk import Path
from algosat.store import fallbacks

# The exchange has no use for these terms, and releases that do not know them must read its orders.
_NOT_SENT: Final = ("session", "send_at", "slice_of")
_FIELDS: Final = {
    kind: tuple(field.name for field in fields(kind) if field.name not in _NOT_SENT)
    for kind in (OrderTerms, Quote, Path)
}
_PATH_DECIMALS: Final = ("previous_close", "last", "open", "high", "low", "volume")


def order_row(order: BookOrder) -> dict[str, Any]:
    validity = fallbacks.data("validity", order.terms.validity)
    return {
        "id": order.id,
        "tag": order.tag,
        "symbol": order.terms.symbol,
        "day": order.day,
        "status": order.status.value,
        "quantity": order.terms.quantity,
        "filled_quantity": order.filled_quantity,
        "version": order.version,
        "placed_at": order.placed_at,
        "updated_at": order.updated_at,
        "data": {
            "terms": {**_flat(order.terms), "validity": validity.pop("validity")},
            **validity,
            "limit": _plain(order.limit),
            "queue_ahead": _plain(order.queue_ahead),
            "incoming": order.incoming,
            "reason": order.reason,
            **_fees(order),
        },
    }


def order_from(row: RowMapping, trades: tuple[Trade, ...]) -> BookOrder:
    data = row["data"]
    fees = data.get("fees", {})
    trades = tuple(_with_fee(trade, fees[trade.id]) if trade.id in fees else trade for trade in trades)
    return BookOrder(
        id=row["id"],
        tag=row["tag"],
        terms=_terms_from(data["terms"], data.get("validity_exact")),
        status=Status(row["status"]),
        day=row["day"],
        placed_at=row["placed_at"],
        updated_at=row["updated_at"],
        limit=_decimal(data["limit"]),
        queue_ahead=Decimal(data["queue_ahead"]),
        incoming=data["incoming"],
        filled_quantity=row["filled_quantity"],
        trades=trades,
        reason=data["reason"],
        version=row["version"],
    )


def trade_rows(order: BookOrder) -> list[dict[str, Any]]:
    return [
        {
            "id": trade.id,
            "order_id": order.id,
            "tag": order.tag,
            "symbol": order.terms.symbol,
            "side": order.terms.side.value,
            "quantity": trade.quantity,
            "price": trade.price,
            "at": trade.at,
        }
        for trade in order.trades
    ]


def _fees(order: BookOrder) -> dict[str, Any]:
    """Return the fees of the order's trades as data. The tables of trades have no columns for them."""
    fees = {trade.id: [str(trade.fee), trade.fee_currency] for trade in order.trades if trade.fee is not None}
    return {"fees": fees} if fees else {}


def fees_of(data: dict[str, Any]) -> list[tuple[Decimal, str | None]]:
    """Return the fees of an order's trades, each with its currency."""
    return [(Decimal(fee), currency) for fee, currency in data.get("fees", {}).values()]


def _with_fee(trade: Trade, data: list[Any]) -> Trade:
    fee, currency = data
    return replace(trade, fee=Decimal(fee), fee_currency=currency)


def trade_from(row: RowMapping) -> Trade:
    return Trade(id=row["id"], quantity=row["quantity"], price=row["price"], at=row["at"])


def sorted_trades(trades: Iterable[Trade]) -> tuple[Trade, ...]:
    """Sort the trades of one order by their number, the last part of their id: …-2 comes before …-10."""
    return tuple(sorted(trades, key=lambda trade: int(trade.id.rpartition("-")[2])))


def book_data(book: SymbolBook) -> dict[str, Any]:
    """Return a symbol's book as data, with the queue positions of its orders but not the orders."""
    return {
        "quote": _flat(book.quote) if book.quote else None,
        "phase": book.phase.value,
        "bids_taken": str(book.bids_taken),
        "asks_taken": str(book.asks_taken),
        "reference": _plain(book.reference),
        "queues": {order.id: str(order.queue_ahead) for order in book.orders},
    }


def book_from(symbol: str, data: dict[str, Any], orders: Iterable[BookOrder]) -> SymbolBook:
    queues = {order_id: Decimal(ahead) for order_id, ahead in data["queues"].items()}
    return SymbolBook(
        symbol=symbol,
        quote=_quote_from(data["quote"]) if data["quote"] else None,
        phase=Phase(data["phase"]),
        orders=tuple(order.moved_up(queues.get(order.id, order.queue_ahead)) for order in orders),
        bids_taken=Decimal(data["bids_taken"]),
        asks_taken=Decimal(data["asks_taken"]),
        reference=_decimal(data["reference"]),
    )


def path_data(path: Path) -> dict[str, Any]:
    return _flat(path)


def path_from(data: dict[str, Any]) -> Path:
    decimals = {name: Decimal(data[name]) for name in _PATH_DECIMALS}
    return Path(**{**data, **decimals, "day": date.fromisoformat(data["day"])})


def settlement_data(settlement: FinalSettlement) -> dict[str, Any]:
    return {"at": settlement.at.isoformat(), "price": str(settlement.price)}


def settlement_from(symbol: str, data: dict[str, Any]) -> FinalSettlement:
    return FinalSettlement(symbol, datetime.fromisoformat(data["at"]), Decimal(data["price"]))


def _flat(value: OrderTerms | Quote | Path) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in _FIELDS[type(value)]}


def _plain(value: Any) -> Any:
    """Return decimals and times as strings: orjson rejects decimals and shortens the offsets of times."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):  # includes datetime
        return value.isoformat()
    return value


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _terms_from(data: dict[str, Any], validity_exact: str | None) -> OrderTerms:
    return OrderTerms(
        **{
            **data,
            "side": Side(data["side"]),
            "quantity": Decimal(data["quantity"]),
            "type": OrderType(data["type"]),
            **{name: _decimal(data[name]) for name in PRICES},
            "product": Product(data["product"]),
            "validity": fallbacks.value_of(Validity, data["validity"], validity_exact),
        }
    )


def _quote_from(data: dict[str, Any]) -> Quote:
    prices = {name: Decimal(value) for name, value in data.items() if name not in ("symbol", "at")}
    return Quote(symbol=data["symbol"], at=datetime.fromisoformat(data["at"]), **prices)
