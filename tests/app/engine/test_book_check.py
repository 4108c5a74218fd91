from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from algosat.brokers.base import Feed, FeedChange, FeedState
from algosat.config.settings import Settings
from algosat.domain.broker_account import BrokerFunds, BrokerHolding, BrokerPosition
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.market_phases import packaged
from algosat.domain.orders import Product, Status, Trade
from algosat.domain.scope import EXTERNAL
from algosat.errors import BrokerUncertain
from algosat.store import queries
from algosat.store.verify.verify import verify
from algosat.trading import book_differences
from algosat.trading.book_adjustments import Adjustment, adjust
from algosat.trading.desk import Desk
from tests.app.builders import exchange
from tests.app.desks import CAUSE, FUTURE, SHARE, accepted, buy, hold, open_alerts, sell
from tests.app.engine.rig import EngineRig, build_rig, failing, no_fault
from tests.app.fake_exchange import FakeExchange, external_report
from tests.app.fakes import FakeClock

DIFFERS = ("book.position_differs", f"{SHARE}/delivery")


@pytest.fixture
def rig(desk: Desk, settings: Settings, clock: FakeClock) -> EngineRig:
    exchange = FakeExchange(clock)
    exchange.capabilities = replace(exchange.capabilities, has_positions=True, has_holdings=True)
    return build_rig(desk, exchange, settings.algosat.engine)


def pass_seconds(rig: EngineRig, seconds: float) -> None:
    """Let the engine look for comparisons each second."""
    for _ in range(int(seconds)):
        rig.exchange.clock.forward(seconds=1)
        rig.components.book_check.step()


def state(rig: EngineRig, *, shares: str = "0", held: str = "0", price: str | None = "80") -> None:
    """Set what the broker states of the first share."""
    average = None if price is None else Decimal(price)
    rig.exchange.stated_positions = [BrokerPosition(SHARE, Product.DELIVERY, Decimal(shares), average)]
    rig.exchange.stated_holdings = [BrokerHolding(SHARE, Decimal(held), average)]


def outcome(rig: EngineRig) -> str | None:
    with rig.desk.database.read() as connection:
        return book_differences.read_state(connection, rig.desk.account).outcome


def differences(rig: EngineRig, *, settled: bool = False) -> list[Any]:
    with rig.desk.database.read() as connection:
        page = queries.differences_page(connection, rig.desk.account, limit=100, is_open=not settled)
    return list(page.rows)


def held(rig: EngineRig, strategy: str = "") -> int:
    with rig.desk.database.read() as connection:
        return int(queries.held(connection, rig.desk.account, strategy, SHARE, "delivery"))


def is_clean(rig: EngineRig) -> bool:
    with rig.desk.database.read() as connection:
        return verify(connection).clean


def test_books_are_compared_after_the_start_and_then_left_alone(rig: EngineRig) -> None:
    hold(rig.desk, "10")
    state(rig, shares="10")
    pass_seconds(rig, 2)
    assert outcome(rig) == "agree"
    rig.exchange.before = failing(AssertionError("asked again"), "positions")
    pass_seconds(rig, 200)


def test_broker_that_states_nothing_is_never_asked(desk: Desk, settings: Settings, clock: FakeClock) -> None:
    exchange = FakeExchange(clock)
    exchange.capabilities = replace(
        exchange.capabilities, has_positions=False, has_holdings=False, has_funds=False
    )
    rig = build_rig(desk, exchange, settings.algosat.engine)
    exchange.before = failing(AssertionError("asked"), "positions", "holdings", "funds")
    pass_seconds(rig, 30)
    assert outcome(rig) is None


def test_difference_is_named_with_both_figures_and_alerted(rig: EngineRig) -> None:
    hold(rig.desk, "10")
    state(rig, shares="15")
    pass_seconds(rig, 1)
    since = rig.exchange.clock()
    assert (outcome(rig), open_alerts(rig.desk)) == ("uncertain", set())
    pass_seconds(rig, 11)
    assert outcome(rig) == "differ"
    (row,) = differences(rig)
    assert (row.kind, row.symbol, row.product) == ("holding", SHARE, "delivery")
    assert [str(each) for each in (row.ours, row.theirs, row.since)] == ["10", "15", str(since)]
    assert open_alerts(rig.desk) == {DIFFERS}
    pass_seconds(rig, 130)
    assert [each.seq for each in differences(rig)] == [row.seq]


