"""Updates for a strategy: quotes of its symbols and changes of its orders that it has not handled yet."""

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

# A trade may be reported after its order has ended: ended orders are watched for this long.
_LINGER: Final = timedelta(minutes=10)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

_QUOTES = (
    select(quotes)
    .where(quotes.c.venue == bindparam("venue"), quotes.c.symbol.in_(bindparam("symbols", expanding=True)))
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


class QuoteUpdates:
    """New quotes of some symbols. The store keeps only the latest quote of a symbol, so some are missed."""

    def __init__(self, venue: str, symbols: Iterable[str]) -> None:
        self._venue, self._symbols = venue, sorted(set(symbols))
        self._last: dict[str, datetime] = {}

    def read(self, connection: Connection) -> list[Quote]:
        """Return the quotes that are newer than those of the last call, oldest first."""
        rows = connection.execute(_QUOTES, {"venue": self._venue, "symbols": self._symbols})
        fresh = [quote for quote in map(quote_from, rows) if quote.at > self._last.get(quote.symbol, _NEVER)]
        self._last.update((quote.symbol, quote.at) for quote in fresh)
        return fresh


class DeliveredOrders:
    """The order changes that a strategy has handled: the last version of each order that may still change.

    It also keeps the end of the last daily bar that the strategy has handled, by symbol.
    """

    def __init__(
        self, seq: int, versions: Mapping[str, int], daily_bars: Mapping[str, datetime] | None = None
    ) -> None:
        self.seq = seq  # orders up to this one that are not in `versions` are no longer watched
        self.versions = dict(versions)
        self.daily_bars = dict(daily_bars or {})

    @classmethod
    def begin(cls, connection: Connection, strategy: str, data: Mapping[str, Any] | None) -> DeliveredOrders:
        """Continue from stored data. Without data, all existing orders count as delivered."""
        if data is not None:
            ends = data.get("daily_bars", {})
            return cls(
                data["seq"],
                data["versions"],
                {symbol: datetime.fromisoformat(end) for symbol, end in ends.items()},
            )
        return cls(connection.execute(_LAST, {"strategy": strategy}).scalar() or 0, {})

    def data(self) -> dict[str, Any]:
        """Return the JSON data from which `begin` continues."""
        ends = {symbol: end.isoformat() for symbol, end in self.daily_bars.items()}
        return {"seq": self.seq, "versions": self.versions, "daily_bars": ends}

    def note(self, order: Order) -> None:
        """Note that the strategy knows this version of the order."""
        self.versions[order.id] = order.version

    def forget(self, order_id: str) -> None:
        """Stop watching an order."""
        self.versions.pop(order_id, None)


class OrderUpdates:
    """Changes of a strategy's orders that it has not handled yet."""

    def __init__(self, strategy: str, delivered: DeliveredOrders, clock: Clock) -> None:
        self._strategy = strategy
        self._delivered = delivered
        self._clock = clock

    def read(self, connection: Connection) -> Sequence[Order]:
        """Return each changed order once, as it is now, the earliest change first."""
        delivered = self._delivered
        watched = {"strategy": self._strategy, "seq": delivered.seq, "ids": list(delivered.versions)}
        rows = connection.execute(_ORDERS, watched).all()
        delivered.seq = max([delivered.seq, *(row.seq for row in rows)])
        found = [order_from(row) for row in rows]
        for order in found:
            delivered.versions.setdefault(order.id, 0)
        changed = [order for order in found if order.version > delivered.versions[order.id]]
        self._forget_ended(found, {order.id for order in changed})
        return changed

    def _forget_ended(self, found: Sequence[Order], changed: set[str]) -> None:
        oldest = self._clock() - _LINGER
        for order in found:
            if order.status not in WORKING and order.updated_at < oldest and order.id not in changed:
                self._delivered.forget(order.id)
