"""The bench of the paper broker: its exchange in a store in memory, its faults injected."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from algosat.brokers.base import Broker
from algosat.brokers.faults.faulty_broker import FaultyBroker
from algosat.brokers.faults.plan import AdjustablePlan, Fault, FaultPlan
from algosat.brokers.paper.broker import PaperBroker
from algosat.brokers.paper.persistence import (
    Persistence,
    paper_conversions,
    paper_orders,
    paper_state,
    paper_trades,
)
from algosat.domain.orders import Order, OrderType, Validity, create
from algosat.domain.orders.report import OrderReport
from tests.app.brokers.contract import Bench
from tests.app.brokers.paper.paper_brokers import Clock
from tests.app.exchange.manual_exchange import SHARE, rules_of, terms_of

T = TypeVar("T")
Wrap = Callable[[Broker], Broker]


class MemoryStore:
    """The tables of the paper exchange alone, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        for table in (paper_orders, paper_trades, paper_state, paper_conversions):
            table.create(self._engine)

    def run(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:  # noqa: ARG002
        with self._lock, self._engine.begin() as connection:
            return work(connection)

    def close(self) -> None:
        self._engine.dispose()


class PaperBench(Bench):
    """A running paper broker. `wrap` puts another broker around it; `answers` are faults of every answer."""

    symbol = SHARE

    def __init__(self, wrap: Wrap = lambda broker: broker, answers: frozenset[Fault] = frozenset()) -> None:
        super().__init__()
        self._wrap, self._answers = wrap, answers
        self._clock, self._store = Clock(), MemoryStore()
        self._plan = AdjustablePlan()
        self._connect()

    def close(self) -> None:
        self.broker.stop()
        self._store.close()

    def now(self) -> datetime:
        return self._clock()

    def resting(self, number: int = 1, **terms: Any) -> Order:
        return self._order(number, **{"quantity": 10, "limit_price": self._far(), **terms})

    def of_type(self, number: int, kind: OrderType, validity: Validity) -> Order:
        limit, trigger = self._far(), self._far() + 12
        prices = {
            "limit_price": (trigger + 1 if kind.has_trigger else limit) if kind.has_limit else None,
            "trigger_price": trigger if kind.has_trigger else None,
        }
        order = self._order(number, quantity=10, validity=validity, **prices)
        assert order.terms.type is kind
        return order

    def crossing(self, number: int = 1) -> Order:
        return self._order(number, quantity=10)

    def invalid(self) -> Iterator[Order]:
        yield self._order(1, quantity="1.5")
        yield self._order(2, quantity=10_000_000)
        yield self._order(3, limit_price=self._far() + Decimal("0.01"))
        yield self._order(4, limit_price=self._far() * 100)
        yield self._order(5, symbol="NO-SUCH-EQ")

    def fill(self, order: Order, quantity: int) -> None:
        report = self.at_exchange(order)[0]
        remaining = report.terms.quantity - report.filled_quantity
        self._paper.cross(order, float(quantity / remaining))

    def place_elsewhere(self) -> str:
        return self._paper.place(replace(self.resting(), id="elsewhere")).broker_order_id

    def at_exchange(self, order: Order) -> list[OrderReport]:
        return [each.report() for each in Persistence(self._store, self._paper.account).with_tag(order.id)]

    def begin_next_day(self) -> None:
        self._clock.at += timedelta(days=1)
        self._paper.step()

    def restart(self) -> None:
        self.broker.stop()
        self._connect()

    def lose_answers(self) -> None:
        self._inject(Fault.ANSWER_LOST)

    def lose_requests(self) -> None:
        self._inject(Fault.LOST)

    def cut_off(self) -> None:
        self._inject(Fault.DOWN)

    def restore(self) -> None:
        self._inject()

    def _connect(self) -> None:
        self._paper = PaperBroker(rules_of(), self._store, speed=1, now=self._clock)
        self.broker = self._wrap(FaultyBroker(self._paper, self._plan, cross=self._paper.cross))
        self.restore()
        self.start()

    def _inject(self, *faults: Fault) -> None:
        self._plan.plan = FaultPlan(rates=dict.fromkeys((*faults, *self._answers), 1.0))

    def _far(self) -> Decimal:
        return next(each.bid for each in self._paper.quotes() if each.symbol == SHARE) - 10

    def _order(self, number: int, **terms: Any) -> Order:
        return create(f"a{number:017d}", terms_of(**terms), self.now())
