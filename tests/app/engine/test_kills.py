"""The engine killed at every step of an order's journey: nothing acknowledged is lost, nothing sent twice.

A kill is a BaseException out of the store or the exchange; the components are dropped as they are, and new
ones begin on the same store, as a new process would.
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

MOST_STEPS = 200  # more than a journey has
CALLED_OFF = datetime(2026, 11, 20, 6, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Reaper:
    """Counts the steps of a journey and ends it at one of them; before 1 it only counts."""

    at: int = 0
    steps: int = 0
    where: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        self.steps += 1
        self.where.append(name)
        if self.steps == self.at:
            raise Killed(name)


class MortalWriter:
    """A writer whose process may die just before a commit, or just after it."""

    def __init__(self, writer: Writer, reaper: Reaper) -> None:
        self._writer, self._reaper = writer, reaper

    def run(self, work: Callable[..., Any], *, timeout: float = 10.0) -> Any:
        self._reaper.step("before a commit")
        result = self._writer.run(work, timeout=timeout)
        self._reaper.step("after a commit")
        return result


@contextmanager
def mortal(desk: Desk, exchange: FakeExchange, reaper: Reaper, settings: Settings) -> Iterator[EngineRig]:
    """An engine that dies where the reaper says; what it leaves is what was committed."""
    exchange.before = lambda request: reaper.step(f"before {request}")
    exchange.after = lambda request: reaper.step(f"after {request}")
    doomed = replace(desk, writer=MortalWriter(desk.writer, reaper))  # type: ignore[arg-type]
    try:
        yield build_rig(doomed, exchange, settings.algosat.engine)
    finally:
        exchange.before = exchange.after = lambda _request: None


def journey(rig: EngineRig, desk: Desk, orders: list[Order], clock: FakeClock) -> None:
    """Three orders are sent; one is changed, one cancelled; fills come in, each told twice."""
    rig.components.reconciler.mark_interrupted()
    rig.look()
    rig.route()
    ask_for_more(desk, orders)
    clock.forward(seconds=1)
    rig.route()
    for order in orders:
        if order_now(desk, order).status in LIVE:
            report = rig.exchange.fill(order, "4")
            rig.components.report_processor.process([report, report])
    rig.look()


def prepare(desk: Desk) -> list[Order]:
    return [buy(desk), buy(desk, symbol=SECOND), buy(desk, strategy="trend")]


def ask_for_more(desk: Desk, orders: list[Order]) -> None:
    """A change of the first and the end of the second, as soon as they are at the exchange."""
    if order_now(desk, orders[0]).status in LIVE and order_now(desk, orders[0]).pending is None:
        modify.modify_order(desk, orders[0].id, ModifyRequest(Decimal(12), Decimal(99), None), CAUSE)
    if order_now(desk, orders[1]).status in LIVE:
        cancel.cancel_order(desk, orders[1].id, CAUSE)


def recover(desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock) -> EngineRig:
    """A new engine on what the dead one left, running until everything is decided."""
    rig = build_rig(desk, exchange, settings.algosat.engine)
    rig.components.reconciler.mark_interrupted()
    rig.look()
    while _undecided(desk):
        clock.forward(seconds=1)
        rig.route()
        rig.components.reconciler.step()
        assert clock() < CALLED_OFF, "some orders are never decided"
    rig.look()
    return rig


def _undecided(desk: Desk) -> bool:
    open_ends = (Status.CREATED, Status.SUBMITTING, Status.UNKNOWN)
    with desk.database.read() as connection:
        working = queries.working(connection, desk.account)
    return any(order.status in open_ends or order.pending for order in working)


@pytest.mark.parametrize(
    ("every", "second_kill"), [(1, 0), (4, 3)], ids=["one kill", "and another in the recovery"]
)
def test_killed_at_every_step_no_order_is_lost_or_sent_twice(
    settings: Settings, every: int, second_kill: int, tmp_path: Path
) -> None:
    reached: set[str] = set()
    for at in range(1, MOST_STEPS, every):
        clock = FakeClock()
        exchange = FakeExchange(clock)
        with open_desk(_own_store(settings, tmp_path, at), clock) as desk:
            orders = prepare(desk)
            reaper = Reaper(at)
            finished = _survives(desk, exchange, reaper, settings, orders)
            reached.add(reaper.where[-1])
            if second_kill:
                _survives(desk, exchange, Reaper(second_kill), settings, orders)
            rig = recover(desk, exchange, settings, clock)
            _everything_is_right(rig, orders)
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


def _survives(
    desk: Desk, exchange: FakeExchange, reaper: Reaper, settings: Settings, orders: list[Order]
) -> bool:
    """Whether a journey came to its end alive."""
    try:
        with mortal(desk, exchange, reaper, settings) as rig:
            journey(rig, desk, orders, exchange.clock)
    except Killed:
        return False
    return True


def _everything_is_right(rig: EngineRig, orders: list[Order]) -> None:
    tags = rig.exchange.sent
    assert len(tags) == len(set(tags)), "an order was sent twice"
    for order in orders:
        now = order_now(rig.desk, order)
        assert now.status not in (Status.CREATED, Status.SUBMITTING, Status.UNKNOWN)
        assert now.pending is None
        if order.id not in tags:
            # It never left, or never arrived; nobody says it did.
            assert now.status in (Status.NOT_FOUND, Status.REJECTED)
        else:
            report = next(each for each in rig.exchange.book.values() if each.tag == order.id)
            assert (now.status, now.filled_quantity) == (report.status, report.filled_quantity)
            assert now.terms.quantity == report.terms.quantity
    with rig.desk.database.read() as connection:
        assert verify(connection).clean
        booked = sum(position.quantity for position in queries.open_positions(connection, "paper"))
    assert booked == sum(report.filled_quantity for report in rig.exchange.book.values())
