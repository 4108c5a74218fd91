"""Conversions sent by the engine: every answer of the broker, restarts, and outcomes told by positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.brokers.base import BrokerPosition
from algosat.config.settings import Settings
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.conversion import ConversionCode, ConversionState, Excess
from algosat.domain.orders import Product, Side, Trade
from algosat.domain.reason_codes import EngineCode
from algosat.engine.sender import HUNG_AFTER
from algosat.errors import (
    BrokerError,
    BrokerNotReached,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUncertain,
)
from algosat.store import queries
from algosat.store.leader_lock import NotLeading
from algosat.store.verify.verify import verify
from algosat.trading import conversion_records, conversions, halts
from algosat.trading.conversion_records import ConversionRecord
from algosat.trading.conversions import ConversionRequest
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, FUTURE, SHARE, hold, open_alerts
from tests.app.engine.rig import EngineRig, build_rig, failing, no_fault
from tests.app.fake_exchange import FakeExchange, external_report
from tests.app.fakes import FakeClock

UNCERTAIN = BrokerUncertain("timed out")


class EngineKilled(BaseException):
    """Stands for the end of the process in the middle of a call."""


class HeldWorkers:
    """Keeps each task until the test runs it, as a call that hangs does."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], None]] = []

    def run(self, task: Callable[[], None]) -> None:
        self.tasks.append(task)

    def free(self) -> int:
        return 1 - len(self.tasks)

    def close(self) -> None:
        return


@pytest.fixture
def exchange(clock: FakeClock) -> FakeExchange:
    exchange = FakeExchange(clock)
    exchange.capabilities = replace(exchange.capabilities, has_positions=True, has_holdings=True)
    return exchange


@pytest.fixture
def rig(desk: Desk, exchange: FakeExchange, settings: Settings) -> EngineRig:
    """Return a rig; orders placed by hand hold 10 intraday, here and at the exchange."""
    hold(desk, "10", product=Product.INTRADAY)
    exchange.stated_positions = [BrokerPosition(SHARE, Product.INTRADAY, Decimal(10))]
    return build_rig(desk, exchange, settings.algosat.engine)


def request(rig: EngineRig, quantity: str = "4") -> ConversionRecord:
    wanted = ConversionRequest(SHARE, Product.DELIVERY, quantity=Decimal(quantity))
    return conversions.request_conversion(rig.desk, wanted, CAUSE).record


def step(rig: EngineRig, seconds: float = 1) -> None:
    """Let the engine look at the conversions each second."""
    for _ in range(int(seconds)):
        rig.exchange.clock.forward(seconds=1)
        rig.components.conversions.step()


def now(rig: EngineRig, record: ConversionRecord) -> ConversionRecord:
    with rig.desk.database.read() as connection:
        assert verify(connection).findings == []
        return conversion_records.get(connection, record.id)


def held(rig: EngineRig) -> dict[str, int]:
    with rig.desk.database.read() as connection:
        return {each.product: int(each.quantity) for each in queries.open_positions(connection, "paper")}


def test_conversion_is_sent_once_and_booked(rig: EngineRig) -> None:
    record = request(rig)
    step(rig, 5)
    assert rig.exchange.converted == [(SHARE, Decimal(4), Product.INTRADAY, Product.DELIVERY)]
    assert now(rig, record).state is ConversionState.CONVERTED
    assert held(rig) == {"intraday": 6, "delivery": 4}


def test_short_position_is_sent_with_its_sign(desk: Desk, exchange: FakeExchange, settings: Settings) -> None:
    hold(desk, "100", side=Side.SELL, product=Product.INTRADAY, symbol=FUTURE)
    exchange.stated_positions = [BrokerPosition(FUTURE, Product.INTRADAY, Decimal(-100))]
    rig = build_rig(desk, exchange, settings.algosat.engine)
    wanted = ConversionRequest(FUTURE, Product.CARRY, quantity=Decimal(50))
    conversions.request_conversion(desk, wanted, CAUSE)
    rig.exchange.after = failing(UNCERTAIN, "convert")
    step(rig, 8)
    assert exchange.converted == [(FUTURE, Decimal(-50), Product.INTRADAY, Product.CARRY)]
    assert held(rig) == {"intraday": -50, "carry": -50}


