from __future__ import annotations

import pytest
from sqlalchemy import Connection

from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, Status
from algosat.engine.codes import EngineCode
from algosat.engine.lanes import Inline
from algosat.engine.leadership import NotLeading
from algosat.errors import BrokerNotReached, BrokerUncertain
from algosat.store import audit
from algosat.trading import halt
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SECOND, advance, buy, hold, open_desk, order_now, sell
from tests.app.engine.floor import Floor, failing, open_floor
from tests.app.exchange import FakeExchange
from tests.app.fakes import FakeClock


def test_created_orders_leave_once_and_in_their_order(floor: Floor) -> None:
    orders = [buy(floor.desk) for _ in range(3)]
    floor.route()
    floor.route()
    assert floor.exchange.sent == [order.id for order in orders]
    assert {order_now(floor.desk, order).status for order in orders} == {Status.OPEN}


def test_an_order_is_durable_as_submitting_before_the_broker_hears_of_it(floor: Floor) -> None:
    seen: list[Status] = []
    orders = [buy(floor.desk), buy(floor.desk)]
    floor.exchange.before = lambda _: seen.extend(order_now(floor.desk, each).status for each in orders)
    floor.route()
    assert seen[:2] == [Status.SUBMITTING] * 2


def test_what_the_engine_does_goes_back_to_the_request_that_caused_it(floor: Floor) -> None:
    order = floor.sent(buy(floor.desk))
    with floor.desk.database.read() as connection:
        events = audit.events_of(connection, order.id)
    assert {event.correlation_id for event in events} == {CAUSE.correlation_id}
    assert [event.actor for event in events] == ["tester", "engine", "engine"]


def test_an_order_past_its_deadline_is_refused_and_never_sent(floor: Floor, clock: FakeClock) -> None:
    order = buy(floor.desk)
    clock.forward(seconds=10.1)
    refused = floor.sent(order)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.SEND_DEADLINE)
    assert floor.exchange.sent == []


def test_with_the_broker_away_orders_wait_and_are_refused_in_the_end(floor: Floor, clock: FakeClock) -> None:
    floor.exchange.active = False
    order = buy(floor.desk)
    assert floor.route()
    assert order_now(floor.desk, order).status is Status.CREATED
    clock.forward(seconds=10.1)
    assert floor.sent(order).code == EngineCode.BROKER_UNAVAILABLE
    assert floor.exchange.sent == []


def test_an_order_from_before_the_clock_was_put_back_is_not_sent_when_nobody_expects_it(
    floor: Floor, clock: FakeClock
) -> None:
    floor.exchange.active = False
    order = buy(floor.desk)
    floor.route()
    clock.forward(hours=-1)
    floor.exchange.active = True
    refused = floor.sent(order)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.SEND_DEADLINE)
    assert floor.exchange.sent == []


def test_a_clock_that_is_put_back_by_a_moment_refuses_nothing(floor: Floor, clock: FakeClock) -> None:
    order = buy(floor.desk)
    clock.forward(seconds=-2)
    assert floor.sent(order).status is Status.OPEN


def test_with_the_broker_back_in_time_nothing_is_lost(floor: Floor, clock: FakeClock) -> None:
    floor.exchange.active = False
    order = buy(floor.desk)
    floor.route()
    floor.exchange.active = True
    clock.forward(seconds=5)
    assert floor.sent(order).status is Status.OPEN


def test_before_the_brokers_book_was_read_nothing_is_sent_and_nothing_waits_for_ever(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    exchange.before = failing(BrokerNotReached("down"), "reports")
    floor = open_floor(desk, exchange, settings.algosat.engine)
    order = buy(desk)
    assert floor.route()
    assert exchange.sent == []
    clock.forward(seconds=10.1)
    assert floor.sent(order).code == EngineCode.BROKER_UNAVAILABLE


def test_no_more_are_committed_as_submitting_than_can_be_sent_at_once(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Inline, "free", lambda _lane: 2)
    orders = [buy(floor.desk) for _ in range(3)]
    assert floor.route()
    assert floor.exchange.sent == [order.id for order in orders[:2]]
    assert order_now(floor.desk, orders[2]).status is Status.CREATED


def test_orders_beyond_the_outbound_limit_wait_for_the_next_second(floor: Floor, clock: FakeClock) -> None:
    for _ in range(10):
        buy(floor.desk)
    assert floor.route()
    assert len(floor.exchange.sent) == 9
    clock.forward(seconds=1)
    assert not floor.route()
    assert len(floor.exchange.sent) == 10


def test_an_order_of_unknown_fate_keeps_its_strategy_and_symbol_from_sending(floor: Floor) -> None:
    advance(floor.desk, buy(floor.desk), EventKind.SUBMITTING, EventKind.UNCERTAIN)
    same, other_symbol, other_strategy = (
        buy(floor.desk),
        buy(floor.desk, symbol=SECOND),
        buy(floor.desk, strategy="trend"),
    )
    assert floor.route()
    assert floor.exchange.sent == [other_symbol.id, other_strategy.id]
    assert order_now(floor.desk, same).status is Status.CREATED


def test_a_halt_stops_what_has_not_left_but_not_exits(floor: Floor) -> None:
    hold(floor.desk)
    entry, leaving = buy(floor.desk), sell(floor.desk, reduce_only=True)
    halt.halt(floor.desk, CAUSE, "stop", cancel_orders=False)
    floor.route()
    refused = order_now(floor.desk, entry)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.HALTED_BEFORE_SENDING)
    assert floor.exchange.sent == [leaving.id]


def test_an_engine_that_lost_the_lead_sends_nothing(
    desk: Desk, exchange: FakeExchange, settings: Settings
) -> None:
    def deposed(_connection: Connection) -> None:
        raise NotLeading("another engine leads")

    order = buy(desk)
    with pytest.raises(NotLeading):
        open_floor(desk, exchange, settings.algosat.engine, deposed).route()
    assert exchange.sent == []
    assert order_now(desk, order).status is Status.CREATED


def test_what_left_before_a_restart_counts_towards_the_limit_after_it(
    floor: Floor, settings: Settings
) -> None:
    for _ in range(9):
        buy(floor.desk)
    floor.route()
    buy(floor.desk)
    again = open_floor(floor.desk, floor.exchange, settings.algosat.engine)
    assert again.route()
    assert len(floor.exchange.sent) == 9


def test_who_was_kept_back_too_long_is_told_by_what(floor: Floor, clock: FakeClock) -> None:
    floor.exchange.after = failing(BrokerUncertain("timed out"), "place")
    floor.sent(buy(floor.desk))
    kept_back = buy(floor.desk)
    clock.forward(seconds=10.1)
    refused = floor.sent(kept_back)
    assert refused.code == EngineCode.SEND_DEADLINE
    assert refused.reason is not None
    assert refused.reason.endswith("another order of ALPHA-EQ is not known yet")


def test_orders_that_are_kept_back_stand_in_nobodys_way(
    settings: Settings, exchange: FakeExchange, clock: FakeClock
) -> None:
    at_will = {"max_open_orders": 100, "max_orders_per_second": 100}
    with open_desk(settings, clock, **at_will, duplicate_window_seconds=0.0) as desk:
        floor = open_floor(desk, exchange, settings.algosat.engine)
        advance(desk, buy(desk, "1"), EventKind.SUBMITTING, EventKind.UNCERTAIN)
        for _ in range(50):
            buy(desk, "1")
        other = buy(desk, "1", symbol=SECOND)
        assert floor.sent(other).status is Status.OPEN
        assert exchange.sent == [other.id]
