from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.orders import EventKind, ModifyRequest, Order, PendingRequest, Status
from algosat.domain.reason_codes import EngineCode
from algosat.engine.budget import Budget
from algosat.engine.pending_requests import CancelModifySender
from algosat.engine.report_processor import ReportProcessor
from algosat.errors import (
    BrokerNotReached,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUncertain,
    ErrorCategory,
    StoreBusy,
)
from algosat.resilience.error_analytics import read_analytics
from algosat.store import audit, queries
from algosat.store.verify.verify import verify
from algosat.trading import alerts, cancel, modify
from tests.app.desks import CAUSE, advance, buy, open_alerts, order_now
from tests.app.engine.rig import EngineRig, failing, no_fault
from tests.app.fake_exchange import external_report
from tests.app.fakes import FakeClock


def lost_answer(rig: EngineRig) -> Order:
    """Send an order whose answer is lost: the exchange has it, and it is unknown here."""
    rig.exchange.after = failing(BrokerUncertain("lost"), "place")
    order = rig.send(buy(rig.desk))
    rig.exchange.after = no_fault
    return order


def lost_request(rig: EngineRig) -> Order:
    """Send an order that is lost on the way: the exchange does not have it, and it is unknown here."""
    rig.exchange.before = failing(BrokerUncertain("lost"), "place")
    order = rig.send(buy(rig.desk))
    rig.exchange.before = no_fault
    return order


def search_for(rig: EngineRig, clock: FakeClock, seconds: float) -> None:
    until = clock() + timedelta(seconds=seconds)
    while clock() < until:
        clock.forward(seconds=0.5)
        rig.components.reconciler.step()


