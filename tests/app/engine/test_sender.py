from __future__ import annotations

import pytest
from sqlalchemy import Connection, select

from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, Order, Status
from algosat.domain.reason_codes import EngineCode
from algosat.engine.router import CreatedOrders
from algosat.errors import (
    BrokerError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUncertain,
)
from algosat.monitoring.metrics import REGISTRY
from algosat.resilience.error_log import Recovery
from algosat.store import audit
from algosat.store.leader_lock import NotLeading
from algosat.store.tables import recoveries
from algosat.trading import cancel, halts
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, buy, order_now
from tests.app.engine.rig import EngineRig, build_rig, failing, no_fault
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock


def test_rejection_keeps_the_brokers_code_and_reason(rig: EngineRig) -> None:
    rig.exchange.before = failing(BrokerRejected("no margin", code="margin"), "place")
    order = rig.send(buy(rig.desk))
    assert (order.status, order.code, order.reason) == (Status.REJECTED, "margin", "no margin")


@pytest.mark.parametrize(
    "error", [BrokerUncertain("timed out"), KeyError("a field the adapter did not expect"), TimeoutError()]
)
def test_order_is_unknown_after_an_uncertain_outcome(rig: EngineRig, error: Exception) -> None:
    rig.exchange.after = failing(error, "place")
    order = rig.send(buy(rig.desk))
    assert (order.status, order.code) == (Status.UNKNOWN, "broker_uncertain")
    rig.route()
    assert rig.exchange.sent == [order.id]


@pytest.mark.parametrize("error", [BrokerNotReached("refused"), BrokerSessionExpired("log in")])
def test_order_that_was_certainly_not_sent_is_resent(
    rig: EngineRig, clock: FakeClock, error: BrokerError
) -> None:
    rig.exchange.before = failing(error, "place")
    order = rig.send(buy(rig.desk))
    assert order.status is Status.SUBMITTING
    rig.exchange.before = no_fault
    clock.forward(seconds=0.3)
    assert rig.send(order).status is Status.OPEN
    assert rig.exchange.sent == [order.id]


def test_order_that_cannot_be_sent_in_time_is_rejected_with_the_reason(
    rig: EngineRig, clock: FakeClock
) -> None:
    rig.exchange.before = failing(BrokerNotReached("connection refused"), "place")
    order = buy(rig.desk)
    for _ in range(12):
        rig.route()
        clock.forward(seconds=1)
    refused = order_now(rig.desk, order)
    assert (refused.status, refused.code) == (Status.REJECTED, "broker_unreachable")
    assert rig.exchange.sent == []


def test_order_queued_for_resend_is_rejected_when_the_engine_stops(rig: EngineRig) -> None:
    rig.exchange.before = failing(BrokerNotReached("refused"), "place")
    order = rig.send(buy(rig.desk))
    rig.components.router.stop()
    refused = order_now(rig.desk, order)
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.INTERRUPTED)


def test_order_whose_call_fails_while_the_engine_stops_is_rejected(rig: EngineRig) -> None:
    def stop_then_fail(_request: str) -> None:
        rig.components.router.stop()
        raise BrokerNotReached("refused")

    rig.exchange.before = stop_then_fail
    refused = rig.send(buy(rig.desk))
    assert (refused.status, refused.code) == (Status.REJECTED, EngineCode.INTERRUPTED)


