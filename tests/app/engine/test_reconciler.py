from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from algosat.domain.orders import EventKind, ModifyRequest, Order, PendingRequest, Status
from algosat.domain.reason_codes import EngineCode
from algosat.engine.pending_requests import CancelModifySender
from algosat.engine.report_processor import ReportProcessor
from algosat.engine.throttle import Throttle
from algosat.errors import BrokerNotReached, BrokerRejected, BrokerSessionExpired, BrokerUncertain, StoreBusy
from algosat.store import audit, queries
from algosat.store.verify.verify import verify
from algosat.trading import cancel, modify
from tests.app.desks import CAUSE, advance, buy, order_now
from tests.app.engine.rig import EngineRig, failing
from tests.app.engine.test_sender import quiet
from tests.app.fake_exchange import elsewhere
from tests.app.fakes import FakeClock


def lost_answer(rig: EngineRig) -> Order:
    """An order the exchange has, and we do not know of."""
    rig.exchange.after = failing(BrokerUncertain("lost"), "place")
    order = rig.sent(buy(rig.desk))
    rig.exchange.after = quiet
    return order


def lost_request(rig: EngineRig) -> Order:
    """An order the exchange never got, and we do not know that."""
    rig.exchange.before = failing(BrokerUncertain("lost"), "place")
    order = rig.sent(buy(rig.desk))
    rig.exchange.before = quiet
    return order


def pass_time(rig: EngineRig, clock: FakeClock, seconds: float) -> None:
    until = clock() + timedelta(seconds=seconds)
    while clock() < until:
        clock.forward(seconds=0.5)
        rig.components.reconciler.step()