def test_unknown_order_is_found_by_its_tag(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_answer(rig)
    rig.components.reconciler.read_book = lambda: False  # type: ignore[method-assign]
    assert order.status is Status.UNKNOWN
    search_for(rig, clock, 1)
    found = order_now(rig.desk, order)
    assert (found.status, found.broker_order_id) == (Status.OPEN, "B1")


def test_searches_are_repeated_with_growing_delays(rig: EngineRig, clock: FakeClock) -> None:
    lost_request(rig)
    requests: list[str] = []
    rig.exchange.before = requests.append
    rig.components.reconciler.step()
    for wait, times in ((0.5, 1), (1.0, 2), (2.0, 3), (4.0, 4)):
        search_for(rig, clock, wait)
        assert requests.count("find") == times


def test_order_missing_in_the_order_book_becomes_not_found_with_an_alert(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = lost_request(rig)
    search_for(rig, clock, 59)
    assert order_now(rig.desk, order).status is Status.UNKNOWN
    search_for(rig, clock, 40)
    concluded = order_now(rig.desk, order)
    assert (concluded.status, concluded.code) == (Status.NOT_FOUND, EngineCode.NOT_FOUND)
    with rig.desk.database.read() as connection:
        assert audit.events_of(connection, order.id)[-1].kind == "broker.not_found"
    assert rig.exchange.sent == []


def test_cancel_of_an_order_that_is_not_found_ends_it(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    search_for(rig, clock, 100)
    assert order_now(rig.desk, order).status is Status.NOT_FOUND
    gone = rig.send(order)
    assert (gone.status, gone.pending) == (Status.CANCELLED, None)


def test_order_stays_unknown_while_the_order_book_cannot_be_read(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    rig.exchange.before = failing(BrokerNotReached("down"), "reports")
    search_for(rig, clock, 120)
    assert order_now(rig.desk, order).status is Status.UNKNOWN


def test_order_stays_unknown_while_searches_fail(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    rig.exchange.before = failing(BrokerUncertain("lost"), "find")
    search_for(rig, clock, 120)
    assert order_now(rig.desk, order).status is Status.UNKNOWN


def test_not_found_order_that_turns_up_is_open_again(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    search_for(rig, clock, 100)
    rig.exchange.place(order)
    assert open_alerts(rig.desk) == {("broker.not_found", order.id)}
    rig.reconcile()
    assert order_now(rig.desk, order).status is Status.OPEN
    assert open_alerts(rig.desk) == set()


def test_cancelled_order_that_turns_up_at_the_broker_is_cancelled_there(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = lost_request(rig)
    search_for(rig, clock, 100)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    clock.forward(seconds=1)
    rig.exchange.place(order)
    rig.reconcile()
    assert open_alerts(rig.desk) == {("broker.ghost", order.id)}
    assert rig.exchange.book["B1"].status is Status.CANCELLED
    with rig.desk.database.read() as connection:
        kinds = [event.kind for event in audit.events_of(connection, order.id)]
    assert "broker.ghost" in kinds
    rig.reconcile()
    assert open_alerts(rig.desk) == set()


def test_order_left_as_submitting_by_the_last_engine_is_unknown(rig: EngineRig) -> None:
    order = advance(rig.desk, buy(rig.desk), EventKind.SUBMITTING)
    rig.components.reconciler.mark_interrupted()
    interrupted = order_now(rig.desk, order)
    assert (interrupted.status, interrupted.code) == (Status.UNKNOWN, EngineCode.INTERRUPTED)


def test_fencing_broker_proves_that_an_interrupted_order_was_never_sent(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = advance(rig.desk, buy(rig.desk), EventKind.SUBMITTING)
    rig.exchange.capabilities = replace(rig.exchange.capabilities, fences=True)
    rig.components.reconciler.mark_interrupted()
    search_for(rig, clock, 2)
    ended = order_now(rig.desk, order)
    assert (ended.status, ended.code) == (Status.REJECTED, EngineCode.NEVER_SENT)
    assert rig.exchange.sent == []


def test_fencing_proves_nothing_for_a_request_lost_in_this_session(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.capabilities = replace(rig.exchange.capabilities, fences=True)
    order = lost_request(rig)
    search_for(rig, clock, 30)
    assert order_now(rig.desk, order).status is Status.UNKNOWN


def test_fills_that_were_not_pushed_are_found_in_the_order_book(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    rig.exchange.fill(order, "4")
    rig.reconcile()
    assert order_now(rig.desk, order).filled_quantity == 4
    rig.exchange.fill(order, "6")
    rig.reconcile()
    rig.reconcile()
    assert order_now(rig.desk, order).status is Status.FILLED
    with rig.desk.database.read() as connection:
        (position,) = queries.open_positions(connection, rig.desk.account)
    assert position.quantity == 10


def test_fill_after_the_cancel_is_found_in_the_order_book(rig: EngineRig) -> None:
    order = cancel.cancel_order(rig.desk, rig.send(buy(rig.desk)).id, CAUSE)
    rig.route()
    rig.exchange.fill(order, "4")
    rig.reconcile()
    late = order_now(rig.desk, order)
    assert (late.status, late.filled_quantity) == (Status.CANCELLED, Decimal(4))


def test_terms_changed_at_the_broker_are_adopted(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    report = rig.exchange.book["B1"]
    rig.exchange.book["B1"] = replace(report, terms=replace(report.terms, limit_price=Decimal(99)))
    rig.reconcile()
    assert order_now(rig.desk, order).terms.limit_price == 99


@pytest.mark.parametrize("quantity", ["4", "25"])
def test_order_changed_and_filled_at_the_broker_is_booked_in_full(rig: EngineRig, quantity: str) -> None:
    order = rig.send(buy(rig.desk))
    report = rig.exchange.book["B1"]
    rig.exchange.book["B1"] = replace(report, terms=replace(report.terms, quantity=Decimal(quantity)))
    rig.exchange.fill(order, quantity)
    rig.reconcile()
    booked = order_now(rig.desk, order)
    assert (booked.status, booked.filled_quantity) == (Status.FILLED, Decimal(quantity))
    with rig.desk.database.read() as connection:
        (position,) = queries.open_positions(connection, rig.desk.account)
        assert verify(connection).clean
    assert position.quantity == Decimal(quantity)


def test_change_applied_by_the_broker_after_it_was_given_up_is_booked_in_full(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = rig.send(buy(rig.desk))
    modify.modify_order(rig.desk, order.id, ModifyRequest(Decimal(4), None, None), CAUSE)
    rig.exchange.after = failing(BrokerUncertain("lost"), "modify")
    rig.exchange.before = failing(BrokerUncertain("lost"), "find", "reports")
    clock.forward(seconds=31)
    rig.route()
    assert order_now(rig.desk, order).code == EngineCode.CHANGE_UNCONFIRMED
    rig.exchange.before = no_fault
    rig.exchange.fill(order, "4")
    rig.reconcile()
    assert order_now(rig.desk, order).status is Status.FILLED


def test_changes_made_before_the_clock_was_set_back_are_applied(rig: EngineRig, clock: FakeClock) -> None:
    changed, ended = rig.send(buy(rig.desk)), rig.send(buy(rig.desk, "11"))
    advance(rig.desk, ended, EventKind.CANCELLED)
    clock.forward(hours=-1)
    report = rig.exchange.book["B1"]
    rig.exchange.book["B1"] = replace(report, terms=replace(report.terms, limit_price=Decimal(99)))
    rig.reconcile()
    assert order_now(rig.desk, changed).terms.limit_price == 99
    assert rig.exchange.book["B2"].status is Status.CANCELLED


def test_external_orders_are_imported_and_not_changed(rig: EngineRig) -> None:
    rig.exchange.book["B77"] = external_report("B77")
    rig.reconcile()
    rig.reconcile()
    with rig.desk.database.read() as connection:
        (imported,) = queries.working(connection, rig.desk.account)
    assert imported.external
    assert rig.exchange.book["B77"].status is Status.OPEN


def test_order_that_a_restored_store_shows_as_unsent_is_not_sent_twice(rig: EngineRig) -> None:
    order = buy(rig.desk)
    rig.exchange.place(order)
    rig.reconcile()
    rig.route()
    assert rig.exchange.sent == [order.id]
    assert order_now(rig.desk, order).status is Status.OPEN


def test_order_book_is_not_read_without_a_broker_session(rig: EngineRig) -> None:
    before = rig.components.reconciler.read_at
    rig.exchange.active = False
    rig.exchange.clock.forward(seconds=60)
    assert not rig.components.reconciler.read_book()
    assert rig.components.reconciler.read_at == before


def test_order_whose_outcome_could_not_be_written_is_searched_for(
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
    rig.exchange.before = no_fault
    search_for(rig, clock, 41)
    assert order_now(rig.desk, order).status is Status.UNKNOWN
    search_for(rig, clock, 90)
    assert order_now(rig.desk, order).status is Status.NOT_FOUND


def test_setting_the_clock_back_does_not_delay_reading_the_order_book(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = rig.send(buy(rig.desk))
    clock.forward(hours=-1)
    rig.exchange.fill(order, "10")
    rig.components.reconciler.step()
    assert order_now(rig.desk, order).status is Status.FILLED


def test_setting_the_clock_back_does_not_delay_the_conclusion(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    clock.forward(hours=-1)
    search_for(rig, clock, 100)
    assert order_now(rig.desk, order).status is Status.NOT_FOUND


def test_search_begun_before_the_clock_was_set_back_ends_in_time(rig: EngineRig, clock: FakeClock) -> None:
    order = lost_request(rig)
    search_for(rig, clock, 5)
    clock.forward(hours=-36)
    search_for(rig, clock, 100)
    assert order_now(rig.desk, order).status is Status.NOT_FOUND


def test_order_book_read_before_the_clock_was_set_back_is_no_evidence(
    rig: EngineRig, clock: FakeClock
) -> None:
    clock.forward(hours=1)
    rig.reconcile()
    clock.forward(hours=-1)
    order = lost_request(rig)
    rig.exchange.before = failing(BrokerSessionExpired("log in"), "reports")
    search_for(rig, clock, 120)
    assert order_now(rig.desk, order).status is Status.UNKNOWN


def test_order_that_turns_up_while_its_cancel_is_sent_is_cancelled_at_the_broker(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = lost_request(rig)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    search_for(rig, clock, 100)
    not_found = order_now(rig.desk, order)
    rig.exchange.place(order)
    rig.reconcile()
    cancel_modify = CancelModifySender(
        rig.desk, rig.components.guarded_broker, rig.components.report_processor, Budget(())
    )
    cancel_modify.send(not_found)
    turned_up = order_now(rig.desk, order)
    assert (turned_up.status, turned_up.pending) == (Status.OPEN, PendingRequest.PENDING_CANCEL)
    assert rig.send(order).status is Status.CANCELLED
    assert rig.exchange.book["B1"].status is Status.CANCELLED


def test_overfill_raises_one_alert_until_it_is_acknowledged_and_none_after(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    rig.exchange.fill(order, "10")
    rig.reconcile()
    rig.exchange.fill(order, "5")
    for _ in range(2):
        rig.reconcile()
    assert open_alerts(rig.desk) == {("broker.overfill", order.id)}
    rig.desk.writer.run(lambda connection: alerts.acknowledge(connection, rig.desk, 1, CAUSE))
    rig.reconcile()
    assert open_alerts(rig.desk) == set()
    rig.exchange.fill(order, "3")  # another trade is another event
    rig.reconcile()
    assert open_alerts(rig.desk) == {("broker.overfill", order.id)}


def test_alert_is_open_while_an_order_is_unknown_for_long(rig: EngineRig, clock: FakeClock) -> None:
    first = lost_request(rig)
    rig.exchange.before = failing(BrokerUncertain("no answer"), "find", "reports")
    search_for(rig, clock, 9)
    assert open_alerts(rig.desk) == set()
    search_for(rig, clock, 2)
    assert open_alerts(rig.desk) == {("broker.outcome_unknown", rig.desk.account)}
    with rig.desk.database.read() as connection:
        detail = alerts.open_detail(connection, rig.desk, AlertKind.BROKER_OUTCOME_UNKNOWN, rig.desk.account)
    assert first.id in str(detail)
    advance(rig.desk, first, EventKind.ACCEPTED)
    rig.exchange.before = no_fault
    rig.components.reconciler.step()
    assert open_alerts(rig.desk) == set()


def test_alert_about_an_unknown_order_of_an_earlier_engine_is_closed(rig: EngineRig) -> None:
    desk = rig.desk
    kind, detail = AlertKind.BROKER_OUTCOME_UNKNOWN, "from before the restart"
    desk.writer.run(lambda connection: alerts.open_alert(connection, desk, kind, desk.account, CAUSE, detail))
    rig.components.reconciler.step()
    assert open_alerts(desk) == set()


def test_search_that_finds_an_order_is_a_recovery_and_one_that_ends_is_not(
    rig: EngineRig, clock: FakeClock
) -> None:
    lost_answer(rig)
    rig.components.reconciler.step()
    search_for(rig, clock, 2)
    lost = lost_request(rig)
    search_for(rig, clock, 200)
    assert order_now(rig.desk, lost).status is Status.NOT_FOUND
    rig.desk.errors.flush()
    with rig.desk.database.read() as connection:
        (totals,) = read_analytics(connection, clock(), timedelta(hours=1)).recoveries
    assert (totals.action, totals.succeeded, totals.failed) == ("order_search", 1, 1)


def test_order_book_that_cannot_be_read_is_noted_and_its_return_is_a_recovery(
    rig: EngineRig, clock: FakeClock
) -> None:
    rig.exchange.before = failing(BrokerNotReached("refused"), "reports")
    for _ in range(2):
        rig.components.reconciler.read_book()
    rig.exchange.before = no_fault
    rig.components.reconciler.read_book()
    rig.desk.errors.flush()
    with rig.desk.database.read() as connection:
        found = read_analytics(connection, clock(), timedelta(hours=1))
    ((entry, count),) = found.most_frequent
    assert (entry.place, entry.category, count) == ("engine paper order book", ErrorCategory.NETWORK, 2)
    assert [(each.action, each.succeeded, each.failed) for each in found.recoveries] == [("round", 1, 1)]
