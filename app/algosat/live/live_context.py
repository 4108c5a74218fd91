"""The trading floor of a running strategy: the trading verbs, under keys that no restart can use twice.

Before the first order of an occasion leaves, the store is told which occasion it is and what the
strategy remembered then. A process that dies in its midst lives through it again, and every
order it places then has the key of the one placed before.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any, Final

import orjson
from sqlalchemy import Connection, select

from algosat.domain.instruments import Instrument, Quote
from algosat.domain.orders import ModifyRequest, Order, OrderTerms, Product
from algosat.errors import Conflict, Denied, IllegalTransition, KeyReused, NotFound
from algosat.live import checkpoint, codec
from algosat.live.checkpoint import Checkpoint
from algosat.live.updates import Seen
from algosat.monitoring import correlation
from algosat.store import ledger, queries
from algosat.store.audit import STRATEGY, Cause
from algosat.store.tables import positions
from algosat.strategies.base import opening_of
from algosat.strategies.strategy_events import OrderUpdated, StrategyEvent
from algosat.trading import cancel, close, idempotency, modify, place
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed

_SAVE_EVERY: Final = 1.0  # seconds, where nothing but the strategy's memory has changed


class LiveContext:
    """A `runner.Host` on the store."""

    def __init__(
        self, desk: Desk, name: str, version: int, product: Product, state: bytes, seen: Seen
    ) -> None:
        self.account = desk.account
        self.strategy = name
        self._desk = desk
        self._version = version
        self._product = product
        self._actor = f"{STRATEGY}{name}"
        self._state = state  # as JSON, at the end of the occasion before
        self._saved = state
        self._seen = seen
        self._occasion: StrategyEvent | None = None
        self._cause = Cause(self._actor, correlation.new())
        self._keys = 0  # used up in this occasion
        self._save_due = 0.0

    # --- occasions -----------------------------------------------------------------------------------

    def begin(self, event: StrategyEvent) -> None:
        self._occasion, self._keys = event, 0
        self._cause = Cause(self._actor, correlation.begin(None))

    def end(self, event: StrategyEvent, state: Mapping[str, Any]) -> None:
        self._occasion = None
        self._state = orjson.dumps(state, option=orjson.OPT_SORT_KEYS)
        if isinstance(event, OrderUpdated):
            self._seen.note(event.order)
        acted = self._keys > 0 or isinstance(event, OrderUpdated)
        if acted or (self._state != self._saved and time.monotonic() >= self._save_due):
            self.save()

    def save(self) -> None:
        """Keep what the strategy remembers now, and that it has lived through everything so far."""
        self._keep(pending=[])

    def _journal(self) -> None:
        """Before the first order of an occasion: have it lived through again if the process dies now."""
        data = codec.event_data(self._occasion) if self._occasion and not self._keys else None
        if data is not None:
            self._keep(pending=[data])

    def _keep(self, pending: list[dict[str, Any]]) -> None:
        record = Checkpoint(self._version, orjson.loads(self._state), self._seen.data(), pending)
        self._desk.writer.run(
            lambda connection: checkpoint.save(connection, self.strategy, record, self._desk.clock())
        )
        self._saved, self._save_due = self._state, time.monotonic() + _SAVE_EVERY

    # --- what is there to see --------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self._desk.clock()

    def instrument(self, symbol: str) -> Instrument:
        with self._desk.database.read() as connection:
            found = queries.instrument(connection, symbol)
        if found is None:
            raise NotFound(f"no instrument {symbol!r} is known")
        return found

    def quote(self, symbol: str) -> Quote | None:
        with self._desk.database.read() as connection:
            return queries.quote(connection, symbol)

    def opens_at(self, symbol: str, at: datetime) -> datetime | None:
        return opening_of(self._desk.calendar, self.instrument(symbol), at)

    def position(self, symbol: str) -> Decimal:
        key = {"account": self.account, "strategy": self.strategy, "symbol": symbol, "product": self._product}
        mine = (positions.c[name] == value for name, value in key.items())
        with self._desk.database.read() as connection:
            held: Decimal | None = connection.execute(select(positions.c.quantity).where(*mine)).scalar()
        return Decimal(0) if held is None else held

    def working(self) -> Sequence[Order]:
        with self._desk.database.read() as connection:
            working, ahead = queries.working(connection, self.account), self._ahead(connection)
        return [order for order in working if order.terms.strategy == self.strategy and order.id not in ahead]

    def _ahead(self, connection: Connection) -> set[str]:
        """Orders that this occasion, when it was lived through before, placed later than it has come now: who
        cancels what is working, then places an order, would cancel that very order the second time."""
        ahead: set[str] = set()
        for number in count(self._keys + 1):
            placed = idempotency.placed_under(connection, self._key(number))
            if placed is None:
                return ahead
            ahead |= {order.id for order in placed}
        return ahead

    # --- the verbs -------------------------------------------------------------------------------------

    def place(self, terms: OrderTerms) -> Order:
        body = orjson.dumps(asdict(terms), default=str, option=orjson.OPT_SORT_KEYS)
        (order,) = self._once(body, lambda key: place.place_order(self._desk, terms, self._cause, key=key))
        return order

    def close(self, symbol: str) -> Sequence[Order]:
        def work(key: IdempotencyKey) -> Placed:
            desk, name, product = self._desk, self.strategy, self._product
            return close.close_position(
                desk, symbol, self._cause, strategy=name, product=product, key=key, if_any=True
            )

        return self._once(b"close " + symbol.encode(), work)

    def cancel(self, order_id: str) -> Order:
        try:
            return cancel.cancel_order(self._desk, order_id, self._cause)
        except IllegalTransition:
            return self._as_it_is(order_id)

    def modify(self, order_id: str, revision: ModifyRequest) -> Order:
        try:
            return modify.modify_order(self._desk, order_id, revision, self._cause)
        except (IllegalTransition, Conflict, Denied):
            return self._as_it_is(order_id)

    def _as_it_is(self, order_id: str) -> Order:
        with self._desk.database.read() as connection:
            return ledger.get(connection, order_id)

    def _once(self, body: bytes, work: Callable[[IdempotencyKey], Placed]) -> Sequence[Order]:
        """What the key of this order in this occasion stands for: done now, or before the process died."""
        if self._occasion is None:
            raise RuntimeError("a strategy acts within its callbacks only")
        self._journal()
        self._keys += 1
        key = self._key(self._keys, body)
        try:
            orders = work(key).orders
        except KeyReused:
            # Seeing the market as it is now it would do otherwise; but what it did then is done.
            with self._desk.database.read() as connection:
                orders = idempotency.placed_under(connection, key) or ()
        for order in orders:
            self._seen.note(order)
        return orders

    def _key(self, number: int, body: bytes = b"") -> IdempotencyKey:
        name = self._occasion.name if self._occasion else ""
        return IdempotencyKey(self._actor, f"{name}#{number}", hashlib.sha256(body).hexdigest())
