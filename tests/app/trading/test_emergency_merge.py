"""Halts and cancels while the store is full, read-only or locked: recorded, sent, and merged afterwards."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from algosat.config.loader import load
from algosat.domain.orders import Order, PendingRequest, Status
from algosat.domain.risk import DenialCode
from algosat.domain.scope import Scope
from algosat.engine.daily_loss import DailyLossWatch
from algosat.errors import IllegalTransition, NotFound, StoreBusy
from algosat.store import audit
from algosat.store.emergency_journal import RecordKind
from algosat.trading import cancel, halts, pnl_exits
from algosat.trading.desk import Desk, Desks
from algosat.trading.emergency_merge import merge_first
from tests.app.builders import algosat_data, write_configuration
from tests.app.desks import (
    CAUSE,
    SECOND,
    advance,
    buy,
    hold,
    open_alerts,
    open_desk,
    order_now,
    set_prices,
)
from tests.app.engine.rig import EngineRig, build_rig, failing, no_fault
from tests.app.engine.test_linked_exits import Walk
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock
from tests.app.store.small_disks import fill, small_disk

pytestmark = pytest.mark.sqlite


@dataclass(frozen=True, slots=True)
class Place:
    """A desk whose store is on a small disk, and the ways in which that disk fails."""

    desk: Desk
    disk: Path
    monkeypatch: pytest.MonkeyPatch

    @contextmanager
    def full(self) -> Iterator[None]:
        # What SQLite has room for in the last page of its log is no refusal: let it grow first.
        self.desk.writer.run(lambda connection: connection.execute(text("SELECT 1")))
        filler = fill(self.disk)
        yield
        filler.unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        def refused(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        with self.monkeypatch.context() as system:
            system.setattr("algosat.store.writer.acquire", refused)
            system.setattr("algosat.store.write_lock.acquire", refused)
            yield

    @contextmanager
    def locked(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.disk / "algosat.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield


Fault = Callable[[Place], AbstractContextManager[None]]
faults = pytest.mark.parametrize("fault", [Place.full, Place.read_only, Place.locked])


@pytest.fixture
def place(
    tmp_path: Path, fresh_store: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    monkeypatch.setattr(cancel, "EMERGENCY_AFTER", 0.05)
    monkeypatch.setattr("algosat.store.writer._LOCK_WAIT", 10)
    with small_disk(tmp_path, 24) as disk:
        data = algosat_data(
            tmp_path, data_directory=str(disk), database__url=f"sqlite:///{disk / 'algosat.db'}"
        )
        write_configuration(tmp_path, data)
        shutil.copy(fresh_store, disk / "algosat.db")
        with open_desk(load(tmp_path), clock) as desk:
            assert desk.journal is not None
            desk.journal.allocate()
            merge_first(Desks(desk))
            yield Place(desk, disk, monkeypatch)


@pytest.fixture
def rig(place: Place, clock: FakeClock) -> EngineRig:
    exchange = FakeExchange(clock)
    return build_rig(place.desk, exchange, load(place.disk.parent).algosat.engine)


def write_anything(desk: Desk) -> None:
    desk.writer.run(lambda connection: connection.execute(text("SELECT 1")))


def in_force(desk: Desk) -> list[Scope]:
    with desk.database.read() as connection:
        return [each.scope for each in halts.all_in_force(connection)]


def merged(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return [
            each.data["outcome"] for each in audit.all_events(connection) if each.kind == "emergency.merged"
        ]


def works_at(exchange: FakeExchange, order: Order) -> bool:
    return any(each.tag == order.id and each.status is Status.OPEN for each in exchange.book.values())


@faults
def test_halt_leaves_at_once_and_holds_when_the_store_is_back(
    place: Place, rig: EngineRig, fault: Fault
) -> None:
    desk = place.desk
    sent, unsent = rig.send(buy(desk)), buy(desk, symbol=SECOND)
    with fault(place):
        halts.halt_trading(desk, CAUSE, "stop")
        with desk.database.read() as connection:
            assert [each.reason for each in halts.recorded(connection, desk)] == ["stop"]
        rig.components.emergency_cancels.step()
        assert not works_at(rig.exchange, sent)
    assert in_force(desk) == []
    late = buy(desk)  # the first write that the store takes: the halt comes before it
    assert (late.status, late.code) == (Status.DENIED, DenialCode.HALTED)
    assert in_force(desk) == [Scope()]
    assert order_now(desk, unsent).status is Status.CANCELLED
    rig.route()
    rig.reconcile()
    assert order_now(desk, sent).status is Status.CANCELLED
    assert rig.exchange.sent == [sent.id]
    assert merged(desk) == ["applied"]
    assert {kind for kind, _ in open_alerts(desk)} == {"store.emergency"}
    assert desk.journal is not None
    assert desk.journal.records() == []
    halts.resume_trading(desk, CAUSE)
    assert buy(desk).status is Status.CREATED
    with desk.database.read() as connection:
        assert audit.first_broken_link(connection) is None


@faults
def test_cancel_leaves_at_once_and_is_booked_when_the_store_is_back(
    place: Place, rig: EngineRig, fault: Fault
) -> None:
    desk = place.desk
    wanted, other = rig.send(buy(desk)), rig.send(buy(desk))
    with fault(place):
        assert cancel.cancel_order(desk, wanted.id, CAUSE).pending is PendingRequest.PENDING_CANCEL
        rig.components.emergency_cancels.step()
        assert not works_at(rig.exchange, wanted)
        assert works_at(rig.exchange, other)
    write_anything(desk)
    assert order_now(desk, wanted).pending is PendingRequest.PENDING_CANCEL
    rig.route()
    rig.reconcile()
    assert order_now(desk, wanted).status is Status.CANCELLED
    assert order_now(desk, other).status is Status.OPEN


@faults
def test_order_that_was_not_sent_is_cancelled_before_the_engine_can_send_it(
    place: Place, rig: EngineRig, fault: Fault
) -> None:
    unsent = buy(place.desk)
    with fault(place):
        cancel.cancel_order(place.desk, unsent.id, CAUSE)
    rig.route()
    assert order_now(place.desk, unsent).status is Status.CANCELLED
    assert rig.exchange.sent == []


@faults
def test_pnl_exit_that_is_reached_meanwhile_halts_its_strategy_once(
    place: Place, rig: EngineRig, fault: Fault
) -> None:
    desk, watch = place.desk, DailyLossWatch()
    hold(desk, "100", strategy="trend")
    pnl_exits.set_pnl_exit(desk, "trend", Decimal(500), Decimal(300), CAUSE)
    watch.check(desk)
    set_prices(desk, ALPHA="96")
    with fault(place):
        for _ in range(2):
            watch.check(desk)
        with desk.database.read() as connection:
            assert [each.scope for each in halts.known(connection, desk)] == [Scope("trend")]
    write_anything(desk)
    assert in_force(desk) == [Scope("trend")]


@faults
def test_cancel_by_the_id_of_a_replaced_exit_ends_the_exit_that_replaced_it(
    place: Place, rig: EngineRig, fault: Fault
) -> None:
    hold(place.desk, "10")
    walk = Walk(rig, load(place.disk.parent))
    stop = walk.oco()
    walk.step("105.05")
    walk.step("101")  # the target has taken the place of the stop
    (target,) = walk.working
    with fault(place):
        assert cancel.cancel_order(place.desk, stop.id, CAUSE).id == target.id
        rig.components.emergency_cancels.step()
        assert not works_at(rig.exchange, target)
    write_anything(place.desk)
    walk.step(number=3)
    assert (walk.working, walk.outcome_of(stop)) == ([], "cancelled")


@faults
def test_cancel_of_all_orders_is_recorded_with_its_selection(
    place: Place, rig: EngineRig, fault: Fault
) -> None:
    desk = place.desk
    chosen, other = rig.send(buy(desk, symbol=SECOND)), rig.send(buy(desk))
    with fault(place):
        assert [each.id for each in cancel.cancel_all(desk, CAUSE, symbol=SECOND)] == [chosen.id]
        rig.components.emergency_cancels.step()
        assert not works_at(rig.exchange, chosen)
        assert works_at(rig.exchange, other)
    write_anything(desk)
    assert order_now(desk, chosen).pending is PendingRequest.PENDING_CANCEL
    assert order_now(desk, other).pending is None


def test_halt_that_cancels_nothing_leaves_orders_working(place: Place, rig: EngineRig) -> None:
    order = rig.send(buy(place.desk))
    with place.locked():
        halts.halt_trading(place.desk, CAUSE, "stop", cancel_orders=False)
        rig.components.emergency_cancels.step()
    write_anything(place.desk)
    assert works_at(rig.exchange, order)
    assert order_now(place.desk, order).pending is None
    assert in_force(place.desk) == [Scope()]


def test_order_filled_meanwhile_keeps_its_fill_and_the_record_is_audited(
    place: Place, rig: EngineRig
) -> None:
    desk = place.desk
    order = rig.send(buy(desk))
    with place.locked():
        cancel.cancel_order(desk, order.id, CAUSE)
    # The fill is booked by a process whose release does not know the journal.
    desk.writer._first = None  # noqa: SLF001
    advance(desk, order, fill="10")
    merge_first(Desks(desk))
    write_anything(desk)
    assert order_now(desk, order).status is Status.FILLED
    assert merged(desk) == [f"not applied: order {order.id} is filled: there is nothing left to cancel"]


def test_cancel_is_repeated_with_growing_pauses_until_the_broker_takes_it(
    place: Place, rig: EngineRig, clock: FakeClock
) -> None:
    order = rig.send(buy(place.desk))
    calls = list[str]()
    rig.exchange.before = calls.append
    lost = failing(TimeoutError("no answer"), "cancel")

    def lose(request: str) -> None:
        calls.append(request)
        lost(request)

    rig.exchange.before = lose
    with place.locked():
        cancel.cancel_order(place.desk, order.id, CAUSE)
        for _ in range(70):
            rig.components.emergency_cancels.step()
            clock.forward(milliseconds=250)
        assert calls.count("cancel") == 5  # after 0, 1, 3, 7 and 15 s
        rig.exchange.before = no_fault
        clock.forward(seconds=30)
        rig.components.emergency_cancels.step()
        assert not works_at(rig.exchange, order)


def test_process_that_ends_between_commit_and_removal_merges_nothing_twice(place: Place) -> None:
    desk = place.desk
    with place.locked():
        halts.halt_trading(desk, CAUSE, "stop")
    assert desk.journal is not None
    with place.monkeypatch.context() as crash:
        crash.setattr(type(desk.journal), "remove", lambda *_: None)
        write_anything(desk)
    assert desk.journal.records() != []
    with desk.database.read() as connection:
        assert halts.recorded(connection, desk) == []
    merge_first(Desks(desk))  # another process
    halts.resume_trading(desk, CAUSE)
    assert (in_force(desk), merged(desk), desk.journal.records()) == ([], ["applied"], [])


def test_refused_requests_are_refused_without_a_record(place: Place, rig: EngineRig) -> None:
    desk = place.desk
    ended = cancel.cancel_order(desk, buy(desk).id, CAUSE)
    with place.locked():
        with pytest.raises(IllegalTransition):
            cancel.cancel_order(desk, ended.id, CAUSE)
        with pytest.raises(NotFound):
            cancel.cancel_order(desk, "a" * 18, CAUSE)
        with pytest.raises(NotFound):
            halts.halt_trading(desk, CAUSE, "stop", scope=Scope("no such strategy"))
    assert desk.journal is not None
    assert desk.journal.records() == []


def test_record_for_an_account_that_is_gone_stops_no_write(place: Place) -> None:
    desk = place.desk
    assert desk.journal is not None
    data = {"account": "gone", "symbol": None, "strategy": None}
    desk.journal.append(RecordKind.CANCEL_ALL, desk.clock(), CAUSE, data)
    write_anything(desk)
    (outcome,) = merged(desk)
    assert outcome.startswith("not applied: no account")


def test_unit_that_fails_leaves_the_merge_to_the_next_one(place: Place) -> None:
    desk = place.desk
    with place.locked():
        halts.halt_trading(desk, CAUSE, "stop")

    def fails(_connection: object) -> None:
        raise NotFound("nothing")

    with pytest.raises(NotFound):
        desk.writer.run(fails)
    assert (in_force(desk), len(desk.journal.records() if desk.journal else ())) == ([], 1)
    desk.writer.run(lambda _connection: None, durable=False)
    assert in_force(desk) == [Scope()]


def test_store_without_a_journal_refuses_as_before(place: Place) -> None:
    desk = replace(place.desk, journal=None)
    order = buy(desk)
    with place.locked():
        for request in (
            lambda: halts.halt_trading(desk, CAUSE, "stop"),
            lambda: cancel.cancel_order(desk, order.id, CAUSE),
            lambda: cancel.cancel_all(desk, CAUSE),
        ):
            with pytest.raises(StoreBusy):
                request()


def test_merge_waits_for_the_disk_whatever_unit_follows_it(place: Place) -> None:
    desk = place.desk

    def synchronous() -> int:
        mode = text("PRAGMA synchronous")
        return desk.writer.run(lambda it: int(it.execute(mode).scalar_one()), durable=False)

    with place.locked():
        halts.halt_trading(desk, CAUSE, "stop")
    assert (synchronous(), synchronous()) == (2, 1)  # FULL, then NORMAL


def test_store_that_refuses_the_merge_leaves_the_record(place: Place) -> None:
    desk = place.desk
    with place.locked():
        halts.halt_trading(desk, CAUSE, "stop")

    def refuse(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("disk I/O error"))

    with place.monkeypatch.context() as disk:
        disk.setattr(halts, "store_recorded", refuse)
        with pytest.raises(StoreBusy):
            write_anything(desk)
    write_anything(desk)
    assert (in_force(desk), merged(desk)) == ([Scope()], ["applied"])


@faults
def test_daily_loss_is_recorded_once_however_often_it_is_found(
    place: Place, rig: EngineRig, fault: Fault
) -> None:
    desk, watch = place.desk, DailyLossWatch()
    desk = replace(desk, defaults=replace(desk.defaults, max_daily_loss=Decimal(300)))
    hold(desk, "100")
    watch.check(desk)
    set_prices(desk, ALPHA="96")
    with fault(place):
        for _ in range(3):
            watch.check(desk)
        assert desk.journal is not None
        assert [each.kind for each in desk.journal.records()] == [RecordKind.HALT]
    write_anything(desk)
    assert in_force(desk) == [Scope()]
