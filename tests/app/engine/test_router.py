from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import Connection

from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, ModifyRequest, PendingRequest, Status
from algosat.domain.reason_codes import EngineCode
from algosat.domain.risk import DenialCode
from algosat.engine.workers import THREADS_FOR_EXITS
from algosat.errors import BrokerNotReached
from algosat.store import audit
from algosat.store.leader_lock import NotLeading
from algosat.trading import halts, modify
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SECOND, SHARE, advance, buy, hold, open_desk, order_now, sell
from tests.app.engine.rig import EngineRig, build_rig, failing
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock, InlineWorkers


def test_created_orders_are_sent_once_and_oldest_first(rig: EngineRig) -> None:
    orders = [buy(rig.desk) for _ in range(3)]
    rig.route()
    rig.route()
    assert rig.exchange.sent == [order.id for order in orders]
    assert {order_now(rig.desk, order).status for order in orders} == {Status.OPEN}


def test_exits_are_sent_before_older_entries(rig: EngineRig, clock: FakeClock) -> None:
    hold(rig.desk, "10")
    entries = [buy(rig.desk, "1") for _ in range(25)]
    exit_order = sell(rig.desk, "10", reduce_only=True)
    entries.append(buy(rig.desk, "1"))
    while rig.route():
        clock.forward(seconds=1)
    assert rig.exchange.sent == [order.id for order in (exit_order, *entries)]


def test_order_is_committed_as_submitting_before_it_is_sent(rig: EngineRig) -> None:
    seen: list[Status] = []
    orders = [buy(rig.desk), buy(rig.desk)]
    rig.exchange.before = lambda _: seen.extend(order_now(rig.desk, each).status for each in orders)
    rig.route()
    assert seen[:2] == [Status.SUBMITTING] * 2


def test_engine_events_carry_the_correlation_id_of_the_request(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    with rig.desk.database.read() as connection:
        events = audit.events_of(connection, order.id)
    assert {event.correlation_id for event in events} == {CAUSE.correlation_id}
    assert [event.actor for event in events] == ["tester", "engine", "engine"]


def test_order_past_its_deadline_is_rejected_and_never_sent(rig: EngineRig, clock: FakeClock) -> None:
    order = buy(rig.desk)
    clock.forward(seconds=10.1)
    refused = rig.send(order)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.SEND_DEADLINE)
    assert rig.exchange.sent == []


