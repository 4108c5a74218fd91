from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from algosat.domain.orders import EventKind, Order, Overlay, Revision, Status
from algosat.engine.amender import Amender
from algosat.engine.codes import EngineCode
from algosat.engine.intake import Intake
from algosat.engine.limiter import Limiter
from algosat.errors import BrokerNotReached, BrokerRejected, BrokerSessionExpired, BrokerUncertain, StoreBusy
from algosat.store import audit, queries
from algosat.store.verify import verify
from algosat.trading import cancel, modify
from tests.app.desks import CAUSE, advance, buy, order_now
from tests.app.engine.floor import Floor, failing
from tests.app.engine.test_sender import quiet
from tests.app.exchange import elsewhere
from tests.app.fakes import FakeClock


def lost_answer(floor: Floor) -> Order:
    """An order the exchange has, and we do not know of."""
    floor.exchange.after = failing(BrokerUncertain("lost"), "place")
    order = floor.sent(buy(floor.desk))
    floor.exchange.after = quiet
    return order


def lost_request(floor: Floor) -> Order:
    """An order the exchange never got, and we do not know that."""
    floor.exchange.before = failing(BrokerUncertain("lost"), "place")
    order = floor.sent(buy(floor.desk))
    floor.exchange.before = quiet
    return order


def pass_time(floor: Floor, clock: FakeClock, seconds: float) -> None:
    until = clock() + timedelta(seconds=seconds)
    while clock() < until:
        clock.forward(seconds=0.5)
        floor.parts.reconciler.step()


def test_an_order_of_unknown_fate_is_sought_by_its_tag_and_found(floor: Floor, clock: FakeClock) -> None:
    order = lost_answer(floor)
    floor.parts.reconciler.read_book = lambda: False  # type: ignore[method-assign]
    assert order.status is Status.UNKNOWN
    pass_time(floor, clock, 1)
    found = order_now(floor.desk, order)
    assert (found.status, found.broker_order_id) == (Status.OPEN, "B1")


def test_the_search_grows_more_patient(floor: Floor, clock: FakeClock) -> None:
    lost_request(floor)
    asked: list[str] = []
    floor.exchange.before = asked.append
    floor.parts.reconciler.step()
    for wait, times in ((0.5, 1), (1.0, 2), (2.0, 3), (4.0, 4)):
        pass_time(floor, clock, wait)
        assert asked.count("find") == times


def test_an_order_the_broker_surely_lacks_is_not_found_and_a_person_is_called(
    floor: Floor, clock: FakeClock
) -> None:
    order = lost_request(floor)
    pass_time(floor, clock, 59)
    assert order_now(floor.desk, order).status is Status.UNKNOWN
    pass_time(floor, clock, 40)
    concluded = order_now(floor.desk, order)
    assert (concluded.status, concluded.code) == (Status.NOT_FOUND, EngineCode.NOT_FOUND)
    with floor.desk.database.read() as connection:
        assert audit.events_of(connection, order.id)[-1].kind == "broker.not_found"
    assert floor.exchange.sent == []


def test_a_wish_to_cancel_is_answered_by_the_order_not_being_there(floor: Floor, clock: FakeClock) -> None:
    order = lost_request(floor)
    cancel.cancel(floor.desk, order.id, CAUSE)
    pass_time(floor, clock, 100)
    assert order_now(floor.desk, order).status is Status.NOT_FOUND
    gone = floor.sent(order)
    assert (gone.status, gone.overlay) == (Status.CANCELLED, None)


def test_without_a_healthy_book_nothing_is_concluded(floor: Floor, clock: FakeClock) -> None:
    order = lost_request(floor)
    floor.exchange.before = failing(BrokerNotReached("down"), "reports")
    pass_time(floor, clock, 120)
    assert order_now(floor.desk, order).status is Status.UNKNOWN


def test_a_search_that_fails_concludes_nothing(floor: Floor, clock: FakeClock) -> None:
    order = lost_request(floor)
    floor.exchange.before = failing(BrokerUncertain("lost"), "find")
    pass_time(floor, clock, 120)
    assert order_now(floor.desk, order).status is Status.UNKNOWN


def test_an_order_that_was_not_found_is_taken_up_when_it_turns_up(floor: Floor, clock: FakeClock) -> None:
    order = lost_request(floor)
    pass_time(floor, clock, 100)
    floor.exchange.place(order)
    floor.look()
    assert order_now(floor.desk, order).status is Status.OPEN


