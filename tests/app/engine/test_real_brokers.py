"""What real brokers do to the engine: each test is a probe that an earlier release failed, or a sibling."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import delete, select

from algosat.brokers.base import BookReading
from algosat.config.settings import Settings
from algosat.domain.instruments import Instrument, InstrumentKind, OptionType, SettlementMethod
from algosat.domain.orders import ModifyRequest, Order, OrderType, Product, Side, Status, Trade
from algosat.domain.orders.report import OrderReport
from algosat.domain.reason_codes import EngineCode
from algosat.domain.risk import DenialCode
from algosat.errors import BrokerError, BrokerOrderGone, BrokerRejected, BrokerUncertain
from algosat.store import queries
from algosat.store.tables import quotes, trades
from algosat.store.verify.verify import verify
from algosat.trading import account_book, cancel, close, funds, modify
from algosat.trading.apply_report import apply_report
from algosat.trading.desk import Desk
from tests.app.desks import (
    CAUSE,
    SECOND,
    SHARE,
    buy,
    hold,
    instruments,
    open_alerts,
    order_now,
    other_account,
    replace_instruments,
    sell,
    set_prices,
)
from tests.app.engine.rig import EngineRig, build_rig, failing, no_fault
from tests.app.fake_exchange import FakeExchange, external_report
from tests.app.fakes import FakeClock

INCOMPLETE = BookReading([], datetime.min.replace(tzinfo=UTC), complete=False)
ELSEWHERE = "SOMETHING-ELSE"
OPTION = Instrument(
    "NOVA-100-CE", "Nova", InstrumentKind.OPTION, "derivatives", Decimal("0.05"), Decimal(50), Decimal(1000),
    expiry=date(2026, 11, 26), strike=Decimal(100), option_type=OptionType.CALL, underlying="NOVA-FUT",
    settlement=SettlementMethod.CASH,
)  # fmt: skip


def unlist(desk: Desk, symbol: str) -> None:
    replace_instruments(desk, [each for each in instruments() if each.symbol != symbol])


def delete_quote(desk: Desk, symbol: str) -> None:
    desk.writer.run(lambda connection: connection.execute(delete(quotes).where(quotes.c.symbol == symbol)))


# --- equal order numbers of two accounts, or of two instruments -------------------------------------


def imported(desk: Desk, report: OrderReport) -> Order:
    return desk.writer.run(lambda connection: apply_report(connection, desk, report)).order


def test_external_orders_of_two_accounts_with_one_number_are_two_orders(rig: EngineRig) -> None:
    other = other_account(rig.desk)
    report = external_report("77", Trade("T1", Decimal(10), Decimal(100), rig.desk.clock()))
    for _ in range(2):  # the second time, both are known
        found = [imported(desk, report) for desk in (rig.desk, other)]
        assert [order.terms.account for order in found] == [rig.desk.account, other.account]
        assert [held(desk) for desk in (rig.desk, other)] == [10, 10]


def test_number_that_is_used_again_for_another_instrument_is_another_order(rig: EngineRig) -> None:
    report = external_report("77", Trade("T1", Decimal(10), Decimal(100), rig.desk.clock()))
    first = imported(rig.desk, report)
    trade = Trade("T2", Decimal(10), Decimal(100), rig.desk.clock())
    again = replace(report, terms=replace(report.terms, symbol=SECOND), trades=(trade,))
    second = imported(rig.desk, again)
    assert second.id != first.id
    assert imported(rig.desk, again).id == second.id
    assert [held(rig.desk, symbol) for symbol in (SHARE, SECOND)] == [10, 10]


def test_tag_of_another_accounts_order_names_no_order_of_this_one(rig: EngineRig) -> None:
    other, order = other_account(rig.desk), rig.send(buy(rig.desk))
    trade = Trade("T1", Decimal(10), Decimal(100), rig.desk.clock())
    external = imported(other, external_report("B1", trade, status=Status.FILLED, tag=order.id))
    assert (external.terms.account, external.external) == (other.account, True)
    assert order_now(rig.desk, order).status is Status.OPEN


# --- one symbol without a price, or missing from the master, harms no other order ---------------------


@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.MARKET])
def test_external_order_without_a_price_denies_only_orders_in_its_symbol(
    rig: EngineRig, kind: OrderType
) -> None:
    report = external_report("B77")
    limit = Decimal(100) if kind is OrderType.LIMIT else None
    terms = replace(report.terms, symbol=ELSEWHERE, type=kind, limit_price=limit)
    rig.exchange.book["B77"] = replace(report, terms=terms)
    rig.reconcile()
    assert rig.send(buy(rig.desk)).status is Status.OPEN
    assert buy(rig.desk, symbol=ELSEWHERE).code == DenialCode.UNKNOWN_SYMBOL


def test_held_share_that_the_master_lacks_denies_no_other_order_and_not_its_own_exit(rig: EngineRig) -> None:
    hold(rig.desk, symbol=SECOND)
    unlist(rig.desk, SECOND)
    assert rig.send(buy(rig.desk)).status is Status.OPEN
    assert rig.send(sell(rig.desk, symbol=SECOND)).status is Status.OPEN


def test_held_share_without_any_price_denies_no_other_order_and_not_its_own_exit(rig: EngineRig) -> None:
    hold(rig.desk, symbol=SECOND)
    unlist(rig.desk, SECOND)
    delete_quote(rig.desk, SECOND)
    assert rig.send(buy(rig.desk)).status is Status.OPEN
    assert buy(rig.desk, symbol=SECOND).code == DenialCode.UNKNOWN_SYMBOL
    assert rig.send(sell(rig.desk, symbol=SECOND)).status is Status.OPEN


def test_position_that_the_master_lacks_can_be_closed_by_the_close_verb(rig: EngineRig) -> None:
    hold(rig.desk, symbol=SECOND)
    unlist(rig.desk, SECOND)
    exit_order = close.close_position(rig.desk, SECOND, CAUSE).order
    assert rig.send(exit_order).status is Status.OPEN


def test_limits_and_funds_count_a_position_that_has_no_price(rig: EngineRig) -> None:
    with rig.desk.database.read() as connection:
        free = funds.funds(connection, rig.desk).available
    hold(rig.desk, "100", symbol=SECOND)
    unlist(rig.desk, SECOND)
    delete_quote(rig.desk, SECOND)
    with rig.desk.database.read() as connection:
        left = funds.funds(connection, rig.desk).available
        (estimated,) = account_book.read_book(connection, rig.desk.account, rig.desk.venue).exposures
    assert free - left >= 10_000
    assert (estimated.symbol, estimated.exposure) == (SECOND, Decimal(10_000))


def test_written_option_that_is_no_longer_listed_needs_its_margin(rig: EngineRig) -> None:
    replace_instruments(rig.desk, [*instruments(), OPTION])
    trade = Trade("T1", Decimal(50), Decimal(2), rig.exchange.clock())
    report = external_report("B77", trade, status=Status.FILLED)
    terms = replace(report.terms, symbol=OPTION.symbol, side=Side.SELL, product=Product.CARRY)
    terms = replace(terms, quantity=Decimal(50), limit_price=Decimal(2))
    rig.exchange.book["B77"] = replace(report, terms=terms)
    rig.reconcile()
    replace_instruments(rig.desk, instruments())
    with rig.desk.database.read() as connection:
        (line,) = account_book.read_book(connection, rig.desk.account, rig.desk.venue).exposures
    assert line.margin > 5 * 50


def test_orders_of_a_strategy_count_against_its_limits_although_they_have_no_price(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk, symbol=SECOND, strategy="trend"))
    unlist(rig.desk, SECOND)
    delete_quote(rig.desk, SECOND)
    set_prices(rig.desk)
    delete_quote(rig.desk, SECOND)
    assert order_now(rig.desk, order).status is Status.OPEN
    with rig.desk.database.read() as connection:
        (line,) = account_book.read_book(connection, rig.desk.account, rig.desk.venue).exposures_of("trend")
    assert (line.symbol, line.exposure) == (SECOND, Decimal(1000))
    assert buy(rig.desk, symbol=SHARE, strategy="trend").status is Status.CREATED


# --- equal trade numbers ------------------------------------------------------------------------------


def held(desk: Desk, symbol: str = SHARE) -> Decimal:
    with desk.database.read() as connection:
        assert verify(connection).clean
        positions = queries.open_positions(connection, desk.account)
    return sum((each.quantity for each in positions if each.symbol == symbol), Decimal(0))


def trade_ids(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return list(connection.execute(select(trades.c.trade_id).order_by(trades.c.seq)).scalars())


def test_equal_trade_numbers_of_two_orders_are_both_booked(rig: EngineRig) -> None:
    first, second = rig.send(buy(rig.desk)), rig.send(buy(rig.desk, "11", symbol=SECOND))
    rig.exchange.fill(first, "10", number="10000001")
    rig.exchange.fill(second, "11", number="10000001")
    for _ in range(2):
        rig.reconcile()
    assert [order_now(rig.desk, each).status for each in (first, second)] == [Status.FILLED] * 2
    assert held(rig.desk) == 10
    assert held(rig.desk, SECOND) == 11
    assert trade_ids(rig.desk) == ["10000001", f"10000001@{second.id}"]
    assert open_alerts(rig.desk) == set()


def test_equal_trade_numbers_on_two_days_are_both_booked(rig: EngineRig, clock: FakeClock) -> None:
    for day in (0, 3):
        clock.forward(days=day)
        set_prices(rig.desk)
        rig.exchange.fill(rig.send(buy(rig.desk)), "10", number="1")
        rig.reconcile()
    assert held(rig.desk) == 20


def test_part_of_an_order_with_the_trade_number_of_another_is_booked_once(rig: EngineRig) -> None:
    first, second = rig.send(buy(rig.desk)), rig.send(buy(rig.desk, "11"))
    rig.exchange.fill(first, "10", number="7")
    rig.exchange.fill(second, "4", number="7")
    for _ in range(3):
        rig.reconcile()
    rig.exchange.fill(second, "7", number="8")
    rig.reconcile()
    assert held(rig.desk) == 21


def test_trade_number_that_comes_again_with_other_content_is_an_alert(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    rig.exchange.fill(order, "4", number="7")
    rig.reconcile()
    rig.exchange.fill(order, "5", number="7")
    rig.reconcile()
    assert open_alerts(rig.desk) >= {("broker.trade_conflict", order.id)}
    assert held(rig.desk) == 4


def test_trade_whose_price_the_broker_corrects_after_the_fill_is_an_alert(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    rig.exchange.fill(order, "10", number="7")
    rig.reconcile()
    (report,) = rig.exchange.book.values()
    corrected = replace(report.trades[0], price=Decimal(99))
    rig.exchange.book["B1"] = replace(report, trades=(corrected,))
    rig.reconcile()
    assert open_alerts(rig.desk) == {("broker.trade_conflict", order.id)}


def test_order_imported_before_its_tag_was_known_is_not_booked_twice(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    report = replace(rig.exchange.fill(order, "10"), tag=None)
    rig.exchange.book["B1"] = report
    rig.reconcile()
    assert order_now(rig.desk, order).status is Status.FILLED
    assert held(rig.desk) == 10


# --- one report that cannot be booked harms no other --------------------------------------------------


@pytest.mark.parametrize("quantity", ["NaN", "0.0000000000000000000000001"])
def test_report_that_cannot_be_booked_is_an_alert_and_the_others_count(rig: EngineRig, quantity: str) -> None:
    bad, good = rig.send(buy(rig.desk)), rig.send(buy(rig.desk, "11"))
    report = rig.exchange.book["B1"]
    trade = Trade("T1", Decimal(quantity), Decimal("64117.99"), rig.exchange.clock())
    rig.exchange.book["B1"] = replace(report, trades=(trade,))
    rig.exchange.fill(good, "11")
    rig.reconcile()
    assert order_now(rig.desk, good).status is Status.FILLED
    assert open_alerts(rig.desk) == {("broker.report_refused", bad.id)}
    assert rig.components.reconciler.read_at == rig.exchange.clock()


# --- a book that does not cover the order -------------------------------------------------------------


def unknown_since_yesterday(rig: EngineRig) -> Order:
    """Send an order that is filled while its answer is lost; the next morning the book begins anew."""
    rig.exchange.after = failing(BrokerUncertain("lost"), "place")
    order = rig.send(buy(rig.desk))
    rig.exchange.after = no_fault
    rig.exchange.fill(order, "10")
    return order


def next_morning(rig: EngineRig) -> None:
    rig.exchange.clock.at = datetime.fromisoformat("2026-11-23T04:00:00+00:00")
    rig.exchange.covers_from = datetime.fromisoformat("2026-11-22T18:30:00+00:00")
    rig.exchange.book.clear()
    set_prices(rig.desk)


def search_for(rig: EngineRig, seconds: int) -> None:
    for _ in range(seconds):
        rig.exchange.clock.forward(seconds=1)
        rig.components.reconciler.step()


def test_order_of_yesterday_is_not_not_found_on_a_book_that_does_not_cover_it(rig: EngineRig) -> None:
    order = unknown_since_yesterday(rig)
    next_morning(rig)
    search_for(rig, 200)
    assert order_now(rig.desk, order).status is Status.UNKNOWN
    assert open_alerts(rig.desk) == {
        ("broker.outcome_missed", order.id),
        ("broker.outcome_unknown", rig.desk.account),
    }


def test_adapter_that_finds_nothing_proves_nothing_if_its_book_does_not_cover_the_order(
    rig: EngineRig,
) -> None:
    order = unknown_since_yesterday(rig)
    next_morning(rig)
    rig.exchange.find = lambda order: None  # type: ignore[method-assign]
    search_for(rig, 200)
    assert order_now(rig.desk, order).status is Status.UNKNOWN


def test_incomplete_book_proves_nothing(rig: EngineRig) -> None:
    rig.exchange.before = failing(BrokerUncertain("lost"), "place")
    order = rig.send(buy(rig.desk))
    rig.exchange.before = no_fault
    rig.exchange.read_book = lambda hint: INCOMPLETE  # type: ignore[method-assign]
    search_for(rig, 200)
    assert order_now(rig.desk, order).status is Status.UNKNOWN
    del rig.exchange.read_book
    search_for(rig, 60)
    assert order_now(rig.desk, order).status is Status.NOT_FOUND


@pytest.mark.parametrize("has_it", [True, False])
def test_book_of_yesterday_decides(rig: EngineRig, has_it: bool) -> None:
    order = unknown_since_yesterday(rig)
    reports = list(rig.exchange.book.values()) if has_it else []
    rig.exchange.earlier[date(2026, 11, 20)] = BookReading(reports, order.created_at)
    rig.exchange.capabilities = replace(rig.exchange.capabilities, has_history=True)
    next_morning(rig)
    search_for(rig, 200)
    assert order_now(rig.desk, order).status is (Status.FILLED if has_it else Status.NOT_FOUND)
    assert held(rig.desk) == (10 if has_it else 0)


def test_cancel_ends_an_order_of_yesterday_whose_outcome_no_book_shows(rig: EngineRig) -> None:
    order = unknown_since_yesterday(rig)
    filled = rig.exchange.book["B1"]
    next_morning(rig)
    search_for(rig, 100)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    search_for(rig, 100)
    assert order_now(rig.desk, order).status is Status.CANCELLED
    rig.exchange.book["B1"] = filled  # the broker's own reconciliation
    rig.reconcile()
    assert held(rig.desk) == 10


# --- filled whole while the trade book lags -----------------------------------------------------------


def without_trades(report: OrderReport) -> OrderReport:
    return replace(report, trades=(), average_price=Decimal("99.5") if report.trades else None)


def lagging(rig: EngineRig) -> Order:
    """Return an order that the broker reports as filled, without its trades."""
    order = rig.send(buy(rig.desk))
    rig.exchange.shows = without_trades
    rig.exchange.fill(order, "6", "99.55")
    rig.exchange.fill(order, "4", "99.45")
    return order


def read_for(rig: EngineRig, seconds: int) -> None:
    for _ in range(seconds):
        rig.exchange.clock.forward(seconds=1)
        rig.components.reconciler.read_book()


def test_order_filled_without_its_trades_is_read_by_itself_then_alerted(rig: EngineRig) -> None:
    order = lagging(rig)
    requests: list[str] = []
    rig.exchange.before = requests.append
    read_for(rig, 20)
    assert 3 <= requests.count("find") <= 6
    assert open_alerts(rig.desk) == set()
    read_for(rig, 20)
    assert open_alerts(rig.desk) == {("broker.trades_missing", order.id)}
    assert order_now(rig.desk, order).filled_quantity == 0


def test_fill_is_inferred_and_then_replaced_by_the_trades(rig: EngineRig) -> None:
    order = lagging(rig)
    read_for(rig, 130)
    inferred = order_now(rig.desk, order)
    assert (inferred.status, inferred.code) == (Status.FILLED, EngineCode.FILL_INFERRED)
    assert inferred.average_price == Decimal("99.5")
    assert held(rig.desk) == 10
    assert open_alerts(rig.desk) == {("broker.trades_missing", order.id)}
    rig.exchange.shows = lambda report: report
    for _ in range(2):
        rig.reconcile()
    booked = order_now(rig.desk, order)
    assert (booked.status, booked.code) == (Status.FILLED, EngineCode.FILL_CONFIRMED)
    assert booked.filled_value == 6 * Decimal("99.55") + 4 * Decimal("99.45")
    assert held(rig.desk) == 10
    assert trade_ids(rig.desk)[-2:] == ["B1-0", "B1-1"]
    assert open_alerts(rig.desk) == set()


def test_charges_after_a_replaced_fill_are_those_of_the_trades(rig: EngineRig) -> None:
    def fees() -> Decimal:
        with rig.desk.database.read() as connection:
            return sum((row.fees for row in connection.execute(select(trades))), Decimal(0))

    order = rig.send(buy(rig.desk))
    rig.exchange.fill(order, "10", "100")
    rig.reconcile()
    of_one = fees()
    second = rig.send(buy(rig.desk, "10", limit="100.05"))
    rig.exchange.shows = lambda report: report if report.tag == order.id else replace(report, trades=())
    rig.exchange.fill(second, "10", "100")
    read_for(rig, 130)
    rig.exchange.shows = lambda report: report
    rig.reconcile()
    assert abs(fees() - 2 * of_one) <= Decimal("0.05")  # one note is rounded once
    assert held(rig.desk) == 20


def test_some_of_the_trades_do_not_replace_an_inferred_fill(rig: EngineRig) -> None:
    order = lagging(rig)
    read_for(rig, 130)
    rig.exchange.shows = lambda report: replace(report, trades=report.trades[:1])
    rig.reconcile()
    assert order_now(rig.desk, order).code == EngineCode.FILL_INFERRED
    assert held(rig.desk) == 10
    rig.exchange.shows = lambda report: report
    rig.reconcile()
    assert order_now(rig.desk, order).code == EngineCode.FILL_CONFIRMED
    assert held(rig.desk) == 10


def test_exit_of_an_inferred_position_is_right_after_the_trades_arrive(rig: EngineRig) -> None:
    lagging(rig)
    read_for(rig, 130)
    rig.exchange.fill(rig.send(sell(rig.desk)), "10", "100")
    rig.exchange.shows = lambda report: report
    rig.reconcile()
    assert held(rig.desk) == 0
    with rig.desk.database.read() as connection:
        realised = queries.balance(connection, rig.desk.account).realised
    assert realised == 1000 - 6 * Decimal("99.55") - 4 * Decimal("99.45")


def test_trades_that_lag_behind_a_cancel_are_inferred_too(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    rig.exchange.shows = without_trades
    rig.exchange.fill(order, "4")
    rig.exchange.cancel(order)
    read_for(rig, 130)
    booked = order_now(rig.desk, order)
    assert (booked.status, booked.filled_quantity) == (Status.CANCELLED, Decimal(4))


def cancelled_in_part(rig: EngineRig) -> Order:
    """Hold 10, and return an exit that is cancelled after 6 of 10 are sold, which the trade book lacks."""
    hold(rig.desk)
    exit_order = rig.send(sell(rig.desk, limit="101", reduce_only=True))
    rig.exchange.shows = without_trades
    rig.exchange.fill(exit_order, "6", "101")
    rig.exchange.end(exit_order, Status.CANCELLED)
    rig.reconcile()
    return exit_order


def test_exit_cancelled_in_part_while_trades_lag_does_not_lead_to_a_flip(rig: EngineRig) -> None:
    exit_order = cancelled_in_part(rig)
    close.close_position(rig.desk, SHARE, CAUSE)
    rig.route()
    assert rig.exchange.sent == [exit_order.id]
    rig.exchange.shows = lambda report: report
    rig.reconcile()
    assert order_now(rig.desk, exit_order).status is Status.CANCELLED
    rig.do_duties(rig.exchange.clock())
    rig.route()
    (second,) = rig.working()
    assert (second.terms.side, second.terms.quantity) == (Side.SELL, Decimal(4))


def test_order_cancelled_in_part_ends_with_the_inferred_fill(rig: EngineRig) -> None:
    exit_order = cancelled_in_part(rig)
    read_for(rig, 100)
    assert order_now(rig.desk, exit_order).status is Status.OPEN
    read_for(rig, 30)
    assert order_now(rig.desk, exit_order).status is Status.CANCELLED
    assert held(rig.desk) == 4


def test_order_that_ended_long_ago_waits_for_no_trades(rig: EngineRig) -> None:
    exit_order = cancelled_in_part(rig)
    rig.exchange.clock.forward(minutes=6)
    rig.reconcile()
    assert order_now(rig.desk, exit_order).status is Status.CANCELLED


def test_inferred_fill_is_replaced_after_a_restart_of_the_engine(rig: EngineRig, settings: Settings) -> None:
    order = lagging(rig)
    read_for(rig, 130)
    rig.exchange.shows = lambda report: report
    build_rig(rig.desk, rig.exchange, settings.algosat.engine).reconcile()
    assert order_now(rig.desk, order).code == EngineCode.FILL_CONFIRMED
    assert held(rig.desk) == 10


def test_trades_pushed_before_the_fill_is_inferred_leave_nothing_to_infer(rig: EngineRig) -> None:
    order = lagging(rig)
    read_for(rig, 60)
    rig.components.report_processor.process([rig.exchange.book["B1"]])
    read_for(rig, 100)
    assert order_now(rig.desk, order).code is None
    assert open_alerts(rig.desk) == set()


# --- vanished from the book ---------------------------------------------------------------------------


def test_order_that_vanishes_from_the_book_is_an_alert_until_it_is_back(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    (report,) = rig.exchange.book.values()
    del rig.exchange.book["B1"]
    read_for(rig, 20)
    assert open_alerts(rig.desk) == set()
    read_for(rig, 20)
    assert order_now(rig.desk, order).status is Status.OPEN
    assert open_alerts(rig.desk) == {("broker.vanished", order.id)}
    rig.exchange.book["B1"] = report
    rig.reconcile()
    assert open_alerts(rig.desk) == set()


def test_order_missing_in_a_page_of_the_book_has_not_vanished(rig: EngineRig) -> None:
    rig.send(buy(rig.desk))
    rig.exchange.read_book = lambda hint: INCOMPLETE  # type: ignore[method-assign]
    read_for(rig, 100)
    assert open_alerts(rig.desk) == set()


def test_order_that_the_broker_still_finds_has_not_vanished(rig: EngineRig) -> None:
    rig.send(buy(rig.desk))
    rig.exchange.reports_of_today = list
    read_for(rig, 100)
    assert open_alerts(rig.desk) == set()


@pytest.mark.parametrize("error", [BrokerOrderGone("gone"), BrokerRejected("no such order")])
def test_cancel_ends_an_order_that_has_vanished(rig: EngineRig, error: BrokerError) -> None:
    order = rig.send(buy(rig.desk))
    del rig.exchange.book["B1"]
    rig.exchange.before = failing(error, "cancel")
    read_for(rig, 40)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    assert rig.send(order).status is Status.CANCELLED
    read_for(rig, 1)
    assert open_alerts(rig.desk) == set()


def test_cancel_of_an_order_that_is_briefly_missing_does_not_end_it(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    (report,) = rig.exchange.book.values()
    del rig.exchange.book["B1"]
    rig.exchange.before = failing(BrokerOrderGone("gone"), "cancel")
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    assert rig.send(order).status is Status.OPEN
    rig.exchange.book["B1"], rig.exchange.before = report, no_fault
    rig.exchange.clock.forward(seconds=5)
    assert rig.send(order).status is Status.CANCELLED


# --- replaced under a new number ----------------------------------------------------------------------


@pytest.fixture
def renumbering(desk: Desk, exchange: FakeExchange, settings: Settings) -> EngineRig:
    exchange.capabilities = replace(exchange.capabilities, replace_keeps_number=False)
    return build_rig(desk, exchange, settings.algosat.engine)


def modified(rig: EngineRig, order: Order, limit: str = "99") -> None:
    modify.modify_order(rig.desk, order.id, ModifyRequest(limit_price=Decimal(limit)), CAUSE)


def number_of_orders(desk: Desk) -> int:
    with desk.database.read() as connection:
        return len(queries.orders_page(connection, limit=100).rows)


def test_replacement_under_a_new_number_stays_ours(renumbering: EngineRig) -> None:
    rig = renumbering
    order = rig.send(buy(rig.desk))
    modified(rig, order)
    changed = rig.send(order)
    assert (changed.status, changed.broker_order_id, changed.pending) == (Status.OPEN, "B1R", None)
    assert changed.terms.limit_price == 99
    rig.exchange.fill(order, "10", "99")
    rig.reconcile()
    assert order_now(rig.desk, order).status is Status.FILLED
    assert number_of_orders(rig.desk) == 1


@pytest.mark.parametrize("tag_is_kept", [True, False])
def test_replacement_found_in_the_book_stays_ours(renumbering: EngineRig, tag_is_kept: bool) -> None:
    """The answer to the modification is lost, and the replaced order comes first in the book."""
    rig = renumbering
    order = rig.send(buy(rig.desk))
    modified(rig, order)
    rig.exchange.after = failing(BrokerUncertain("lost"), "modify")
    rig.exchange.find = lambda order: None  # type: ignore[method-assign]
    rig.route()
    if not tag_is_kept:
        rig.exchange.book["B1R"] = replace(rig.exchange.book["B1R"], tag=None)
    rig.reconcile()
    changed = order_now(rig.desk, order)
    assert (changed.status, changed.broker_order_id) == (Status.OPEN, "B1R")
    assert number_of_orders(rig.desk) == 1


def test_stale_cancel_of_the_replaced_order_is_ignored(renumbering: EngineRig) -> None:
    rig = renumbering
    order = rig.send(buy(rig.desk))
    modified(rig, order)
    rig.send(order)
    rig.components.report_processor.process([rig.exchange.book["B1"]])
    assert order_now(rig.desk, order).status is Status.OPEN


def test_cancel_of_the_replaced_order_pushed_before_the_answer_is_ignored(renumbering: EngineRig) -> None:
    rig = renumbering
    order = rig.send(buy(rig.desk))
    modified(rig, order)
    (report,) = rig.exchange.book.values()
    rig.components.report_processor.process([replace(report, status=Status.CANCELLED)])
    assert order_now(rig.desk, order).status is Status.OPEN
    assert rig.send(order).broker_order_id == "B1R"


def test_order_cancelled_while_its_change_was_under_way_ends(renumbering: EngineRig) -> None:
    rig = renumbering
    order = rig.send(buy(rig.desk))
    modified(rig, order)
    rig.exchange.cancel(order)
    rig.reconcile()
    rig.route()
    rig.reconcile()
    assert order_now(rig.desk, order).status is Status.CANCELLED


def test_late_trade_of_the_replaced_order_counts(renumbering: EngineRig) -> None:
    rig = renumbering
    order = rig.send(buy(rig.desk))
    modified(rig, order)
    rig.send(order)
    replaced = rig.exchange.book["B1"]
    trade = Trade("T1", Decimal(4), Decimal(100), rig.exchange.clock())
    late = replace(replaced, trades=(trade,), filled_quantity=Decimal(4))
    rig.components.report_processor.process([late])
    booked = order_now(rig.desk, order)
    assert (booked.status, booked.filled_quantity) == (Status.PARTIALLY_FILLED, Decimal(4))


def test_order_replaced_twice_between_two_readings_stays_ours(renumbering: EngineRig) -> None:
    rig = renumbering
    order = rig.send(buy(rig.desk))
    first = rig.exchange.book["B1"]
    for number, replaced in (("B1R", "B1"), ("B1RR", "B1R")):
        rig.exchange.book[replaced] = replace(rig.exchange.book[replaced], status=Status.CANCELLED)
        rig.exchange.book[number] = replace(first, broker_order_id=number, replaces=replaced, tag=None)
    rig.reconcile()
    found = order_now(rig.desk, order)
    assert (found.status, found.broker_order_id) == (Status.OPEN, "B1RR")
    assert number_of_orders(rig.desk) == 1


def test_cancel_goes_to_the_replacement(renumbering: EngineRig) -> None:
    rig = renumbering
    order = rig.send(buy(rig.desk))
    modified(rig, order)
    rig.send(order)
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    assert rig.send(order).status is Status.CANCELLED
    assert rig.exchange.book["B1R"].status is Status.CANCELLED


def test_replacement_of_an_order_that_has_ended_here_is_cancelled_by_its_own_number(
    renumbering: EngineRig,
) -> None:
    rig = renumbering
    order = rig.send(buy(rig.desk))
    report = rig.exchange.book["B1"]
    rig.components.report_processor.process([replace(report, status=Status.CANCELLED)])
    rig.exchange.book["B1R"] = replace(report, broker_order_id="B1R", replaces="B1")
    cancelled: list[str | None] = []

    def cancel_ghost(order: Order) -> OrderReport:
        cancelled.append(order.broker_order_id)
        raise BrokerUncertain("no answer")

    rig.exchange.cancel = cancel_ghost  # type: ignore[method-assign]
    rig.reconcile()
    assert cancelled == ["B1R"]
    assert open_alerts(rig.desk) == {("broker.ghost", order.id)}


# --- a cancel that crosses a fill ---------------------------------------------------------------------


def test_cancel_that_came_too_late_books_the_fill(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    rig.exchange.fill(order, "10")
    assert rig.send(order).status is Status.FILLED
    assert held(rig.desk) == 10


def test_cancel_that_came_too_late_while_trades_lag_ends_filled(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    rig.exchange.shows = without_trades
    rig.exchange.fill(order, "10")
    assert rig.send(order).status is Status.OPEN
    rig.exchange.shows = lambda report: report
    rig.reconcile()
    filled = order_now(rig.desk, order)
    assert (filled.status, filled.pending) == (Status.FILLED, None)


def test_fill_that_crosses_a_cancel_acknowledged_without_it_counts(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk))
    cancel.cancel_order(rig.desk, order.id, CAUSE)
    assert rig.send(order).status is Status.CANCELLED
    rig.exchange.fill(order, "4")
    for _ in range(2):
        rig.reconcile()
    assert held(rig.desk) == 4
