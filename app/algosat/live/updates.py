"""What is new for a strategy since it last looked: prices of its symbols, and changes of its orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, or_, select

from algosat.clock import Clock
from algosat.domain.instruments import Quote
from algosat.domain.orders import WORKING, Order
from algosat.store.rows import order_from, quote_from
from algosat.store.tables import orders, quotes

# A trade may be reported after its order's end: for so long an ended order is still looked at.
_LINGER: Final = timedelta(minutes=10)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

_QUOTES = (
    select(quotes)
    .where(quotes.c.symbol.in_(bindparam("symbols", expanding=True)))
    .order_by(quotes.c.at, quotes.c.symbol)
)
_ORDERS = (
    select(orders)
    .where(
        orders.c.strategy == bindparam("strategy"),
        or_(orders.c.seq > bindparam("seq"), orders.c.id.in_(bindparam("ids", expanding=True))),
    )
    .order_by(orders.c.updated_at, orders.c.seq)
)
_LAST = select(func.max(orders.c.seq)).where(orders.c.strategy == bindparam("strategy"))


class Quotes:
    """New quotes, oldest first. The store keeps only the latest of a symbol: some are never seen."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self._symbols = sorted(set(symbols))
        self._last: dict[str, datetime] = {}

    def read(self, connection: Connection) -> list[Quote]:
        rows = connection.execute(_QUOTES, {"symbols": self._symbols})
        fresh = [quote for quote in map(quote_from, rows) if quote.at > self._last.get(quote.symbol, _NEVER)]
        self._last.update((quote.symbol, quote.at) for quote in fresh)
        return fresh


class Seen:
    """How much of its orders a strategy was told: the version of each that may still change."""

    def __init__(self, seq: int, versions: Mapping[str, int]) -> None:
        self.seq = seq  # up to this order, those that are not in `versions` are of no interest any more
        self.versions = dict(versions)

    @classmethod
    def begin(cls, connection: Connection, strategy: str, data: Mapping[str, Any] | None) -> Seen:
        """From what was kept; of a strategy's first process nothing before it is news."""
        if data is not None:
            return cls(data["seq"], data["versions"])
        return cls(connection.execute(_LAST, {"strategy": strategy}).scalar() or 0, {})

    def data(self) -> dict[str, Any]:
        return {"seq": self.seq, "versions": self.versions}

    def note(self, order: Order) -> None:
        """It was told of the order as it is here."""
        self.versions[order.id] = order.version

    def forget(self, order_id: str) -> None:
        self.versions.pop(order_id, None)


class Orders:
    """Changes of a strategy's orders that it has not been told of."""

    def __init__(self, strategy: str, seen: Seen, clock: Clock) -> None:
        self._strategy = strategy
        self._seen = seen
        self._clock = clock

    def read(self, connection: Connection) -> Sequence[Order]:
        asked = {"strategy": self._strategy, "seq": self._seen.seq, "ids": list(self._seen.versions)}
        rows = connection.execute(_ORDERS, asked).all()
        self._seen.seq = max([self._seen.seq, *(row.seq for row in rows)])
        found = [order_from(row) for row in rows]
        for order in found:
            self._seen.versions.setdefault(order.id, 0)
        news = [order for order in found if order.version > self._seen.versions[order.id]]
        self._forget(found, {order.id for order in news})
        return news

    def _forget(self, found: Sequence[Order], news: set[str]) -> None:
        oldest = self._clock() - _LINGER
        for order in found:
            if order.status not in WORKING and order.updated_at < oldest and order.id not in news:
                self._seen.forget(order.id)
