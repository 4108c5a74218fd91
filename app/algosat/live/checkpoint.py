"""Checkpoints: the state of a strategy as stored after an event, from which its next process continues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from algosat.domain.instruments import Quote
from algosat.store import ledger
from algosat.store.tables import strategy_states as states
from algosat.strategies.bars import bar_data, bar_from
from algosat.strategies.strategy_events import BarClosed, OrderUpdated, QuoteReceived, StrategyEvent


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One row of `strategy_states`."""

    version: int  # of the strategy's parameters
    state: dict[str, Any]
    delivered: Mapping[str, Any]  # the order changes delivered so far, as `DeliveredOrders.data` returns them
    interrupted: Sequence[dict[str, Any]]  # events not handled to the end that may have placed orders


def load(connection: Connection, name: str) -> Checkpoint | None:
    """Return the checkpoint of a strategy; None if it has none yet."""
    row = connection.execute(select(states).where(states.c.name == name)).first()
    if row is None:
        return None
    return Checkpoint(row.version, row.state, row.seen, row.pending or [])


def save(connection: Connection, name: str, checkpoint: Checkpoint, at: datetime) -> None:
    """Replace the checkpoint of a strategy."""
    connection.execute(delete(states).where(states.c.name == name))
    row = {
        "name": name,
        "version": checkpoint.version,
        "state": checkpoint.state,
        "seen": checkpoint.delivered,
        "pending": list(checkpoint.interrupted) or None,
        "saved_at": at,
    }
    connection.execute(insert(states), row)


def event_data(event: StrategyEvent) -> dict[str, Any] | None:
    """Return an event as JSON data; None for a start or a stop, which no later process handles again."""
    match event:
        case BarClosed(bar):
            return {"bar": bar_data(bar)}
        case QuoteReceived(quote):
            return {"quote": {name: _text(value) for name, value in asdict(quote).items()}}
        case OrderUpdated(order, version):
            return {"order": order.id, "version": version}
        case _:
            return None


def event_from(connection: Connection, data: dict[str, Any]) -> StrategyEvent:
    """Return the event that `event_data` wrote. An order is read as it is now, not as it was then."""
    if "bar" in data:
        return BarClosed(bar_from(data["bar"]))
    if "quote" in data:
        return QuoteReceived(_quote(data["quote"]))
    return OrderUpdated(ledger.get(connection, data["order"]), data["version"])


def _quote(data: dict[str, str]) -> Quote:
    prices = {name: Decimal(value) for name, value in data.items() if name not in ("symbol", "at")}
    return Quote(symbol=data["symbol"], at=datetime.fromisoformat(data["at"]), **prices)


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