def test_an_order_that_was_given_up_and_turns_up_is_cancelled_there(floor: Floor, clock: FakeClock) -> None:
    order = lost_request(floor)
    pass_time(floor, clock, 100)
    cancel.cancel(floor.desk, order.id, CAUSE)
    clock.forward(seconds=1)
    floor.exchange.place(order)
    floor.look()
    assert floor.exchange.book["B1"].status is Status.CANCELLED
    with floor.desk.database.read() as connection:
        kinds = [event.kind for event in audit.events_of(connection, order.id)]
    assert "broker.ghost" in kinds


def test_what_was_on_its_way_when_the_engine_ended_is_unknown_until_there_is_evidence(floor: Floor) -> None:
    order = advance(floor.desk, buy(floor.desk), EventKind.SUBMITTING)
    floor.parts.reconciler.begin()
    interrupted = order_now(floor.desk, order)
    assert (interrupted.status, interrupted.code) == (Status.UNKNOWN, EngineCode.INTERRUPTED)


def test_a_broker_that_fences_proves_that_an_interrupted_order_never_left(
    floor: Floor, clock: FakeClock
) -> None:
    order = advance(floor.desk, buy(floor.desk), EventKind.SUBMITTING)
    floor.exchange.fences = True
    floor.parts.reconciler.begin()
    pass_time(floor, clock, 2)
    ended = order_now(floor.desk, order)
    assert (ended.status, ended.code) == (Status.REJECTED, EngineCode.NEVER_SENT)
    assert floor.exchange.sent == []


def test_a_fence_proves_nothing_of_a_request_that_was_lost_in_this_session(
    floor: Floor, clock: FakeClock
) -> None:
    floor.exchange.fences = True
    order = lost_request(floor)
    pass_time(floor, clock, 30)
    assert order_now(floor.desk, order).status is Status.UNKNOWN


def test_fills_that_were_not_pushed_are_found_in_the_book(floor: Floor) -> None:
    order = floor.sent(buy(floor.desk))
    floor.exchange.fill(order, "4")
    floor.look()
    assert order_now(floor.desk, order).filled_quantity == 4
    floor.exchange.fill(order, "6")
    floor.look()
    floor.look()
    assert order_now(floor.desk, order).status is Status.FILLED
    with floor.desk.database.read() as connection:
        (position,) = queries.open_positions(connection, floor.desk.account)
    assert position.quantity == 10


def test_a_fill_after_the_cancel_is_found_in_the_book(floor: Floor) -> None:
    order = cancel.cancel(floor.desk, floor.sent(buy(floor.desk)).id, CAUSE)
    floor.route()
    floor.exchange.fill(order, "4")
    floor.look()
    late = order_now(floor.desk, order)
    assert (late.status, late.filled_quantity) == (Status.CANCELLED, Decimal(4))


def test_terms_changed_at_the_broker_are_taken_over(floor: Floor) -> None:
    order = floor.sent(buy(floor.desk))
    report = floor.exchange.book["B1"]
    floor.exchange.book["B1"] = replace(report, terms=replace(report.terms, limit_price=Decimal(99)))
    floor.look()
    assert order_now(floor.desk, order).intent.limit_price == 99


@pytest.mark.parametrize("quantity", ["4", "25"])
def test_an_order_changed_at_the_broker_and_filled_before_the_next_look_is_booked_whole(
    floor: Floor, quantity: str
) -> None:
    order = floor.sent(buy(floor.desk))
    report = floor.exchange.book["B1"]
    floor.exchange.book["B1"] = replace(report, terms=replace(report.terms, quantity=Decimal(quantity)))
    floor.exchange.fill(order, quantity)
    floor.look()
    booked = order_now(floor.desk, order)
    assert (booked.status, booked.filled_quantity) == (Status.FILLED, Decimal(quantity))
    with floor.desk.database.read() as connection:
        (position,) = queries.open_positions(connection, floor.desk.account)
        assert verify(connection).clean
    assert position.quantity == Decimal(quantity)


def test_a_change_that_was_given_up_and_held_all_the_same_is_booked_whole(
    floor: Floor, clock: FakeClock
) -> None:
    order = floor.sent(buy(floor.desk))
    modify.modify(floor.desk, order.id, Revision(Decimal(4), None, None), CAUSE)
    floor.exchange.after = failing(BrokerUncertain("lost"), "modify")
    floor.exchange.before = failing(BrokerUncertain("lost"), "find", "reports")
    clock.forward(seconds=31)
    floor.route()
    assert order_now(floor.desk, order).code == EngineCode.CHANGE_UNCONFIRMED
    floor.exchange.before = quiet
    floor.exchange.fill(order, "4")
    floor.look()
    assert order_now(floor.desk, order).status is Status.FILLED


