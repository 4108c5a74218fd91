"""The context of a live strategy: the functions of `trading`, with an idempotency key for each order.

Before the first order of an event is placed, a checkpoint stores the event and the state before it. If the
process dies, the next one handles the event again, and each of its orders has the key that it had before.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, tzinfo
from decimal import Decimal
from itertools import count
from typing import Any, Final

import orjson
import structlog
from sqlalchemy import Connection, select

from algosat.domain.decimals import ZERO
from algosat.domain.gtt import GttOrder, GttRequest
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.linked_requests import ExitRequest
from algosat.domain.orders import ModifyRequest, Order, OrderTerms, Product, TradingSession
from algosat.domain.pnl_exits import PnlExit
from algosat.errors import Conflict, Denied, IllegalTransition, InvalidBody, KeyReused, NotFound
from algosat.live import checkpoint
from algosat.live.checkpoint import Checkpoint
from algosat.live.updates import DeliveredOrders
from algosat.monitoring import correlation
from algosat.store import gtt_orders, ledger, queries
from algosat.store.audit import STRATEGY, Cause
from algosat.store.tables import positions
from algosat.strategies.bars import SECONDS_A_DAY
from algosat.strategies.base import closing_of, opening_of, session_of
from algosat.strategies.strategy_events import BarClosed, OrderUpdated, StrategyEvent
from algosat.trading import (
    cancel,
    close,
    gtt,
    idempotency,
    linked_exits,
    modify,
    place,
    pnl_exits,
    target_position,
)
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey

_log = structlog.get_logger(__name__)

_SAVE_EVERY: Final = 1.0  # seconds, if only the state has changed


class LiveContext:
    """The `Driver` of a live strategy, on the store."""

    def __init__(
        self,
        desk: Desk,
        name: str,
        version: int,
        product: Product,
        state: bytes,
        delivered: DeliveredOrders,
    ) -> None:
        self.account = desk.account
        self.strategy = name
        self._desk = desk
        self._version = version
        self._product = product
        self._actor = f"{STRATEGY}{name}"
        self._state = state  # as JSON, after the last event
        self._saved = state
        self._delivered = delivered
        self._event: StrategyEvent | None = None
        self._cause = Cause(self._actor, correlation.new())
        self._keys = 0  # of orders, used in this event
        self._gtts = 0  # keys of GTT orders, used in this event
        self._save_due = 0.0

    # --- events --------------------------------------------------------------------------------------

    def begin(self, event: StrategyEvent) -> None:
        """Start to handle an event, with a correlation id of its own."""
        self._event, self._keys, self._gtts = event, 0, 0
        self._cause = Cause(self._actor, correlation.begin(None))

    def end(self, event: StrategyEvent, state: Mapping[str, Any]) -> None:
        """Save a checkpoint after an order, an order's change or a daily bar, else at most once a second."""
        self._event = None
        self._state = orjson.dumps(state, option=orjson.OPT_SORT_KEYS)
        if isinstance(event, OrderUpdated):
            self._delivered.note(event.order)
        acted = self._keys + self._gtts > 0 or isinstance(event, OrderUpdated)
        if isinstance(event, BarClosed) and event.bar.seconds == SECONDS_A_DAY:
            self._delivered.daily_bars[event.bar.symbol] = event.at
            acted = True
        if acted or (self._state != self._saved and time.monotonic() >= self._save_due):
            self.save()

    def save(self) -> None:
        """Save a checkpoint after an event that was handled to its end."""
        self._write_checkpoint(interrupted=[])

    def _save_event(self) -> None:
        """Store the event before its first order, so that the next process can repeat it if this one dies."""
        data = checkpoint.event_data(self._event) if self._event and not self._keys + self._gtts else None
        if data is not None:
            self._write_checkpoint(interrupted=[data])

    def _write_checkpoint(self, interrupted: list[dict[str, Any]]) -> None:
        saved = Checkpoint(self._version, orjson.loads(self._state), self._delivered.data(), interrupted)
        self._desk.writer.run(
            lambda connection: checkpoint.save(connection, self.strategy, saved, self._desk.clock())
        )
        self._saved, self._save_due = self._state, time.monotonic() + _SAVE_EVERY

    # --- market, position and orders -----------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self._desk.clock()

    def instrument(self, symbol: str) -> Instrument:
        with self._desk.database.read() as connection:
            found = queries.instrument(connection, self._desk.venue, symbol)
        if found is None:
            raise NotFound(f"no instrument {symbol!r} is known")
        return found

    def quote(self, symbol: str) -> Quote | None:
        with self._desk.database.read() as connection:
            return queries.quote(connection, self._desk.venue, symbol)

    @property
    def zone(self) -> tzinfo:
        return self._desk.calendar.zone

    def opens_at(self, symbol: str, at: datetime) -> datetime | None:
        return opening_of(self._desk.calendar, self.instrument(symbol), at)

    def closes_at(self, symbol: str, at: datetime) -> datetime | None:
        return closing_of(self._desk.calendar, self.instrument(symbol), at)

    def session(self, symbol: str) -> TradingSession:
        return session_of(self._desk.calendar, self.instrument(symbol), self.now)

    def position(self, symbol: str) -> Decimal:
        key = {"account": self.account, "strategy": self.strategy, "symbol": symbol, "product": self._product}
        mine = (positions.c[name] == value for name, value in key.items())
        with self._desk.database.read() as connection:
            found: Decimal | None = connection.execute(select(positions.c.quantity).where(*mine)).scalar()
        return ZERO if found is None else found

    def working(self) -> Sequence[Order]:
        with self._desk.database.read() as connection:
            working, later = queries.working(connection, self.account), self._placed_later(connection)
        return [order for order in working if order.terms.strategy == self.strategy and order.id not in later]

    def _placed_later(self, connection: Connection) -> set[str]:
        """Return the orders that an interrupted run of this event placed after the point reached now.

        If they were visible, a strategy that cancels its working orders before it places a new one would
        cancel the order that it places again next.
        """
        later: set[str] = set()
        for number in count(self._keys + 1):
            placed = idempotency.placed_under(connection, self._key(number))
            if placed is None:
                return later
            later |= {order.id for order in placed}
        return later

    # --- orders --------------------------------------------------------------------------------------

    def place(self, terms: OrderTerms, exits: ExitRequest | None = None) -> Order:
        data = asdict(terms) if exits is None else {**asdict(terms), "exits": asdict(exits)}
        body = orjson.dumps(data, default=str, option=orjson.OPT_SORT_KEYS)

        def work(key: IdempotencyKey) -> Sequence[Order]:
            if exits is None:
                return place.place_order(self._desk, terms, self._cause, key=key).orders
            return linked_exits.place_linked_or_deny(self._desk, terms, exits, self._cause, key=key).orders

        (order,) = self._once(body, work)
        return order

    def close(self, symbol: str) -> Sequence[Order]:
        def work(key: IdempotencyKey) -> Sequence[Order]:
            desk, name, product = self._desk, self.strategy, self._product
            return close.close_for_strategy(
                desk, symbol, self._cause, strategy=name, product=product, key=key
            )

        return self._once(b"close " + symbol.encode(), work)

    def reach(self, terms: OrderTerms) -> Sequence[Order]:
        body = b"reach " + orjson.dumps(asdict(terms), default=str, option=orjson.OPT_SORT_KEYS)

        def work(key: IdempotencyKey) -> Sequence[Order]:
            return target_position.reach_if_possible(self._desk, terms, self._cause, key=key).orders

        return self._once(body, work)

    def place_gtt(self, request: GttRequest) -> GttOrder | None:
        self._require_event()
        self._save_event()
        self._gtts += 1
        body = orjson.dumps(asdict(request), default=str, option=orjson.OPT_SORT_KEYS)
        key = self._key(self._gtts, body, kind="gtt")
        try:
            return gtt.place_gtt(self._desk, request, self._cause, key=key)[0]
        except KeyReused:
            # The strategy decides otherwise now, but the GTT order of the interrupted run stands.
            with self._desk.database.read() as connection:
                kept = idempotency.kept_under(connection, key)
                return None if kept is None else gtt.show_gtt(connection, kept)
        except (InvalidBody, Conflict) as error:
            _log.warning("gtt_refused", symbol=request.terms.symbol, detail=error.detail)
            return None

    def gtts(self) -> Sequence[GttOrder]:
        with self._desk.database.read() as connection:
            waiting = gtt_orders.active(connection, self.account)
        mine = [each for each in waiting if each.terms.strategy == self.strategy]
        return sorted(mine, key=lambda each: (each.created_at, each.id))

    def cancel_gtt(self, gtt_id: str) -> GttOrder:
        try:
            return gtt.cancel_gtt(self._desk, gtt_id, self._cause)
        except Conflict:
            with self._desk.database.read() as connection:
                return gtt.show_gtt(connection, gtt_id)

    def set_pnl_exit(self, profit_target: Decimal | None, loss_limit: Decimal | None) -> PnlExit | None:
        return pnl_exits.set_for_strategy(self._desk, self.strategy, profit_target, loss_limit, self._cause)

    def cancel(self, order_id: str) -> Order:
        try:
            return cancel.cancel_order(self._desk, order_id, self._cause)
        except IllegalTransition:
            return self._current(order_id)

    def modify(self, order_id: str, request: ModifyRequest) -> Order:
        try:
            return modify.modify_order(self._desk, order_id, request, self._cause)
        except (IllegalTransition, Conflict, Denied):
            return self._current(order_id)

    def _current(self, order_id: str) -> Order:
        with self._desk.database.read() as connection:
            return ledger.get(connection, order_id)

    def _once(self, body: bytes, work: Callable[[IdempotencyKey], Sequence[Order]]) -> Sequence[Order]:
        """Return the orders of the event's next key, placed now or before the process died."""
        self._require_event()
        self._save_event()
        self._keys += 1
        key = self._key(self._keys, body)
        try:
            orders = work(key)
        except KeyReused:
            # The strategy decides otherwise now, but the order of the interrupted run stands.
            with self._desk.database.read() as connection:
                orders = idempotency.placed_under(connection, key) or ()
        for order in orders:
            self._delivered.note(order)
        return orders

    def _require_event(self) -> None:
        if self._event is None:
            raise RuntimeError("a strategy can place and close only within its callbacks")

    def _key(self, number: int, body: bytes = b"", *, kind: str = "") -> IdempotencyKey:
        name = self._event.name if self._event else ""
        return IdempotencyKey(self._actor, f"{name}#{kind}{number}", hashlib.sha256(body).hexdigest())