def test_orders_wait_for_an_unavailable_broker_until_their_deadline(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.active = False
    order = buy(rig.desk)
    assert rig.route()
    assert order_now(rig.desk, order).status is Status.CREATED
    clock.forward(seconds=10.1)
    assert rig.send(order).code == EngineCode.BROKER_UNAVAILABLE
    assert rig.exchange.sent == []


def test_order_placed_before_the_clock_was_set_back_is_rejected(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.active = False
    order = buy(rig.desk)
    rig.route()
    clock.forward(hours=-1)
    rig.exchange.active = True
    refused = rig.send(order)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.SEND_DEADLINE)
    assert rig.exchange.sent == []


def test_setting_the_clock_back_by_seconds_rejects_nothing(rig: EngineRig, clock: FakeClock) -> None:
    order = buy(rig.desk)
    clock.forward(seconds=-2)
    assert rig.send(order).status is Status.OPEN


def test_waiting_order_is_sent_when_the_broker_returns_in_time(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.active = False
    order = buy(rig.desk)
    rig.route()
    rig.exchange.active = True
    clock.forward(seconds=5)
    assert rig.send(order).status is Status.OPEN


def test_nothing_is_sent_before_the_brokers_order_book_was_read(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    exchange.before = failing(BrokerNotReached("down"), "reports")
    rig = build_rig(desk, exchange, settings.algosat.engine)
    order = buy(desk)
    assert rig.route()
    assert exchange.sent == []
    clock.forward(seconds=10.1)
    assert rig.send(order).code == EngineCode.BROKER_UNAVAILABLE


def test_no_more_orders_are_committed_as_submitting_than_workers_are_free(
    rig: EngineRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InlineWorkers, "free", lambda _lane: 2 + THREADS_FOR_EXITS)
    orders = [buy(rig.desk) for _ in range(3)]
    assert rig.route()
    assert rig.exchange.sent == [order.id for order in orders[:2]]
    assert order_now(rig.desk, orders[2]).status is Status.CREATED


def test_exit_is_sent_when_entries_have_taken_their_threads(
    rig: EngineRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(rig.desk, "10")
    monkeypatch.setattr(InlineWorkers, "free", lambda _lane: THREADS_FOR_EXITS)
    entry = buy(rig.desk, symbol=SECOND)
    exit_order = sell(rig.desk, "10", reduce_only=True)
    assert rig.route()
    assert rig.exchange.sent == [exit_order.id]
    assert order_now(rig.desk, entry).status is Status.CREATED


def test_orders_beyond_the_outbound_limit_wait_for_the_next_second(rig: EngineRig, clock: FakeClock) -> None:
    for _ in range(10):
        buy(rig.desk)
    assert rig.route()
    assert len(rig.exchange.sent) == 8
    clock.forward(seconds=1)
    assert not rig.route()
    assert len(rig.exchange.sent) == 10


def test_unknown_order_blocks_its_strategy_and_symbol(rig: EngineRig) -> None:
    lost, same, other_symbol, other_strategy = (
        buy(rig.desk),
        buy(rig.desk, "20"),
        buy(rig.desk, symbol=SECOND),
        buy(rig.desk, strategy="trend"),
    )
    advance(rig.desk, lost, EventKind.SUBMITTING, EventKind.UNCERTAIN)
    assert rig.route()
    assert rig.exchange.sent == [other_symbol.id, other_strategy.id]
    assert order_now(rig.desk, same).status is Status.CREATED


def test_entry_that_would_be_held_back_is_denied_at_once(rig: EngineRig) -> None:
    lost = advance(rig.desk, buy(rig.desk), EventKind.SUBMITTING, EventKind.UNCERTAIN)
    denied = buy(rig.desk, "20")
    assert (denied.status, denied.code) == (Status.DENIED, DenialCode.HELD_BACK)
    assert SHARE in str(denied.reason)
    assert buy(rig.desk, symbol=SECOND).status is buy(rig.desk, strategy="trend").status is Status.CREATED
    advance(rig.desk, lost, EventKind.ACCEPTED)
    assert buy(rig.desk, "20").status is Status.CREATED


def test_exit_passes_an_unknown_order_and_cannot_flip_the_position(rig: EngineRig) -> None:
    """The unknown exit counts as working: what the position can lose by it, no other exit takes."""
    hold(rig.desk, "10")
    advance(rig.desk, sell(rig.desk, "6", reduce_only=True), EventKind.SUBMITTING, EventKind.UNCERTAIN)
    assert sell(rig.desk, "5", reduce_only=True).code == DenialCode.MORE_THAN_HELD
    rest = sell(rig.desk, "4", reduce_only=True)
    assert not rig.route()
    assert rig.exchange.sent == [rest.id]


def test_exit_passes_an_unknown_entry(rig: EngineRig) -> None:
    hold(rig.desk, "10")
    advance(rig.desk, buy(rig.desk, "20"), EventKind.SUBMITTING, EventKind.UNCERTAIN)
    leave = sell(rig.desk, "10", reduce_only=True)
    rig.route()
    assert rig.exchange.sent == [leave.id]


def test_modification_passes_an_unknown_order(rig: EngineRig) -> None:
    order, lost = rig.send(buy(rig.desk)), buy(rig.desk, "20")
    advance(rig.desk, lost, EventKind.SUBMITTING, EventKind.UNCERTAIN)
    changed = modify.modify_order(rig.desk, order.id, ModifyRequest(limit_price=Decimal(99)), CAUSE)
    assert changed.pending is PendingRequest.PENDING_MODIFY


def test_halt_rejects_unsent_entries_and_lets_exits_pass(rig: EngineRig) -> None:
    hold(rig.desk)
    entry, exit_order = buy(rig.desk), sell(rig.desk, reduce_only=True)
    halts.halt_trading(rig.desk, CAUSE, "stop", cancel_orders=False)
    rig.route()
    refused = order_now(rig.desk, entry)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.HALTED_BEFORE_SENDING)
    assert rig.exchange.sent == [exit_order.id]


def test_nothing_is_sent_after_the_lead_is_lost(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    def fence(_connection: Connection) -> None:
        raise NotLeading("another engine leads")

    order = buy(desk)
    with pytest.raises(NotLeading):
        build_rig(desk, exchange, settings.algosat.engine, fence).route()
    assert exchange.sent == []
    assert order_now(desk, order).status is Status.CREATED


def test_orders_sent_before_a_restart_count_towards_the_limit(rig: EngineRig, settings: Settings) -> None:
    for _ in range(8):
        buy(rig.desk)
    rig.route()
    buy(rig.desk)
    restarted = build_rig(rig.desk, rig.exchange, settings.algosat.engine)
    assert restarted.route()
    assert len(rig.exchange.sent) == 8


def test_rejection_of_a_blocked_order_names_the_cause(rig: EngineRig, clock: FakeClock) -> None:
    lost, blocked = buy(rig.desk), buy(rig.desk, "20")
    advance(rig.desk, lost, EventKind.SUBMITTING, EventKind.UNCERTAIN)
    clock.forward(seconds=10.1)
    refused = rig.send(blocked)
    assert refused.code == EngineCode.SEND_DEADLINE
    assert refused.reason is not None
    assert refused.reason.endswith("another order for ALPHA-EQ is not known yet")


def test_blocked_orders_do_not_delay_other_orders(
    settings: Settings, exchange: FakeExchange, clock: FakeClock
) -> None:
    generous = {"max_open_orders": 100, "max_orders_per_second": 100}
    with open_desk(settings, clock, **generous, duplicate_window_seconds=0.0) as desk:
        rig = build_rig(desk, exchange, settings.algosat.engine)
        advance(desk, buy(desk, "1"), EventKind.SUBMITTING, EventKind.UNCERTAIN)
        for _ in range(50):
            buy(desk, "1")
        other = buy(desk, "1", symbol=SECOND)
        assert rig.send(other).status is Status.OPEN
        assert exchange.sent == [other.id]