@pytest.mark.parametrize(
    "error",
    [
        BrokerRejected("not in this phase", code="phase"),
        BrokerNotReached("refused"),
        BrokerRateLimited("too many"),
        BrokerSessionExpired("log in"),
    ],
    ids=lambda error: error.code,
)
def test_conversion_that_was_certainly_not_made_is_rejected(rig: EngineRig, error: BrokerError) -> None:
    rig.exchange.before = failing(error, "convert")
    record = request(rig)
    step(rig, 2)
    found = now(rig, record)
    assert (found.state, found.code) == (ConversionState.REJECTED, error.reported_code)
    assert error.detail in found.detail
    assert held(rig) == {"intraday": 10}
    rig.exchange.before = no_fault
    request(rig, "10")  # nothing is kept back any more


def test_positions_tell_that_the_broker_made_a_conversion_whose_answer_was_lost(rig: EngineRig) -> None:
    rig.exchange.after = failing(UNCERTAIN, "convert")
    record = request(rig)
    step(rig)
    assert now(rig, record).state is ConversionState.UNKNOWN
    step(rig)
    assert now(rig, record).state is ConversionState.UNKNOWN  # one reading proves nothing
    step(rig, 5)
    assert now(rig, record).state is ConversionState.CONVERTED
    assert len(rig.exchange.converted) == 1
    assert held(rig) == {"intraday": 6, "delivery": 4}


def test_conversion_that_was_lost_on_the_way_is_given_up_after_the_window(rig: EngineRig) -> None:
    rig.exchange.before = failing(UNCERTAIN, "convert")
    record = request(rig)
    step(rig, 59)
    assert now(rig, record).state is ConversionState.UNKNOWN
    step(rig, 60)
    found = now(rig, record)
    assert (found.state, found.code) == (ConversionState.REJECTED, ConversionCode.NOT_CONVERTED)
    assert (rig.exchange.converted, held(rig)) == ([], {"intraday": 10})


def test_request_that_arrives_late_is_found(rig: EngineRig) -> None:
    rig.exchange.before = failing(UNCERTAIN, "convert")
    record = request(rig)
    step(rig, 20)
    rig.exchange.before = no_fault
    rig.exchange.convert(SHARE, Decimal(4), Product.INTRADAY, Product.DELIVERY)
    step(rig, 60)
    assert now(rig, record).state is ConversionState.CONVERTED
    assert held(rig) == {"intraday": 6, "delivery": 4}


def test_fills_meanwhile_are_no_part_of_the_conversion(rig: EngineRig) -> None:
    rig.exchange.after = failing(UNCERTAIN, "convert")
    record = request(rig)
    step(rig)
    terms = external_report("E1").terms
    terms = replace(terms, side=Side.SELL, product=Product.INTRADAY, quantity=Decimal(4))
    trade = Trade("E1-0", Decimal(4), Decimal(100), rig.exchange.clock())
    report = replace(external_report("E1", trade), terms=terms)
    rig.exchange.change_stated(SHARE, Product.INTRADAY, Decimal(-4))  # the order book lags behind
    step(rig, 5)
    assert now(rig, record).state is ConversionState.UNKNOWN
    rig.exchange.book["E1"] = report
    step(rig, 30)
    assert now(rig, record).state is ConversionState.CONVERTED
    assert {each.product: each.quantity for each in rig.exchange.stated_positions} == {
        Product.INTRADAY: 2,
        Product.DELIVERY: 4,
    }


@pytest.mark.parametrize("is_made", [False, True])
def test_engine_that_is_killed_while_it_sends_leaves_the_outcome_to_the_positions(
    rig: EngineRig, settings: Settings, is_made: bool
) -> None:
    def kill(request: str) -> None:
        if request == "convert":
            raise EngineKilled

    setattr(rig.exchange, "after" if is_made else "before", kill)
    record = request(rig)
    with pytest.raises(EngineKilled):
        step(rig)
    rig.exchange.before = rig.exchange.after = no_fault
    successor = build_rig(rig.desk, rig.exchange, settings.algosat.engine)
    step(successor)
    assert now(rig, record).state is ConversionState.UNKNOWN
    step(successor, 120)
    expected = ConversionState.CONVERTED if is_made else ConversionState.REJECTED
    assert now(rig, record).state is expected
    assert len(rig.exchange.converted) == is_made


def test_broker_that_fences_needs_no_window_after_a_restart(
    desk: Desk, exchange: FakeExchange, settings: Settings, rig: EngineRig
) -> None:
    exchange.capabilities = replace(exchange.capabilities, fences=True)
    record = request(rig)
    excess = Excess(Decimal(0), Decimal(0))
    desk.writer.run(lambda connection: conversions.record_sending(connection, desk, record, excess))
    step(build_rig(desk, exchange, settings.algosat.engine), 10)
    assert now(rig, record).code == ConversionCode.NOT_CONVERTED