def test_difference_is_settled_by_the_order_that_explains_it(rig: EngineRig) -> None:
    hold(rig.desk, "10")
    state(rig, shares="15")
    pass_seconds(rig, 12)
    trade = Trade("X1", Decimal(5), Decimal(100), rig.exchange.clock())
    report = external_report("B77", trade, status=Status.FILLED)
    rig.exchange.book["B77"] = replace(report, terms=replace(report.terms, quantity=Decimal(5)))
    pass_seconds(rig, 61)
    assert (outcome(rig), open_alerts(rig.desk), differences(rig)) == ("agree", set(), [])
    (row,) = differences(rig, settled=True)
    assert row.adjustment is None
    assert (held(rig), held(rig, EXTERNAL)) == (10, 5)
    assert is_clean(rig)


def test_difference_is_settled_by_an_adjustment_within_seconds(rig: EngineRig) -> None:
    hold(rig.desk, "10")
    state(rig, shares="15")
    pass_seconds(rig, 12)
    bonus = Adjustment(
        reason="bonus 1:2", symbol=SHARE, product=Product.DELIVERY, quantity=Decimal(5), price=Decimal(0)
    )
    made = adjust(rig.desk, bonus, CAUSE)
    assert [each.seq for each in differences(rig)]  # until the books were compared again
    pass_seconds(rig, 2)
    assert (outcome(rig), open_alerts(rig.desk)) == ("agree", set())
    (row,) = differences(rig, settled=True)
    assert row.adjustment == made.id
    assert is_clean(rig)


def test_wrong_adjustment_keeps_the_difference_open(rig: EngineRig) -> None:
    hold(rig.desk, "10")
    state(rig, shares="15")
    pass_seconds(rig, 12)
    wrong = Adjustment(
        reason="typed wrongly", symbol=SHARE, product=Product.DELIVERY, quantity=Decimal(4), price=Decimal(90)
    )
    adjust(rig.desk, wrong, CAUSE)
    pass_seconds(rig, 13)
    (row,) = differences(rig)
    assert (str(row.ours), str(row.theirs)) == ("14", "15")
    assert open_alerts(rig.desk) == {DIFFERS}


def test_fills_in_flight_raise_no_alarm(rig: EngineRig) -> None:
    """An order is filled at the broker, and its report arrives seconds later."""
    order = rig.send(buy(rig.desk, "10"))
    rig.exchange.fill(order, "4")
    lagging = list(rig.exchange.book.values())
    rig.exchange.reports_of_today = lambda: [
        replace(each, filled_quantity=Decimal(0), trades=(), status=Status.OPEN) for each in lagging
    ]
    state(rig, shares="4")
    pass_seconds(rig, 5)
    rig.exchange.reports_of_today = lambda: list(rig.exchange.book.values())
    pass_seconds(rig, 60)
    assert (outcome(rig), differences(rig, settled=True), held(rig)) == ("agree", [], 4)


def test_trades_that_lag_behind_are_the_difference_of_an_order_not_of_the_position(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk, "10"))
    full = rig.exchange.fill(order, "10")
    rig.exchange.book[full.broker_order_id] = replace(full, trades=())
    state(rig, shares="10")
    pass_seconds(rig, 15)
    (row,) = differences(rig)
    assert (row.kind, row.order_id, str(row.ours), str(row.theirs)) == ("order", order.id, "0", "10")
    rig.exchange.book[full.broker_order_id] = full
    pass_seconds(rig, 61)
    assert (outcome(rig), differences(rig), held(rig)) == ("agree", [], 10)


def test_holding_bought_elsewhere_is_imported_and_can_be_sold(rig: EngineRig) -> None:
    state(rig, held="10")
    pass_seconds(rig, 12)
    assert held(rig, EXTERNAL) == 10
    pass_seconds(rig, 12)
    assert (outcome(rig), open_alerts(rig.desk)) == ("agree", set())
    order = rig.send(sell(rig.desk, "10", strategy=EXTERNAL))
    rig.exchange.fill(order, "10")
    state(rig, shares="-10", held="10")
    rig.reconcile()
    rig.components.book_check.feed_changed(FeedChange(Feed.ORDERS, FeedState.GAP))
    pass_seconds(rig, 2)
    assert (outcome(rig), held(rig, EXTERNAL)) == ("agree", 0)
    assert is_clean(rig)