def test_an_order_of_unknown_fate_is_sought_by_its_tag_and_found(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_answer(rig)
    rig.components.reconciler.read_book = lambda: False  # type: ignore[method-assign]
    assert order.status is Status.UNKNOWN
    pass_time(rig, clock, 1)
    found = order_now(rig.desk, order)
    assert (found.status, found.broker_order_id) == (Status.OPEN, "B1")


def test_the_search_grows_more_patient(rig: EngineRig, clock: FakeClock) -> None:
    lost_request(rig)
    asked: list[str] = []
    rig.exchange.before = asked.append
    rig.components.reconciler.step()
    for wait, times in ((0.5, 1), (1.0, 2), (2.0, 3), (4.0, 4)):
        pass_time(rig, clock, wait)
        assert asked.count("find") == times


def test_an_order_the_broker_surely_lacks_is_not_found_and_a_person_is_called(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = lost_request(rig)
    pass_time(rig, clock, 59)
    assert order_now(rig.desk, order).status is Status.UNKNOWN
    pass_time(rig, clock, 40)
    concluded = order_now(rig.desk, order)
    assert (concluded.status, concluded.code) == (Status.NOT_FOUND, EngineCode.NOT_FOUND)
    with rig.desk.database.read() as connection:
        assert audit.events_of(connection, order.id)[-1].kind == "broker.not_found"
    assert rig.exchange.sent == []


def test_a_wish_to_cancel_is_answered_by_the_order_not_being_there(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    pass_time(rig, clock, 100)
    assert order_now(rig.desk, order).status is Status.NOT_FOUND
    gone = rig.sent(order)
    assert (gone.status, gone.pending) == (Status.CANCELLED, None)


def test_without_a_healthy_book_nothing_is_concluded(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    rig.exchange.before = failing(BrokerNotReached("down"), "reports")
    pass_time(rig, clock, 120)
    assert order_now(rig.desk, order).status is Status.UNKNOWN


def test_a_search_that_fails_concludes_nothing(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    rig.exchange.before = failing(BrokerUncertain("lost"), "find")
    pass_time(rig, clock, 120)
    assert order_now(rig.desk, order).status is Status.UNKNOWN


def test_an_order_that_was_not_found_is_taken_up_when_it_turns_up(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    pass_time(rig, clock, 100)
    rig.exchange.place(order)
    rig.look()
    assert order_now(rig.desk, order).status is Status.OPEN


def test_an_order_that_was_given_up_and_turns_up_is_cancelled_there(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    pass_time(rig, clock, 100)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    clock.forward(seconds=1)
    rig.exchange.place(order)
    rig.look()
    assert rig.exchange.book["B1"].status is Status.CANCELLED
    with rig.desk.database.read() as connection:
        kinds = [event.kind for event in audit.events_of(connection, order.id)]
    assert "broker.ghost" in kinds


def test_what_was_on_its_way_when_the_engine_ended_is_unknown_until_there_is_evidence(rig: EngineRig) -> None:
    order = advance(rig.desk, buy(rig.desk), EventKind.SUBMITTING)
    rig.components.reconciler.mark_interrupted()
    interrupted = order_now(rig.desk, order)
    assert (interrupted.status, interrupted.code) == (Status.UNKNOWN, EngineCode.INTERRUPTED)


def test_a_broker_that_fences_proves_that_an_interrupted_order_never_left(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = advance(rig.desk, buy(rig.desk), EventKind.SUBMITTING)
    rig.exchange.fences = True
    rig.components.reconciler.mark_interrupted()
    pass_time(rig, clock, 2)
    ended = order_now(rig.desk, order)
    assert (ended.status, ended.code) == (Status.REJECTED, EngineCode.NEVER_SENT)
    assert rig.exchange.sent == []


def test_a_fence_proves_nothing_of_a_request_that_was_lost_in_this_session(
    rig: EngineRig, clock: FakeClock
) -> None:
    rig.exchange.fences = True
    order = lost_request(rig)
    pass_time(rig, clock, 30)
    assert order_now(rig.desk, order).status is Status.UNKNOWN


def test_fills_that_were_not_pushed_are_found_in_the_book(rig: EngineRig) -> None:
    order = rig.sent(buy(rig.desk))
    rig.exchange.fill(order, "4")
    rig.look()
    assert order_now(rig.desk, order).filled_quantity == 4
    rig.exchange.fill(order, "6")
    rig.look()
    rig.look()
    assert order_now(rig.desk, order).status is Status.FILLED
    with rig.desk.database.read() as connection:
        (position,) = queries.open_positions(connection, rig.desk.account)
    assert position.quantity == 10


def test_a_fill_after_the_cancel_is_found_in_the_book(rig: EngineRig) -> None:
    order = cancel.cancel_order(rig.desk, rig.sent(buy(rig.desk)).id, CAUSE)
    rig.route()
    rig.exchange.fill(order, "4")
    rig.look()
    late = order_now(rig.desk, order)
    assert (late.status, late.filled_quantity) == (Status.CANCELLED, Decimal(4))


def test_terms_changed_at_the_broker_are_taken_over(rig: EngineRig) -> None:
    order = rig.sent(buy(rig.desk))
    report = rig.exchange.book["B1"]
    rig.exchange.book["B1"] = replace(report, terms=replace(report.terms, limit_price=Decimal(99)))
    rig.look()
    assert order_now(rig.desk, order).terms.limit_price == 99


@pytest.mark.parametrize("quantity", ["4", "25"])
def test_an_order_changed_at_the_broker_and_filled_before_the_next_look_is_booked_whole(
    rig: EngineRig, quantity: str
) -> None:
    order = rig.sent(buy(rig.desk))
    report = rig.exchange.book["B1"]
    rig.exchange.book["B1"] = replace(report, terms=replace(report.terms, quantity=Decimal(quantity)))
    rig.exchange.fill(order, quantity)
    rig.look()
    booked = order_now(rig.desk, order)
    assert (booked.status, booked.filled_quantity) == (Status.FILLED, Decimal(quantity))
    with rig.desk.database.read() as connection:
        (position,) = queries.open_positions(connection, rig.desk.account)
        assert verify(connection).clean
    assert position.quantity == Decimal(quantity)


def test_a_change_that_was_given_up_and_held_all_the_same_is_booked_whole(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = rig.sent(buy(rig.desk))
    modify.modify_order(rig.desk, order.id, ModifyRequest(Decimal(4), None, None), CAUSE)
    rig.exchange.after = failing(BrokerUncertain("lost"), "modify")
    rig.exchange.before = failing(BrokerUncertain("lost"), "find", "reports")
    clock.forward(seconds=31)
    rig.route()
    assert order_now(rig.desk, order).code == EngineCode.CHANGE_UNCONFIRMED
    rig.exchange.before = quiet
    rig.exchange.fill(order, "4")
    rig.look()
    assert order_now(rig.desk, order).status is Status.FILLED


def test_terms_changed_and_orders_ended_before_the_clock_was_put_back_are_seen(
    rig: EngineRig, clock: FakeClock
) -> None:
    changed, ended = rig.sent(buy(rig.desk)), rig.sent(buy(rig.desk, "11"))
    advance(rig.desk, ended, EventKind.CANCELLED)
    clock.forward(hours=-1)
    report = rig.exchange.book["B1"]
    rig.exchange.book["B1"] = replace(report, terms=replace(report.terms, limit_price=Decimal(99)))
    rig.look()
    assert order_now(rig.desk, changed).terms.limit_price == 99
    assert rig.exchange.book["B2"].status is Status.CANCELLED


def test_orders_placed_elsewhere_are_imported_and_left_alone(rig: EngineRig) -> None:
    rig.exchange.book["B77"] = elsewhere("B77")
    rig.look()
    rig.look()
    with rig.desk.database.read() as connection:
        (imported,) = queries.working(connection, rig.desk.account)
    assert imported.external
    assert rig.exchange.book["B77"].status is Status.OPEN


def test_an_order_whose_send_was_forgotten_by_a_restored_store_is_not_sent_again(rig: EngineRig) -> None:
    order = buy(rig.desk)
    rig.exchange.place(order)
    rig.look()
    rig.route()
    assert rig.exchange.sent == [order.id]
    assert order_now(rig.desk, order).status is Status.OPEN


def test_without_a_session_the_book_is_not_read(rig: EngineRig) -> None:
    before = rig.components.reconciler.read_at
    rig.exchange.active = False
    rig.exchange.clock.forward(seconds=60)
    assert not rig.components.reconciler.read_book()
    assert rig.components.reconciler.read_at == before


def test_an_order_whose_outcome_could_not_be_written_is_sought(
    rig: EngineRig, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise StoreBusy("the disk is full")

    rig.exchange.before = failing(BrokerRejected("no margin"), "place")
    order = buy(rig.desk)
    with monkeypatch.context() as away:
        away.setattr(ReportProcessor, "record", busy)
        with pytest.raises(StoreBusy):
            rig.route()
    assert order_now(rig.desk, order).status is Status.SUBMITTING
    rig.exchange.before = quiet
    pass_time(rig, clock, 41)
    assert order_now(rig.desk, order).status is Status.UNKNOWN
    pass_time(rig, clock, 90)
    assert order_now(rig.desk, order).status is Status.NOT_FOUND


def test_a_clock_that_is_put_back_does_not_put_the_book_off(rig: EngineRig, clock: FakeClock) -> None:
    order = rig.sent(buy(rig.desk))
    clock.forward(hours=-1)
    rig.exchange.fill(order, "10")
    rig.components.reconciler.step()
    assert order_now(rig.desk, order).status is Status.FILLED


def test_a_clock_that_is_put_back_puts_no_verdict_off(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    clock.forward(hours=-1)
    pass_time(rig, clock, 100)
    assert order_now(rig.desk, order).status is Status.NOT_FOUND


def test_a_search_that_began_before_the_clock_was_put_back_ends_in_time(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = lost_request(rig)
    pass_time(rig, clock, 5)
    clock.forward(hours=-36)
    pass_time(rig, clock, 100)
    assert order_now(rig.desk, order).status is Status.NOT_FOUND


def test_a_book_read_before_the_clock_was_put_back_is_no_evidence(rig: EngineRig, clock: FakeClock) -> None:
    clock.forward(hours=1)
    rig.look()
    clock.forward(hours=-1)
    order = lost_request(rig)
    rig.exchange.before = failing(BrokerSessionExpired("log in"), "reports")
    pass_time(rig, clock, 120)
    assert order_now(rig.desk, order).status is Status.UNKNOWN


def test_an_order_that_turns_up_while_its_cancel_is_carried_out_is_cancelled_there_too(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = lost_request(rig)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    pass_time(rig, clock, 100)
    sought = order_now(rig.desk, order)
    rig.exchange.place(order)
    rig.look()
    cancel_modify = CancelModifySender(
        rig.desk, rig.components.guarded_broker, rig.components.report_processor, Throttle(1, 1, 1)
    )
    cancel_modify.send(sought)
    turned_up = order_now(rig.desk, order)
    assert (turned_up.status, turned_up.pending) == (Status.OPEN, PendingRequest.PENDING_CANCEL)
    assert rig.sent(order).status is Status.CANCELLED
    assert rig.exchange.book["B1"].status is Status.CANCELLED
