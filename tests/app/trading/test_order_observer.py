"""Whatever becomes of an order is counted, logged and, if it is a refusal, noted: wherever it is decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from datetime import timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection

from algosat.config.settings import Settings
from algosat.domain.orders import EventKind, Order, OrderEvent, Status
from algosat.domain.reason_codes import EngineCode
from algosat.errors import BrokerRejected, BrokerUncertain, ErrorSeverity
from algosat.monitoring import metrics
from algosat.resilience import error_store
from algosat.resilience.error_store import ErrorEntry
from algosat.store import ledger
from algosat.trading import cancel, halts
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, advance, buy, hold, sell
from tests.app.engine.rig import EngineRig, build_rig, failing
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def rig(desk: Desk, clock: FakeClock, settings: Settings) -> EngineRig:
    return build_rig(desk, FakeExchange(clock), settings.algosat.engine)


@pytest.fixture
def lines() -> Iterator[Lines]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def counted(outcome: str) -> float:
    return float(metrics.orders(outcome, "paper", "PAPER")._value.get())  # noqa: SLF001


def noted(desk: Desk) -> list[ErrorEntry]:
    desk.errors.flush()
    with desk.database.read() as connection:
        return error_store.latest(connection, limit=10)


def deadline_passes(rig: EngineRig) -> Order:
    order = buy(rig.desk)
    rig.exchange.clock.forward(seconds=60)
    return rig.send(order)


def halted_before_sending(rig: EngineRig) -> Order:
    order = buy(rig.desk)
    halts.halt_trading(rig.desk, CAUSE, "stop", cancel_orders=False)
    return rig.send(order)


def broker_away(rig: EngineRig) -> Order:
    rig.exchange.active = False
    return deadline_passes(rig)


def rejected_by_broker(rig: EngineRig) -> Order:
    rig.exchange.before = failing(BrokerRejected("no funds"), "place")
    return rig.send(buy(rig.desk))


@pytest.mark.parametrize(
    ("refuse", "code"),
    [
        (deadline_passes, EngineCode.SEND_DEADLINE),
        (halted_before_sending, EngineCode.HALTED_BEFORE_SENDING),
        (broker_away, EngineCode.BROKER_UNAVAILABLE),
        (rejected_by_broker, "broker_rejected"),
    ],
)
def test_refusal_after_the_answer_is_counted_logged_and_noted(
    rig: EngineRig, lines: Lines, refuse: Callable[[EngineRig], Order], code: str
) -> None:
    before, by_code = counted("rejected"), metrics.rejections(code, "paper", "PAPER")._value.get()  # noqa: SLF001
    order = refuse(rig)
    assert (order.status, order.code) == (Status.REJECTED, code)
    assert counted("rejected") == before + 1
    assert metrics.rejections(code, "paper", "PAPER")._value.get() == by_code + 1  # noqa: SLF001
    (line,) = (each for each in lines if each["event"] == "order.rejected")
    assert (line["order"], line["code"], line["log_level"]) == (order.id, code, "warning")
    (entry,) = noted(rig.desk)
    assert (entry.code, entry.place, entry.severity) == (code, "orders paper", ErrorSeverity.MEDIUM)
    assert entry.correlation_id == CAUSE.correlation_id


def test_refused_exit_is_noted_as_worse(rig: EngineRig) -> None:
    hold(rig.desk)
    order = sell(rig.desk, reduce_only=True)
    rig.exchange.clock.forward(seconds=60)
    rig.send(order)
    assert [each.severity for each in noted(rig.desk)] == [ErrorSeverity.HIGH]


def test_unknown_outcome_is_noted(rig: EngineRig, lines: Lines) -> None:
    rig.exchange.before = failing(BrokerUncertain("lost"), "place")
    rig.send(buy(rig.desk))
    assert [each.code for each in noted(rig.desk)] == ["broker_uncertain"]
    assert "order.uncertain" in [each["event"] for each in lines]


def test_denial_and_cancel_in_the_api_are_counted_and_logged(desk: Desk, lines: Lines) -> None:
    accepted, denied, cancelled = counted("accepted"), counted("denied"), counted("cancelled")
    assert buy(desk, "999999").status is Status.DENIED
    cancel.cancel_order(desk, buy(desk).id, CAUSE)
    assert (counted("accepted"), counted("denied"), counted("cancelled")) == (
        accepted + 1,
        denied + 1,
        cancelled + 1,
    )
    assert [each["event"] for each in lines] == ["order.denied", "order.cancelled"]
    assert noted(desk) == []  # outcomes that the client was told


def test_state_is_counted_when_an_order_reaches_it_and_not_again(desk: Desk) -> None:
    before = counted("partially_filled")
    order = advance(desk, buy(desk), EventKind.SUBMITTING, EventKind.ACCEPTED)
    advance(desk, advance(desk, order, fill="3"), fill="3")
    assert counted("partially_filled") == before + 1


def test_unit_that_is_undone_leaves_no_trace(desk: Desk, lines: Lines) -> None:
    order = buy(desk)
    before = counted("rejected")

    def work(connection: Connection) -> None:
        event = OrderEvent(EventKind.REJECTED, desk.clock() + timedelta(seconds=1), "send_deadline", "late")
        ledger.record(connection, order, event, CAUSE, desk.books)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        desk.writer.run(work)
    assert counted("rejected") == before
    assert [each["event"] for each in lines] == []
    assert noted(desk) == []