def test_call_that_hangs_is_unknown_and_its_late_answer_is_booked_once(rig: EngineRig) -> None:
    workers = HeldWorkers()
    rig.components.conversions._workers = workers  # noqa: SLF001 - the calls of this engine hang
    record = request(rig)
    step(rig)
    assert now(rig, record).state is ConversionState.SUBMITTING
    step(rig, HUNG_AFTER.total_seconds() + 2)
    assert now(rig, record).state is ConversionState.UNKNOWN
    step(rig, 120)
    assert now(rig, record).state is ConversionState.REJECTED
    (call,) = workers.tasks
    call()
    assert now(rig, record).state is ConversionState.CONVERTED
    assert held(rig) == {"intraday": 6, "delivery": 4}


def test_person_is_needed_if_the_positions_show_neither(rig: EngineRig) -> None:
    rig.exchange.before = failing(UNCERTAIN, "convert")
    record = request(rig)
    step(rig)
    rig.exchange.change_stated(SHARE, Product.INTRADAY, Decimal(-1))  # nothing explains that
    alert = (AlertKind.CONVERSION_UNKNOWN.value, record.id)
    step(rig, 55)
    assert alert not in open_alerts(rig.desk)
    step(rig, 40)
    assert alert in open_alerts(rig.desk)
    conversions.settle_conversion(rig.desk, record.id, CAUSE, converted=False)
    assert alert not in open_alerts(rig.desk)


def test_person_is_needed_if_the_positions_cannot_be_read(rig: EngineRig) -> None:
    rig.exchange.before = failing(UNCERTAIN, "convert")
    record = request(rig)
    step(rig)
    rig.exchange.before = failing(BrokerNotReached("away"), "positions")
    step(rig, 100)
    assert (AlertKind.CONVERSION_UNKNOWN.value, record.id) in open_alerts(rig.desk)
    rig.exchange.before = no_fault
    step(rig, 70)
    assert now(rig, record).code == ConversionCode.NOT_CONVERTED
    assert open_alerts(rig.desk) == set()


def test_conversion_that_cannot_be_sent_in_time_is_rejected(rig: EngineRig) -> None:
    rig.exchange.before = failing(BrokerNotReached("away"), "reports")
    record = request(rig)
    step(rig, 9)
    assert now(rig, record).state is ConversionState.CREATED
    step(rig, 5)
    found = now(rig, record)
    assert (found.state, found.code) == (ConversionState.REJECTED, EngineCode.SEND_DEADLINE)
    assert rig.exchange.converted == []


def test_halt_before_sending_rejects_the_conversion(rig: EngineRig) -> None:
    record = request(rig)
    halts.halt_trading(rig.desk, CAUSE, "looks wrong")
    step(rig, 2)
    assert now(rig, record).code == EngineCode.HALTED_BEFORE_SENDING
    assert rig.exchange.converted == []


def test_conversion_cancelled_while_the_positions_are_read_is_not_sent(rig: EngineRig) -> None:
    record = request(rig)

    def cancel(request: str) -> None:
        if request == "positions":
            conversions.cancel_conversion(rig.desk, record.id, CAUSE)

    rig.exchange.before = cancel
    step(rig)
    rig.exchange.before = no_fault
    step(rig, 5)
    assert now(rig, record).state is ConversionState.CANCELLED
    assert rig.exchange.converted == []


def test_engine_that_lost_the_lead_sends_nothing(
    desk: Desk, exchange: FakeExchange, settings: Settings, rig: EngineRig
) -> None:
    def fence(_connection: object) -> None:
        raise NotLeading("another engine leads")

    record = request(rig)
    with pytest.raises(NotLeading):
        step(build_rig(desk, exchange, settings.algosat.engine, fence))
    assert (now(rig, record).state, exchange.converted) == (ConversionState.CREATED, [])


def test_conversion_whose_outcome_is_unknown_is_no_difference_of_the_books(rig: EngineRig) -> None:
    rig.exchange.after = failing(UNCERTAIN, "convert")
    request(rig)
    step(rig)
    for _ in range(90):
        rig.exchange.clock.forward(seconds=1)
        rig.components.book_check.step()
    assert open_alerts(rig.desk) == set()
