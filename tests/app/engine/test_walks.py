"""Long random walks through everything that happens to orders, reproducible by their seed.

Orders are placed, changed and cancelled. The exchange fills, triggers, ends and changes them, and
reports it late, twice or never. It numbers trades alike in several orders, half of the exchanges give
a changed order a new number, trades lag behind their orders, and orders vanish from the book for a
while. Requests and answers are lost, trading is halted and resumed, engines restart, and the clock is
set back. Once the faults end, the exchange's order book and ours must agree; nothing is sent twice, or
under a halt.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from algosat.config.settings import Settings
from algosat.domain.orders import LIVE, ModifyRequest, Order, OrderType, Product, Side, Status, Validity
from algosat.domain.orders.report import OrderReport, latest_of_each
from algosat.domain.reason_codes import EngineCode
from algosat.domain.scope import ACCOUNT, Scope
from algosat.errors import (
    BrokerError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerRejected,
    BrokerUncertain,
    Conflict,
    Denied,
    IllegalTransition,
    InvalidBody,
    NotFound,
    NothingToClose,
)
from algosat.store import queries
from algosat.store.verify.verify import verify
from algosat.trading import cancel, close, close_records, halts, modify, place
from algosat.trading.close import CloseTerms
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SECOND, SHARE, open_desk, order_now, set_prices, terms_of
from tests.app.engine.rig import build_rig, step_duties
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock
from tests.app.thorough import examples

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]

STEPS = 300
FAULTS: tuple[BrokerError, ...] = (
    BrokerNotReached("away"), BrokerRejected("no"), BrokerUncertain("lost"), BrokerRateLimited("slow down"),
)  # fmt: skip


class Walk:
    def __init__(self, seed: int, desk: Desk, exchange: FakeExchange, settings: Settings) -> None:
        self.chance, self.desk, self.exchange = random.Random(seed), desk, exchange
        self.rules = settings.algosat.engine
        self.rig = build_rig(desk, exchange, self.rules)
        self.share_of_faults = 0.0
        self.reports: list[OrderReport] = []
        exchange.capabilities = replace(exchange.capabilities, replace_keeps_number=seed % 2 == 0)
        exchange.before = exchange.after = self._fault
        self.steps: dict[Callable[[], None], float] = {
            self.run_engine: 20, self.place: 12, self.stop: 2, self.change: 5, self.cancel: 3,
            self.close: 0.8, self.withdraw: 0.4, self.fill: 6, self.change_elsewhere: 2,
            self.end_elsewhere: 1.5, self.report_again: 3, self.halt: 0.5, self.resume: 2, self.faults: 2,
            self.set_clock_back: 0.5, self.restart: 0.5, self.lag_trades: 0.7, self.hide_orders: 0.7,
        }  # fmt: skip

    def go(self) -> None:
        for _ in range(STEPS):
            (step,) = self.chance.choices(list(self.steps), list(self.steps.values()))
            step()

    def settle(self) -> None:
        self.share_of_faults = 0
        self.exchange.shows, self.exchange.hidden = _as_it_is, set()
        self.resume()
        for _ in range(60):
            self.exchange.clock.forward(seconds=5)
            set_prices(self.desk)
            self.rig.route()
            self.rig.components.reconciler.step()
            self.rig.reconcile()

    def _fault(self, request: str) -> None:
        self.reports += list(self.exchange.book.values())[-3:]
        if self.chance.random() < self.share_of_faults:
            fault = self.chance.choice(FAULTS)
            raise fault if request != "place" else BrokerUncertain("lost")

    # --- the engine ----------------------------------------------------------------------------------

    def run_engine(self) -> None:
        self.exchange.clock.forward(seconds=self.chance.choice([0.1, 0.6, 3, 6, 20]))
        set_prices(self.desk, ALPHA=f"{100 + self.chance.randint(-20, 20) * 0.05:.2f}")
        components, sent = self.rig.components, len(self.exchange.sent)
        with self.desk.database.read() as connection:
            in_force = halts.all_in_force(connection)
        work: list[Callable[[], object]] = [
            self.rig.route,
            self.rig.route,
            self.rig.reconcile,
            components.reconciler.step,
            lambda: step_duties(components),
        ]
        self.chance.choice(work)()
        for tag in self.exchange.sent[sent:]:
            terms = order_now(self.desk, tag).terms
            assert terms.reduce_only or not any(halt.covers(terms.strategy) for halt in in_force)

    def restart(self) -> None:
        self.rig.components.router.stop()
        self.rig = build_rig(self.desk, self.exchange, self.rules)
        self.rig.components.reconciler.mark_interrupted()

    def set_clock_back(self) -> None:
        self.exchange.clock.forward(seconds=-self.chance.choice([0.5, 30, 3600, 36 * 3600]))
        set_prices(self.desk)

    def faults(self) -> None:
        self.share_of_faults = self.chance.choice([0, 0, 0, 0.2, 0.7])

    # --- traders -------------------------------------------------------------------------------------

    def place(self) -> None:
        terms = terms_of(
            self.chance.choice(["1", "5", "10", "50"]),
            side=self.chance.choice(list(Side)),
            limit=self.chance.choice([None, "99.50", "100", "100.50"]),
            strategy=self.chance.choice([None, "trend"]),
            symbol=self.chance.choice([SHARE, SECOND]),
            product=Product.INTRADAY,
            reduce_only=self.chance.random() < 0.4,
            validity=self.chance.choice([Validity.DAY, Validity.DAY, Validity.IOC]),
        )
        place.place_order(self.desk, terms, CAUSE)

    def stop(self) -> None:
        side = self.chance.choice(list(Side))
        terms = terms_of("10", side=side, product=Product.INTRADAY, limit=None, type=OrderType.STOP)
        trigger = Decimal(100) + 3 * side.sign
        place.place_order(self.desk, replace(terms, trigger_price=trigger), CAUSE)

    def change(self) -> None:
        quantity = self.chance.choice([None, Decimal(3), Decimal(12), Decimal(60)])
        price = self.chance.choice([None, Decimal("99.80"), Decimal("100.20")])
        for order in self._some():
            with suppress(IllegalTransition, Conflict, Denied):
                modify.modify_order(self.desk, order.id, ModifyRequest(quantity, price, None), CAUSE)

    def cancel(self) -> None:
        for order in self._some():
            with suppress(IllegalTransition):
                cancel.cancel_order(self.desk, order.id, CAUSE)

    def close(self) -> None:
        terms = self.chance.choice([CloseTerms(), CloseTerms(), CloseTerms(share=Decimal(50))])
        strategy = self.chance.choice([None, "trend"])
        with suppress(NothingToClose, Conflict, InvalidBody):
            close.close_position(
                self.desk, self.chance.choice([SHARE, SECOND]), CAUSE, strategy=strategy, terms=terms
            )
        if self.chance.random() < 0.3:
            close.close_all(self.desk, CAUSE)

    def withdraw(self) -> None:
        with self.desk.database.read() as connection:
            under_way = close_records.unfinished(connection, self.desk.account)
        for closing in self.chance.sample(under_way, min(1, len(under_way))):
            close.withdraw(self.desk, closing.id, CAUSE)

    def halt(self) -> None:
        options: Any = {"cancel_orders": self.chance.random() < 0.7, "flatten": self.chance.random() < 0.4}
        with suppress(NotFound):
            halts.halt_trading(
                self.desk, CAUSE, "why", scope=self.chance.choice([ACCOUNT, Scope("trend")]), **options
            )

    def resume(self) -> None:
        for scope in (ACCOUNT, Scope("trend")):
            halts.resume_trading(self.desk, CAUSE, scope=scope)

    def _some(self) -> list[Order]:
        with self.desk.database.read() as connection:
            working = queries.working(connection, self.desk.account)
        return self.chance.sample(working, min(1, len(working)))

    # --- the exchange --------------------------------------------------------------------------------

    def fill(self) -> None:
        for report in self._alive():
            left = report.terms.quantity - report.filled_quantity
            quantity = min(left, Decimal(self.chance.choice([1, 2, 5, 1000])))
            number = f"T{report.filled_quantity}"  # other orders have trades of this number, too
            self._perhaps_report(self.exchange.fill(self._ours(report), str(quantity), number=number))

    def lag_trades(self) -> None:
        """Let the order book show orders without their trades, or with them again."""
        self.exchange.shows = self.chance.choice([_as_it_is, _without_trades])

    def hide_orders(self) -> None:
        """Leave some orders out of the order book, or none."""
        numbers = list(self.exchange.book)[-12:]
        self.exchange.hidden = set(self.chance.sample(numbers, min(len(numbers), self.chance.choice([0, 3]))))

    def change_elsewhere(self) -> None:
        for report in self._alive():
            quantity = max(report.filled_quantity + 1, Decimal(self.chance.choice([2, 4, 15, 30])))
            self._put(replace(report, terms=replace(report.terms, quantity=quantity)))

    def end_elsewhere(self) -> None:
        for report in self._alive():
            waits = report.status is Status.TRIGGER_PENDING
            ends = [Status.OPEN] if waits else [Status.CANCELLED, Status.EXPIRED, Status.REJECTED]
            self._perhaps_report(self._put(replace(report, status=self.chance.choice(ends))))
            if not waits and self.chance.random() < 0.3:
                self.exchange.fill(self._ours(report), "1")

    def report_again(self) -> None:
        if self.reports:
            self.rig.components.report_processor.process([self.chance.choice(self.reports[-20:])])

    def _alive(self) -> list[OrderReport]:
        alive = [report for report in self.exchange.book.values() if report.status in LIVE]
        return self.chance.sample(alive, min(1, len(alive)))

    def _ours(self, report: OrderReport) -> Order:
        return order_now(self.desk, str(report.tag))

    def _put(self, report: OrderReport) -> OrderReport:
        self.exchange.book[report.broker_order_id] = replace(report, at=self.exchange.clock())
        return self.exchange.book[report.broker_order_id]

    def _perhaps_report(self, report: OrderReport) -> None:
        self.reports.append(report)
        if self.chance.random() < 0.6:
            self.rig.components.report_processor.process([report])


def _as_it_is(report: OrderReport) -> OrderReport:
    return report


def _without_trades(report: OrderReport) -> OrderReport:
    return replace(report, trades=())


@pytest.fixture(params=range(examples(8)))
def walk(request: pytest.FixtureRequest, settings: Settings, clock: FakeClock) -> Iterator[Walk]:
    generous = {"max_orders_per_second": 1000, "max_orders_per_day": 10_000, "max_daily_loss": Decimal(10**9)}
    with open_desk(settings, clock, duplicate_window_seconds=0.0, **generous) as desk:
        yield Walk(request.param, desk, FakeExchange(clock), settings)


def test_both_order_books_agree_after_faults_and_nothing_is_sent_twice(walk: Walk) -> None:
    walk.go()
    walk.settle()
    desk, exchange = walk.desk, walk.exchange
    assert len(set(exchange.sent)) == len(exchange.sent) > 0
    positions: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    latest = {report.broker_order_id: report for report in latest_of_each(list(exchange.book.values()))}
    for report in latest.values():
        order = order_now(desk, str(report.tag))
        assert order.code != EngineCode.FILL_INFERRED
        assert order.filled_quantity == report.filled_quantity
        assert (order.status in LIVE) == (report.status in LIVE), (order, report)
        if report.status in LIVE:
            assert (order.terms.quantity, order.pending) == (report.terms.quantity, None)
        key = (order.terms.strategy or "", order.terms.symbol)
        positions[key] += order.terms.side.sign * report.filled_quantity
    with desk.database.read() as connection:
        assert verify(connection).clean
        held = {
            (each.strategy, each.symbol): each.quantity
            for each in queries.open_positions(connection, desk.account)
        }
        working = queries.working(connection, desk.account)
    assert held == {key: quantity for key, quantity in positions.items() if quantity}
    assert not [order for order in working if order.status in (Status.SUBMITTING, Status.UNKNOWN)]
