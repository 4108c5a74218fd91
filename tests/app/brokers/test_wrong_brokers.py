"""The contract's own proof: brokers with one deliberate fault each, and the test that finds it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, cast

import pytest

from algosat.brokers.base import BookHint, BookReading, Broker, BrokerSession, FeedState, SessionState
from algosat.domain.instruments import Quote
from algosat.domain.orders import LIVE, Order, OrderChange, OrderType, Product
from algosat.domain.orders.report import OrderReport
from algosat.errors import BrokerError, BrokerOrderGone, BrokerRejected, BrokerUncertain
from tests.app.brokers.contract import Contract
from tests.app.brokers.paper.paper_bench import PaperBench
from tests.app.fake_exchange import reported
from tests.app.thorough import FACTOR

_WAITS: Final = (
    "test_end_of_an_order_at_the_exchange_is_pushed"  # without end for what some wrong brokers never push
)
TESTS: Final = tuple(name for name in vars(Contract) if name.startswith("test_") and name != _WAITS)


class Wrong:
    """A broker that does what the one inside does. Each subclass does one thing wrong."""

    def __init__(self, inner: Broker) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class DropsTheTag(Wrong):
    def place(self, order: Order) -> OrderReport:
        return reported(self.inner.place(replace(order, id="x" * 18)))


class SendsAgainAfterATimeout(Wrong):
    def place(self, order: Order) -> OrderReport:
        try:
            return reported(self.inner.place(order))
        except BrokerUncertain:
            return reported(self.inner.place(order))


class RejectsAfterATimeout(Wrong):
    def place(self, order: Order) -> OrderReport:
        try:
            return reported(self.inner.place(order))
        except BrokerUncertain as error:
            raise BrokerRejected(error.detail) from error


class SendsEveryOrderAtTheMarket(Wrong):
    def place(self, order: Order) -> OrderReport:
        terms = replace(order.terms, type=OrderType.MARKET, limit_price=None)
        return reported(self.inner.place(replace(order, terms=terms)))


class RoundsTheQuantity(Wrong):
    def place(self, order: Order) -> OrderReport:
        terms = replace(order.terms, quantity=Decimal(int(order.terms.quantity)))
        return reported(self.inner.place(replace(order, terms=terms)))


class ChangesTheQuantityAlone(Wrong):
    def modify(self, order: Order, change: OrderChange) -> OrderReport:
        old = replace(change, limit_price=order.terms.limit_price)
        return reported(self.inner.modify(order, old))


class CallsALateCancelDone(Wrong):
    def cancel(self, order: Order) -> OrderReport:
        try:
            return reported(self.inner.cancel(order))
        except BrokerOrderGone:
            return cast(OrderReport, self.inner.find(order))


class ForgetsTradesOnCancel(Wrong):
    def cancel(self, order: Order) -> OrderReport:
        return replace(reported(self.inner.cancel(order)), filled_quantity=Decimal(0), trades=())


class CallsAnUnreadableBookEmpty(Wrong):
    def find(self, order: Order) -> OrderReport | None:
        try:
            return self.inner.find(order)
        except BrokerError:
            return None


class ConvertsAgainAfterATimeout(Wrong):
    def convert(self, *what: Any) -> None:
        try:
            self.inner.convert(*what)
        except BrokerUncertain as error:
            with suppress(BrokerUncertain):
                self.inner.convert(*what)
            raise BrokerUncertain(error.detail) from error


class RejectsAConversionAfterATimeout(Wrong):
    def convert(self, *what: Any) -> None:
        try:
            self.inner.convert(*what)
        except BrokerUncertain as error:
            raise BrokerRejected(error.detail) from error


class ConvertsWhatIsThere(Wrong):
    def convert(self, symbol: str, quantity: Decimal, source: Product, target: Product) -> None:
        held = {(each.symbol, each.product): each.quantity for each in self.inner.positions()}
        self.inner.convert(symbol, min(quantity, held.get((symbol, source), quantity)), source, target)


class HidesOrdersPlacedElsewhere(Wrong):
    def read_book(self, hint: BookHint) -> BookReading:
        reading = self.inner.read_book(hint)
        return replace(reading, reports=[each for each in reading.reports if str(each.tag).startswith("a0")])


class ForgetsEndedOrders(Wrong):
    def read_book(self, hint: BookHint) -> BookReading:
        reading = self.inner.read_book(hint)
        return replace(reading, reports=[each for each in reading.reports if each.status in LIVE])


class ClaimsToShowEveryDay(Wrong):
    def read_book(self, hint: BookHint) -> BookReading:
        reading = self.inner.read_book(hint)
        covers_from = reading.covers_from
        return replace(reading, covers_from=covers_from and covers_from - timedelta(days=365))


class NumbersTradesByOrder(Wrong):
    def find(self, order: Order) -> OrderReport | None:
        report = self.inner.find(order)
        return report and replace(report, trades=tuple(replace(each, id="1") for each in report.trades))


class ReportsLocalTimes(Wrong):
    def place(self, order: Order) -> OrderReport:
        report = reported(self.inner.place(order))
        return replace(report, at=report.at.replace(tzinfo=None))


class QuotesFloats(Wrong):
    def quotes(self) -> Sequence[Quote]:
        return [replace(each, last=cast(Decimal, float(each.last))) for each in self.inner.quotes()]


class AnswersWhatItCannotRead(Wrong):
    def history(self, day: date) -> BookReading:  # noqa: ARG002
        return BookReading([], None)


class SendsWhatItDoesNotSupport(Wrong):
    @property
    def capabilities(self) -> Any:
        return replace(self.inner.capabilities, order_types=frozenset({OrderType.LIMIT}))


class LeavesAThread(Wrong):
    def start(self, *listeners: Any) -> None:
        self.stopped = threading.Event()
        threading.Thread(target=self.stopped.wait, args=(60,), daemon=True).start()
        self.inner.start(*listeners)


class StaysActiveAfterItsStop(Wrong):
    def session(self) -> BrokerSession:
        return BrokerSession(SessionState.ACTIVE, "always")


class NeverTellsThatItsFeedsAreDown(Wrong):
    def start(self, on_report: Any, on_quotes: Any, on_feed: Any) -> None:
        def on_up(change: Any) -> None:
            if change.state is FeedState.UP:
                on_feed(change)

        self.inner.start(on_report, on_quotes, on_up)


WRONG: Final[Mapping[Callable[[Broker], Any], str]] = {
    DropsTheTag: "test_order_arrives_once_as_it_was_sent_under_its_tag",
    SendsAgainAfterATimeout: "test_lost_answer_is_uncertain_and_the_order_is_found",
    RejectsAfterATimeout: "test_lost_request_is_uncertain_and_is_not_sent_again",
    SendsEveryOrderAtTheMarket: "test_answer_or_the_book_tells_that_the_order_rests",
    RoundsTheQuantity: "test_refused_order_is_rejected_with_a_code",
    ChangesTheQuantityAlone: "test_change_sets_all_terms",
    CallsALateCancelDone: "test_request_that_comes_too_late_says_so",
    ForgetsTradesOnCancel: "test_cancel_after_a_part_was_filled_keeps_the_trades",
    CallsAnUnreadableBookEmpty: "test_unreadable_book_is_an_error_and_no_absence",
    ConvertsAgainAfterATimeout: "test_lost_answer_to_a_conversion_is_uncertain_and_it_is_made_once",
    RejectsAConversionAfterATimeout: "test_lost_request_for_a_conversion_is_uncertain",
    ConvertsWhatIsThere: "test_conversion_of_more_than_is_held_is_rejected",
    HidesOrdersPlacedElsewhere: "test_book_shows_orders_placed_elsewhere",
    ForgetsEndedOrders: "test_book_keeps_orders_that_have_ended",
    ClaimsToShowEveryDay: "test_book_claims_only_what_it_covers",
    NumbersTradesByOrder: "test_trade_numbers_are_unique",
    ReportsLocalTimes: "test_fill_at_once_has_its_trades",
    QuotesFloats: "test_quotes_are_exact_and_dated",
    AnswersWhatItCannotRead: "test_readings_beyond_the_capabilities_are_refused",
    SendsWhatItDoesNotSupport: "test_orders_beyond_the_capabilities_are_refused",
    LeavesAThread: "test_stop_ends_all_threads_and_start_works_again",
    StaysActiveAfterItsStop: "test_session_is_active_while_the_adapter_runs",
    NeverTellsThatItsFeedsAreDown: "test_feeds_are_up_while_the_adapter_runs",
}


def fails(test: str, wrong: Callable[[Broker], Any] = Wrong) -> bool:
    """Return whether a test of the contract fails for a wrong broker."""
    bench = PaperBench(wrong)
    try:
        getattr(Contract(), test)(bench)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - in a test, each of them is a failure
        return True
    finally:
        bench.close()
    return False


@pytest.mark.parametrize(("wrong", "test"), WRONG.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_wrong_broker_fails_the_contract(wrong: Callable[[Broker], Any], test: str) -> None:
    assert fails(test, wrong)
    if FACTOR > 1:  # in `make prove`: the other tests must cope with any wrong broker
        assert test in [name for name in TESTS if fails(name, wrong)]


def test_broker_that_is_only_wrapped_passes_the_contract() -> None:
    assert [name for name in TESTS if fails(name)] == []