def test_terms_changed_and_orders_ended_before_the_clock_was_put_back_are_seen(
    floor: Floor, clock: FakeClock
) -> None:
    changed, ended = floor.sent(buy(floor.desk)), floor.sent(buy(floor.desk, "11"))
    advance(floor.desk, ended, EventKind.CANCELLED)
    clock.forward(hours=-1)
    report = floor.exchange.book["B1"]
    floor.exchange.book["B1"] = replace(report, terms=replace(report.terms, limit_price=Decimal(99)))
    floor.look()
    assert order_now(floor.desk, changed).intent.limit_price == 99
    assert floor.exchange.book["B2"].status is Status.CANCELLED


def test_orders_placed_elsewhere_are_imported_and_left_alone(floor: Floor) -> None:
    floor.exchange.book["B77"] = elsewhere("B77")
    floor.look()
    floor.look()
    with floor.desk.database.read() as connection:
        (imported,) = queries.working(connection, floor.desk.account)
    assert imported.external
    assert floor.exchange.book["B77"].status is Status.OPEN


def test_an_order_whose_send_was_forgotten_by_a_restored_store_is_not_sent_again(floor: Floor) -> None:
    order = buy(floor.desk)
    floor.exchange.place(order)
    floor.look()
    floor.route()
    assert floor.exchange.sent == [order.id]
    assert order_now(floor.desk, order).status is Status.OPEN


def test_without_a_session_the_book_is_not_read(floor: Floor) -> None:
    before = floor.parts.reconciler.read_at
    floor.exchange.active = False
    floor.exchange.clock.forward(seconds=60)
    assert not floor.parts.reconciler.read_book()
    assert floor.parts.reconciler.read_at == before


def test_an_order_whose_outcome_could_not_be_written_is_sought(
    floor: Floor, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise StoreBusy("the disk is full")

    floor.exchange.before = failing(BrokerRejected("no margin"), "place")
    order = buy(floor.desk)
    with monkeypatch.context() as away:
        away.setattr(Intake, "happened", busy)
        with pytest.raises(StoreBusy):
            floor.route()
    assert order_now(floor.desk, order).status is Status.SUBMITTING
    floor.exchange.before = quiet
    pass_time(floor, clock, 41)
    assert order_now(floor.desk, order).status is Status.UNKNOWN
    pass_time(floor, clock, 90)
    assert order_now(floor.desk, order).status is Status.NOT_FOUND


def test_a_clock_that_is_put_back_does_not_put_the_book_off(floor: Floor, clock: FakeClock) -> None:
    order = floor.sent(buy(floor.desk))
    clock.forward(hours=-1)
    floor.exchange.fill(order, "10")
    floor.parts.reconciler.step()
    assert order_now(floor.desk, order).status is Status.FILLED


def test_a_clock_that_is_put_back_puts_no_verdict_off(floor: Floor, clock: FakeClock) -> None:
    order = lost_request(floor)
    clock.forward(hours=-1)
    pass_time(floor, clock, 100)
    assert order_now(floor.desk, order).status is Status.NOT_FOUND


def test_a_search_that_began_before_the_clock_was_put_back_ends_in_time(
    floor: Floor, clock: FakeClock
) -> None:
    order = lost_request(floor)
    pass_time(floor, clock, 5)
    clock.forward(hours=-36)
    pass_time(floor, clock, 100)
    assert order_now(floor.desk, order).status is Status.NOT_FOUND


def test_a_book_read_before_the_clock_was_put_back_is_no_evidence(floor: Floor, clock: FakeClock) -> None:
    clock.forward(hours=1)
    floor.look()
    clock.forward(hours=-1)
    order = lost_request(floor)
    floor.exchange.before = failing(BrokerSessionExpired("log in"), "reports")
    pass_time(floor, clock, 120)
    assert order_now(floor.desk, order).status is Status.UNKNOWN


def test_an_order_that_turns_up_while_its_cancel_is_carried_out_is_cancelled_there_too(
    floor: Floor, clock: FakeClock
) -> None:
    order = lost_request(floor)
    cancel.cancel(floor.desk, order.id, CAUSE)
    pass_time(floor, clock, 100)
    sought = order_now(floor.desk, order)
    floor.exchange.place(order)
    floor.look()
    amender = Amender(floor.desk, floor.parts.guard, floor.parts.intake, Limiter(1, 1, 1))
    amender.carry_out(sought)
    turned_up = order_now(floor.desk, order)
    assert (turned_up.status, turned_up.overlay) == (Status.OPEN, Overlay.PENDING_CANCEL)
    assert floor.sent(order).status is Status.CANCELLED
    assert floor.exchange.book["B1"].status is Status.CANCELLED
