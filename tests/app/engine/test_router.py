from __future__ import annotations

import pytest
from sqlalchemy import Connection

from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, Status
from algosat.domain.reason_codes import EngineCode
from algosat.errors import BrokerNotReached, BrokerUncertain
from algosat.store import audit
from algosat.store.leader_lock import NotLeading
from algosat.trading import halts
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SECOND, advance, buy, hold, open_desk, order_now, sell
from tests.app.engine.rig import EngineRig, build_rig, failing
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock, InlineWorkers


def test_created_orders_leave_once_and_in_their_order(rig: EngineRig) -> None:
    orders = [buy(rig.desk) for _ in range(3)]
    rig.route()
    rig.route()
    assert rig.exchange.sent == [order.id for order in orders]
    assert {order_now(rig.desk, order).status for order in orders} == {Status.OPEN}


def test_an_order_is_durable_as_submitting_before_the_broker_hears_of_it(rig: EngineRig) -> None:
    seen: list[Status] = []
    orders = [buy(rig.desk), buy(rig.desk)]
    rig.exchange.before = lambda _: seen.extend(order_now(rig.desk, each).status for each in orders)
    rig.route()
    assert seen[:2] == [Status.SUBMITTING] * 2


def test_what_the_engine_does_goes_back_to_the_request_that_caused_it(rig: EngineRig) -> None:
    order = rig.sent(buy(rig.desk))
    with rig.desk.database.read() as connection:
        events = audit.events_of(connection, order.id)
    assert {event.correlation_id for event in events} == {CAUSE.correlation_id}
    assert [event.actor for event in events] == ["tester", "engine", "engine"]


def test_an_order_past_its_deadline_is_refused_and_never_sent(rig: EngineRig, clock: FakeClock) -> None:
    order = buy(rig.desk)
    clock.forward(seconds=10.1)
    refused = rig.sent(order)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.SEND_DEADLINE)
    assert rig.exchange.sent == []


def test_with_the_broker_away_orders_wait_and_are_refused_in_the_end(
    rig: EngineRig, clock: FakeClock
) -> None:
    rig.exchange.active = False
    order = buy(rig.desk)
    assert rig.route()
    assert order_now(rig.desk, order).status is Status.CREATED
    clock.forward(seconds=10.1)
    assert rig.sent(order).code == EngineCode.BROKER_UNAVAILABLE
    assert rig.exchange.sent == []


def test_an_order_from_before_the_clock_was_put_back_is_not_sent_when_nobody_expects_it(
    rig: EngineRig, clock: FakeClock
) -> None:
    rig.exchange.active = False
    order = buy(rig.desk)
    rig.route()
    clock.forward(hours=-1)
    rig.exchange.active = True
    refused = rig.sent(order)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.SEND_DEADLINE)
    assert rig.exchange.sent == []


def test_a_clock_that_is_put_back_by_a_moment_refuses_nothing(rig: EngineRig, clock: FakeClock) -> None:
    order = buy(rig.desk)
    clock.forward(seconds=-2)
    assert rig.sent(order).status is Status.OPEN


def test_with_the_broker_back_in_time_nothing_is_lost(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.active = False
    order = buy(rig.desk)
    rig.route()
    rig.exchange.active = True
    clock.forward(seconds=5)
    assert rig.sent(order).status is Status.OPEN


def test_before_the_brokers_book_was_read_nothing_is_sent_and_nothing_waits_for_ever(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    exchange.before = failing(BrokerNotReached("down"), "reports")
    rig = build_rig(desk, exchange, settings.algosat.engine)
    order = buy(desk)
    assert rig.route()
    assert exchange.sent == []
    clock.forward(seconds=10.1)
    assert rig.sent(order).code == EngineCode.BROKER_UNAVAILABLE


def test_no_more_are_committed_as_submitting_than_can_be_sent_at_once(
    rig: EngineRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InlineWorkers, "free", lambda _lane: 2)
    orders = [buy(rig.desk) for _ in range(3)]
    assert rig.route()
    assert rig.exchange.sent == [order.id for order in orders[:2]]
    assert order_now(rig.desk, orders[2]).status is Status.CREATED


def test_orders_beyond_the_outbound_limit_wait_for_the_next_second(rig: EngineRig, clock: FakeClock) -> None:
    for _ in range(10):
        buy(rig.desk)
    assert rig.route()
    assert len(rig.exchange.sent) == 9
    clock.forward(seconds=1)
    assert not rig.route()
    assert len(rig.exchange.sent) == 10


def test_an_order_of_unknown_fate_keeps_its_strategy_and_symbol_from_sending(rig: EngineRig) -> None:
    advance(rig.desk, buy(rig.desk), EventKind.SUBMITTING, EventKind.UNCERTAIN)
    same, other_symbol, other_strategy = (
        buy(rig.desk),
        buy(rig.desk, symbol=SECOND),
        buy(rig.desk, strategy="trend"),
    )
    assert rig.route()
    assert rig.exchange.sent == [other_symbol.id, other_strategy.id]
    assert order_now(rig.desk, same).status is Status.CREATED


def test_a_halt_stops_what_has_not_left_but_not_exits(rig: EngineRig) -> None:
    hold(rig.desk)
    entry, leaving = buy(rig.desk), sell(rig.desk, reduce_only=True)
    halts.halt_trading(rig.desk, CAUSE, "stop", cancel_orders=False)
    rig.route()
    refused = order_now(rig.desk, entry)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.HALTED_BEFORE_SENDING)
    assert rig.exchange.sent == [leaving.id]


def test_an_engine_that_lost_the_lead_sends_nothing(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    def deposed(_connection: Connection) -> None:
        raise NotLeading("another engine leads")

    order = buy(desk)
    with pytest.raises(NotLeading):
        build_rig(desk, exchange, settings.algosat.engine, deposed).route()
    assert exchange.sent == []
    assert order_now(desk, order).status is Status.CREATED


def test_what_left_before_a_restart_counts_towards_the_limit_after_it(
    rig: EngineRig, settings: Settings
) -> None:
    for _ in range(9):
        buy(rig.desk)
    rig.route()
    buy(rig.desk)
    again = build_rig(rig.desk, rig.exchange, settings.algosat.engine)
    assert again.route()
    assert len(rig.exchange.sent) == 9


def test_who_was_kept_back_too_long_is_told_by_what(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.after = failing(BrokerUncertain("timed out"), "place")
    rig.sent(buy(rig.desk))
    kept_back = buy(rig.desk)
    clock.forward(seconds=10.1)
    refused = rig.sent(kept_back)
    assert refused.code == EngineCode.SEND_DEADLINE
    assert refused.reason is not None
    assert refused.reason.endswith("another order for ALPHA-EQ is not known yet")


def test_orders_that_are_kept_back_stand_in_nobodys_way(
    settings: Settings, exchange: FakeExchange, clock: FakeClock
) -> None:
    at_will = {"max_open_orders": 100, "max_orders_per_second": 100}
    with open_desk(settings, clock, **at_will, duplicate_window_seconds=0.0) as desk:
        rig = build_rig(desk, exchange, settings.algosat.engine)
        advance(desk, buy(desk, "1"), EventKind.SUBMITTING, EventKind.UNCERTAIN)
        for _ in range(50):
            buy(desk, "1")
        other = buy(desk, "1", symbol=SECOND)
        assert rig.sent(other).status is Status.OPEN
        assert exchange.sent == [other.id]