def test_nothing_is_sent_for_a_second_after_a_rate_limit_error(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.before = failing(BrokerRateLimited("429"), "place")
    buy(rig.desk)
    rig.route()
    rig.exchange.before = no_fault
    other = buy(rig.desk)
    clock.forward(seconds=0.2)
    rig.route()
    assert order_now(rig.desk, other).status is Status.CREATED
    clock.forward(seconds=1)
    rig.route()
    assert order_now(rig.desk, other).status is Status.OPEN


def queued_for_resend(rig: EngineRig, clock: FakeClock) -> Order:
    """Return an order whose resend is due. It was not sent, and the broker is reachable again."""
    rig.exchange.before = failing(BrokerNotReached("refused"), "place")
    order = rig.send(buy(rig.desk))
    rig.exchange.before = no_fault
    clock.forward(seconds=0.3)
    return order


def test_rate_limited_order_is_not_resent_during_the_pause(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.before = failing(BrokerRateLimited("429"), "place")
    order = rig.send(buy(rig.desk))
    rig.exchange.before = no_fault
    clock.forward(seconds=0.3)
    assert rig.send(order).status is Status.SUBMITTING
    clock.forward(seconds=1)
    assert rig.send(order).status is Status.OPEN


def test_resending_needs_a_permit(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    rules = settings.algosat.engine.model_copy(update={"orders_per_second": 3})
    rig = build_rig(desk, exchange, rules)
    exchange.before = failing(BrokerNotReached("refused"), "place")
    for _ in range(2):
        buy(desk)
    rig.route()
    clock.forward(seconds=1)
    for _ in range(2):
        buy(desk)
    rig.route()
    exchange.before = no_fault
    clock.forward(seconds=1)
    rig.route()
    assert len(exchange.sent) == 2
    clock.forward(seconds=1)
    rig.route()
    assert len(exchange.sent) == 4


def test_halt_rejects_orders_queued_for_resend(rig: EngineRig, clock: FakeClock) -> None:
    order = queued_for_resend(rig, clock)
    halts.halt_trading(rig.desk, CAUSE, "enough", cancel_orders=False)
    stopped = rig.send(order)
    assert (stopped.status, stopped.code) == (Status.REJECTED, EngineCode.HALTED_BEFORE_SENDING)
    assert rig.exchange.sent == []


def test_order_cancelled_while_queued_is_not_resent(rig: EngineRig, clock: FakeClock) -> None:
    order = queued_for_resend(rig, clock)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    assert rig.send(order).status is Status.CANCELLED
    assert rig.exchange.sent == []


def test_nothing_is_resent_after_the_lead_is_lost(
    desk: Desk, exchange: FakeExchange, settings: Settings, clock: FakeClock
) -> None:
    lost: list[str] = []

    def fence(_connection: Connection) -> None:
        if lost:
            raise NotLeading("another one leads")

    rig = build_rig(desk, exchange, settings.algosat.engine, fence)
    queued_for_resend(rig, clock)
    lost.append("lead")
    with pytest.raises(NotLeading):
        rig.route()
    assert exchange.sent == []


def test_order_is_unknown_while_its_call_hangs_and_the_late_answer_is_applied(
    rig: EngineRig, clock: FakeClock
) -> None:
    during: list[Status] = []

    def hang(_request: str) -> None:
        clock.forward(seconds=16)
        rig.route()
        during.append(order_now(rig.desk, order).status)

    order = buy(rig.desk)
    rig.exchange.after = hang
    assert rig.send(order).status is Status.OPEN
    assert during == [Status.UNKNOWN]


def test_report_applied_before_a_failed_answer_wins(rig: EngineRig) -> None:
    def push_then_fail(_request: str) -> None:
        rig.components.report_processor.process(list(rig.exchange.book.values()))
        raise BrokerUncertain("the answer was lost")

    rig.exchange.after = push_then_fail
    order = rig.send(buy(rig.desk))
    assert order.status is Status.OPEN
    with rig.desk.database.read() as connection:
        kinds = [event.kind for event in audit.events_of(connection, order.id)]
    assert EventKind.UNCERTAIN not in kinds


def test_order_queued_for_resend_is_rejected_when_the_clock_is_set_back(
    rig: EngineRig, clock: FakeClock
) -> None:
    rig.exchange.before = failing(BrokerNotReached("refused"), "place")
    order = rig.send(buy(rig.desk))
    rig.exchange.before = no_fault
    clock.forward(hours=-1)
    assert rig.send(order).status is Status.REJECTED
    assert rig.exchange.sent == []


def test_hung_call_is_detected_when_the_clock_is_set_back(rig: EngineRig, clock: FakeClock) -> None:
    order = buy(rig.desk)
    seen: list[Status] = []

    def hang(_request: str) -> None:
        clock.forward(hours=-1)
        rig.components.router.step(CreatedOrders(regular=False, send_at=None))
        seen.append(order_now(rig.desk, order).status)

    rig.exchange.before = hang
    rig.route()
    assert seen == [Status.UNKNOWN]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"algosat_{name}", labels) or 0.0


def test_stages_of_an_order_are_timed_once_each(rig: EngineRig, clock: FakeClock) -> None:
    stages = ("accept", "send", "acknowledge")
    before = {stage: counted("order_stage_seconds_count", stage=stage) for stage in stages}
    waited = counted("order_stage_seconds_sum", stage="send")
    order = buy(rig.desk)
    rig.exchange.before = failing(BrokerNotReached("refused"), "place")
    rig.send(order)
    rig.exchange.before = no_fault
    clock.forward(seconds=3)
    rig.send(order)
    after = {stage: counted("order_stage_seconds_count", stage=stage) for stage in stages}
    assert after == {stage: number + 1 for stage, number in before.items()}
    assert counted("order_stage_seconds_sum", stage="send") - waited == pytest.approx(3)


def test_rejections_and_denials_are_counted_by_code(rig: EngineRig) -> None:
    here = {"account": "paper", "mode": "PAPER"}
    rejected = counted("order_rejections_total", code="margin", **here)
    denied = counted("order_denials_total", code="outside_circuit", **here)
    rig.exchange.before = failing(BrokerRejected("no margin", code="margin"), "place")
    rig.send(buy(rig.desk))
    assert buy(rig.desk, limit="900").code == "outside_circuit"
    assert counted("order_rejections_total", code="margin", **here) == rejected + 1
    assert counted("order_denials_total", code="outside_circuit", **here) == denied + 1


def recovered(rig: EngineRig) -> list[tuple[str, int, int]]:
    """Return action and numbers of the recoveries that succeeded and failed."""
    rig.desk.errors.flush()
    with rig.desk.database.read() as connection:
        rows = connection.execute(select(recoveries))
        return [(row.action, row.succeeded, row.failed) for row in rows]


def test_order_that_is_sent_at_the_second_attempt_is_a_recovery(rig: EngineRig, clock: FakeClock) -> None:
    rig.exchange.before = failing(BrokerNotReached("refused"), "place")
    order = rig.send(buy(rig.desk))
    rig.exchange.before = no_fault
    clock.forward(seconds=0.3)
    rig.send(order)
    assert recovered(rig) == [(Recovery.ORDER_RESEND, 1, 0)]


def test_order_that_is_not_sent_again_is_a_failed_recovery(rig: EngineRig, clock: FakeClock) -> None:
    cancelled = queued_for_resend(rig, clock)
    cancel.cancel_order(rig.desk, cancelled.id, CAUSE)
    rig.route()
    rig.exchange.before = failing(BrokerNotReached("refused"), "place")
    rejected = buy(rig.desk, "20")
    for _ in range(12):
        rig.route()
        clock.forward(seconds=1)
    ended = [order_now(rig.desk, each).status for each in (cancelled, rejected)]
    assert ended == [Status.CANCELLED, Status.REJECTED]
    assert recovered(rig) == [(Recovery.ORDER_RESEND, 0, 2)]
