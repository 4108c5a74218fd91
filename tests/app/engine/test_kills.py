"""The engine killed at every step of an order's journey: no order is lost, and none is sent twice.

A kill is a BaseException raised by the store or the exchange. The components are dropped, and new ones
start on the same store, as a new process would.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from algosat.config.settings import Settings
from algosat.domain.orders import LIVE, ModifyRequest, Order, Status
from algosat.store import queries
from algosat.store.verify.verify import verify
from algosat.store.writer import Writer
from algosat.trading import cancel, modify
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SECOND, buy, open_desk, order_now
from tests.app.engine.rig import EngineRig, build_rig
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]

MOST_STEPS = 200  # more than one run has
GIVE_UP_AT = datetime(2026, 11, 20, 6, tzinfo=UTC)


class Killed(BaseException):
    """The process was killed."""


@dataclass
class Killer:
    """Counts steps, and kills the process at step `at`; 0 only counts."""

    at: int = 0
    steps: int = 0
    where: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        self.steps += 1
        self.where.append(name)
        if self.steps == self.at:
            raise Killed(name)


class KillableWriter:
    """A writer whose process may be killed just before or just after a commit."""

    def __init__(self, writer: Writer, killer: Killer) -> None:
        self._writer, self._reaper = writer, killer

    def run(self, work: Callable[..., Any], *, timeout: float = 10.0) -> Any:
        self._reaper.step("before a commit")
        result = self._writer.run(work, timeout=timeout)
        self._reaper.step("after a commit")
        return result


@contextmanager
def killable_engine(
    desk: Desk, exchange: FakeExchange, killer: Killer, settings: Settings
) -> Iterator[EngineRig]:
    """Yield an engine that is killed at a step. Only what it committed is left."""
    exchange.before = lambda request: killer.step(f"before {request}")
    exchange.after = lambda request: killer.step(f"after {request}")
    killable_desk = replace(desk, writer=KillableWriter(desk.writer, killer))  # type: ignore[arg-type]
    try:
        yield build_rig(killable_desk, exchange, settings.algosat.engine)
    finally:
        exchange.before = exchange.after = lambda _request: None


def run_engine(rig: EngineRig, desk: Desk, orders: list[Order], clock: FakeClock) -> None:
    """Send three orders, change one, cancel one, and process fills, each reported twice."""
    rig.components.reconciler.mark_interrupted()
    rig.reconcile()
    rig.route()
    change_and_cancel(desk, orders)
    clock.forward(seconds=1)
    rig.route()
    for order in orders:
        if order_now(desk, order).status in LIVE:
            report = rig.exchange.fill(order, "4")
            rig.components.report_processor.process([report, report])
    rig.reconcile()


def place_orders(desk: Desk) -> list[Order]:
    return [buy(desk), buy(desk, symbol=SECOND), buy(desk, strategy="trend")]


def change_and_cancel(desk: Desk, orders: list[Order]) -> None:
    """Change the first order and cancel the second, once the exchange has them."""
    if order_now(desk, orders[0]).status in LIVE and order_now(desk, orders[0]).pending is None:
        modify.modify_order(desk, orders[0].id, ModifyRequest(Decimal(12), Decimal(99), None), CAUSE)
    if order_now(desk, orders[1]).status in LIVE:
        cancel.cancel_order(desk, orders[1].id, CAUSE)


def recover(desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock) -> EngineRig:
    """Start a new engine on the same store, and run it until every outcome is known."""
    rig = build_rig(desk, exchange, settings.algosat.engine)
    rig.components.reconciler.mark_interrupted()
    rig.reconcile()
    while _has_open_outcomes(desk):
        clock.forward(seconds=1)
        rig.route()
        rig.components.reconciler.step()
        assert clock() < GIVE_UP_AT, "the outcome of some orders stays open"
    rig.reconcile()
    return rig


def _has_open_outcomes(desk: Desk) -> bool:
    undecided = (Status.CREATED, Status.SUBMITTING, Status.UNKNOWN)
    with desk.database.read() as connection:
        working = queries.working(connection, desk.account)
    return any(order.status in undecided or order.pending for order in working)


@pytest.mark.parametrize(
    ("every", "second_kill"), [(1, 0), (4, 3)], ids=["one kill", "and another in the recovery"]
)
def test_no_order_is_lost_or_sent_twice_when_the_engine_is_killed_at_any_step(
    settings: Settings, every: int, second_kill: int, tmp_path: Path
) -> None:
    reached: set[str] = set()
    for at in range(1, MOST_STEPS, every):
        clock = FakeClock()
        exchange = FakeExchange(clock)
        with open_desk(_own_store(settings, tmp_path, at), clock) as desk:
            orders = place_orders(desk)
            killer = Killer(at)
            finished = _runs_to_the_end(desk, exchange, killer, settings, orders)
            reached.add(killer.where[-1])
            if second_kill:
                _runs_to_the_end(desk, exchange, Killer(second_kill), settings, orders)
            rig = recover(desk, exchange, settings, clock)
            _assert_consistent(rig, orders)
        if finished:
            break
    assert finished
    if every == 1:
        assert {"before place", "after place", "before a commit", "after a commit"} <= reached
        assert {"before cancel", "after cancel", "before modify", "after modify"} <= reached


def _own_store(settings: Settings, directory: Path, number: int) -> Settings:
    copy = shutil.copy(directory / "data" / "algosat.db", directory / "data" / f"kill-{number}.db")
    database = settings.algosat.database.model_copy(update={"url": SecretStr(f"sqlite:///{copy}")})
    return settings.model_copy(update={"algosat": settings.algosat.model_copy(update={"database": database})})


def _runs_to_the_end(
    desk: Desk, exchange: FakeExchange, killer: Killer, settings: Settings, orders: list[Order]
) -> bool:
    """Return whether the engine reached the end without being killed."""
    try:
        with killable_engine(desk, exchange, killer, settings) as rig:
            run_engine(rig, desk, orders, exchange.clock)
    except Killed:
        return False
    return True


def _assert_consistent(rig: EngineRig, orders: list[Order]) -> None:
    tags = rig.exchange.sent
    assert len(tags) == len(set(tags)), "an order was sent twice"
    for order in orders:
        now = order_now(rig.desk, order)
        assert now.status not in (Status.CREATED, Status.SUBMITTING, Status.UNKNOWN)
        assert now.pending is None
        if order.id not in tags:
            # The order was never sent or never arrived, and its status does not claim otherwise.
            assert now.status in (Status.NOT_FOUND, Status.REJECTED)
        else:
            report = next(each for each in rig.exchange.book.values() if each.tag == order.id)
            assert (now.status, now.filled_quantity) == (report.status, report.filled_quantity)
            assert now.terms.quantity == report.terms.quantity
    with rig.desk.database.read() as connection:
        assert verify(connection).clean
        booked = sum(position.quantity for position in queries.open_positions(connection, "paper"))
    assert booked == sum(report.filled_quantity for report in rig.exchange.book.values())
