"""Occasions as JSON, so that one which was cut short can be lived through again."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from algosat.domain.instruments import Quote
from algosat.store import ledger
from algosat.strategies.bars import bar_data, bar_from
from algosat.strategies.strategy_events import BarClosed, OrderUpdated, QuoteReceived, StrategyEvent


def event_data(event: StrategyEvent) -> dict[str, Any] | None:
    """None for a start, which every process lives through by itself, and for a stop, which none repeats."""
    match event:
        case BarClosed(bar):
            return {"bar": bar_data(bar)}
        case QuoteReceived(quote):
            return {"quote": {name: _plain(value) for name, value in asdict(quote).items()}}
        case OrderUpdated(order, version):
            return {"order": order.id, "version": version}
        case _:
            return None


def event_from(connection: Connection, data: dict[str, Any]) -> StrategyEvent:
    """An order is told of as it is now: what it was meanwhile is past."""
    if "bar" in data:
        return BarClosed(bar_from(data["bar"]))
    if "quote" in data:
        return QuoteReceived(_quote(data["quote"]))
    return OrderUpdated(ledger.get(connection, data["order"]), data["version"])


def _quote(data: dict[str, str]) -> Quote:
    prices = {name: Decimal(value) for name, value in data.items() if name not in ("symbol", "at")}
    return Quote(symbol=data["symbol"], at=datetime.fromisoformat(data["at"]), **prices)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