def test_cash_differs_unless_the_charges_of_the_day_explain_it(rig: EngineRig) -> None:
    rig.exchange.capabilities = replace(rig.exchange.capabilities, has_funds=True)
    hold(rig.desk, "10")
    state(rig, shares="10")
    with rig.desk.database.read() as connection:
        fees = queries.balance(connection, rig.desk.account).fees
    assert fees
    for cash, kinds in (
        (Decimal(999_000), set()),
        (Decimal(999_000) - fees, set()),
        (Decimal(998_000), {("book.cash_differs", "INR")}),
    ):
        rig.exchange.stated_funds = [BrokerFunds("INR", cash), BrokerFunds("USD", Decimal(1))]
        rig.desk.writer.run(lambda connection: book_differences.request(connection, rig.desk, CAUSE))
        pass_seconds(rig, 15)
        assert open_alerts(rig.desk) == kinds


def test_reconnect_and_request_compare_again(rig: EngineRig) -> None:
    pass_seconds(rig, 2)
    hold(rig.desk, "10")
    pass_seconds(rig, 120)
    assert outcome(rig) == "agree"  # not compared since
    rig.exchange.active = False
    pass_seconds(rig, 2)
    rig.exchange.active = True
    pass_seconds(rig, 2)
    assert outcome(rig) == "uncertain"
    state(rig, shares="10")
    rig.desk.writer.run(lambda connection: book_differences.request(connection, rig.desk, CAUSE))
    rig.exchange.clock.forward(microseconds=1)
    pass_seconds(rig, 2)
    assert outcome(rig) == "agree"


def test_restarted_engine_closes_the_difference_of_the_one_before(rig: EngineRig, settings: Settings) -> None:
    hold(rig.desk, "10")
    state(rig, shares="15")
    pass_seconds(rig, 12)
    again = build_rig(rig.desk, rig.exchange, settings.algosat.engine)
    pass_seconds(again, 2)
    assert len(differences(again)) == 1  # seen once since: neither certain nor gone
    state(rig, shares="10")
    pass_seconds(again, 60)
    assert (differences(again), open_alerts(again.desk)) == ([], set())


def test_broker_that_does_not_answer_is_asked_again_and_alerted_after_ten_minutes(rig: EngineRig) -> None:
    pass_seconds(rig, 2)
    rig.exchange.before = failing(BrokerUncertain("timed out"), "holdings")
    rig.desk.writer.run(lambda connection: book_differences.request(connection, rig.desk, CAUSE))
    pass_seconds(rig, 590)
    assert open_alerts(rig.desk) == set()
    pass_seconds(rig, 60)
    assert open_alerts(rig.desk) == {("book.not_compared", "paper")}
    assert outcome(rig) == "not_read"
    rig.exchange.before = no_fault
    pass_seconds(rig, 40)
    assert (outcome(rig), open_alerts(rig.desk)) == ("agree", set())


def test_evening_of_each_trading_day_is_compared_once(rig: EngineRig, settings: Settings) -> None:
    """From Friday noon over a weekend: Friday's evening is compared, and nothing before Monday's."""
    desk = replace(rig.desk, calendar=ExchangeCalendar(packaged()))
    rig.exchange.clock.at = exchange("2026-11-20", "12:00")
    rig = build_rig(desk, rig.exchange, settings.algosat.engine)
    compared = []

    def count(request: str) -> None:
        if request == "positions":
            compared.append(rig.exchange.clock())

    rig.exchange.before = count
    evenings = []
    for _ in range(24 * 4):
        rig.exchange.clock.forward(hours=1)
        rig.components.book_check.step()
        with desk.database.read() as connection:
            evenings.append(book_differences.read_state(connection, desk.account).evening)
    assert list(dict.fromkeys(evenings)) == [date(2026, 11, day) for day in (19, 20, 23)]
    assert len(compared) == 3


def test_position_of_a_future_that_the_broker_does_not_have_is_named(rig: EngineRig) -> None:
    hold(rig.desk, "50", symbol=FUTURE, product=Product.CARRY)
    pass_seconds(rig, 15)
    (row,) = differences(rig)
    assert (row.kind, row.symbol, row.product, str(row.theirs)) == ("position", FUTURE, "carry", "0")


def test_working_orders_alone_are_no_difference(rig: EngineRig) -> None:
    accepted(rig.desk, buy(rig.desk))
    pass_seconds(rig, 15)
    assert outcome(rig) == "agree"
