"""What every broker's adapter must do, whatever its wire looks like.

The test of an adapter has a class that inherits from `Contract`, with a fixture `bench` that yields the
running adapter and control over its exchange. What the adapter's capabilities exclude, it must refuse: no
test is skipped because of them.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from algosat.brokers.base import (
    Ack,
    BookHint,
    BookReading,
    Broker,
    CallKind,
    Feed,
    FeedChange,
    FeedState,
    SessionState,
)
from algosat.domain.instruments import Quote
from algosat.domain.orders import LIVE, TERMINAL, Order, OrderChange, OrderType, Product, Status, Validity
from algosat.domain.orders.report import OrderReport
from algosat.errors import (
    BrokerBookTooShort,
    BrokerError,
    BrokerNotReached,
    BrokerOrderGone,
    BrokerRejected,
    BrokerUncertain,
    BrokerUnsupported,
)
from tests.app.events import wait_for

_REPORTED: Final = LIVE | (TERMINAL - {Status.DENIED})


class Bench(ABC):
    """A running adapter, what it has pushed, and control over the exchange behind it."""

    broker: Broker
    symbol: str  # one that trades now

    def __init__(self) -> None:
        self.pushed: list[OrderReport] = []
        self.quoted: list[Quote] = []
        self.feeds: list[FeedChange] = []

    def start(self) -> None:
        self.broker.start(self.pushed.append, self.quoted.extend, self.feeds.append)

    @abstractmethod
    def now(self) -> datetime:
        """Return the time of the exchange."""

    @abstractmethod
    def resting(self, number: int = 1, **terms: Any) -> Order:
        """Return a buy limit order for 10 that does not trade, with other terms where they are given."""

    @abstractmethod
    def of_type(self, number: int, kind: OrderType, validity: Validity) -> Order:
        """Return a buy order of this type with the prices that it needs; a stop is not triggered yet."""

    @abstractmethod
    def crossing(self, number: int = 1) -> Order:
        """Return an order that trades in full at once."""

    @abstractmethod
    def invalid(self) -> Iterator[Order]:
        """Yield orders that the exchange refuses: off lot, off tick, beyond a price or quantity limit."""

    @abstractmethod
    def fill(self, order: Order, quantity: int) -> None:
        """Let the exchange fill a part of a resting order."""

    @abstractmethod
    def place_elsewhere(self) -> str:
        """Place an order at the exchange, but not by the adapter. Return its number."""

    @abstractmethod
    def at_exchange(self, order: Order) -> list[OrderReport]:
        """Return the orders that the exchange has under the order's tag, not by the adapter."""

    @abstractmethod
    def begin_next_day(self) -> None:
        """Let the next trading day begin."""

    @abstractmethod
    def restart(self) -> None:
        """Replace the adapter by a new one on the same exchange, as when the engine was killed."""

    @abstractmethod
    def lose_answers(self) -> None:
        """From now on, writes are carried out and their answers are lost."""

    @abstractmethod
    def lose_requests(self) -> None:
        """From now on, writes are lost on the way, and the adapter learns nothing of that."""

    @abstractmethod
    def cut_off(self) -> None:
        """From now on, the broker refuses connections."""

    @abstractmethod
    def restore(self) -> None:
        """End losses and cuts."""


class Contract:
    """The behaviours, each a test of one bench."""

    # --- session -----------------------------------------------------------------------------------------

    def test_session_is_active_while_the_adapter_runs(self, bench: Bench) -> None:
        session = bench.broker.session()
        assert session.active
        assert session.is_readable
        assert session.detail
        bench.broker.stop()
        assert bench.broker.session().state is SessionState.CLOSED

    def test_stop_ends_all_threads_and_start_works_again(self, bench: Bench) -> None:
        bench.broker.stop()
        before = set(threading.enumerate())
        for _ in range(2):
            bench.start()
            assert placed(bench, bench.resting(len(before) + len(bench.feeds))).status in LIVE
            bench.broker.stop()
            assert set(threading.enumerate()) <= before

    def test_login_is_refused_where_the_broker_has_none(self, bench: Bench) -> None:
        if bench.broker.capabilities.needs_login:
            assert "STATE" in (bench.broker.login_url("STATE") or "STATE")
        else:
            assert bench.broker.login_url("STATE") is None
            refuses(lambda: bench.broker.login({}))

    # --- what the adapter declares ----------------------------------------------------------------------

    def test_declared_quotas_can_be_kept(self, bench: Bench) -> None:
        for quota in bench.broker.quotas:
            assert quota.limit > 0
            assert quota.kinds <= set(CallKind)
            assert quota.kinds
            assert quota.strikes is None or quota.strikes >= 0

    def test_tag_fits(self, bench: Bench) -> None:
        assert bench.broker.capabilities.tag_length in (0, *range(18, 257))

    def test_orders_beyond_the_capabilities_are_refused(self, bench: Bench) -> None:
        capabilities, order = bench.broker.capabilities, bench.resting()
        beyond = [
            *(replace(order.terms, type=each) for each in OrderType if each not in capabilities.order_types),
            *(replace(order.terms, validity=each) for each in set(Validity) - capabilities.validities),
            *(replace(order.terms, product=each) for each in set(Product) - capabilities.products),
        ]
        for number, terms in enumerate(beyond, 2):
            unsupported = replace(bench.resting(number), terms=terms)
            with pytest.raises(BrokerUnsupported):
                bench.broker.place(unsupported)
            assert bench.at_exchange(unsupported) == []

    def test_readings_beyond_the_capabilities_are_refused(self, bench: Bench) -> None:
        broker, has, at = bench.broker, bench.broker.capabilities, bench.now()
        calls: list[tuple[bool, Callable[[], Any]]] = [
            (has.has_history, lambda: broker.history((at - timedelta(days=1)).date())),
            (has.has_positions, broker.positions),
            (has.has_holdings, broker.holdings),
            (has.has_funds, broker.funds),
            (
                has.has_candles,
                lambda: broker.candles(bench.symbol, timedelta(minutes=1), at - timedelta(hours=1), at),
            ),
        ]
        for can, call in calls:
            if can:
                call()
            else:
                refuses(call)

    # --- placing -------------------------------------------------------------------------------------------

    def test_order_arrives_once_as_it_was_sent_under_its_tag(self, bench: Bench) -> None:
        order = bench.resting(quantity=10)
        placed(bench, order)
        (report,) = bench.at_exchange(order)
        assert report.tag == order.id
        assert values(report) == values_of(order)
        assert report.terms.type is order.terms.type
        assert (report.terms.symbol, report.terms.side) == (order.terms.symbol, order.terms.side)

    def test_answer_or_the_book_tells_that_the_order_rests(self, bench: Bench) -> None:
        order = bench.resting()
        report = placed(bench, order)
        assert report.status is Status.OPEN
        assert report.tag == order.id
        assert values(report) == values_of(order)
        well_formed(report)

    def test_each_order_type_and_validity_of_the_capabilities_is_taken_as_it_is(self, bench: Bench) -> None:
        can, number = bench.broker.capabilities, 0
        for kind in sorted(can.order_types):
            for validity in sorted(can.validities):
                number += 1
                order = bench.of_type(number, kind, validity)
                report = placed(bench, order)
                assert report.terms.type is kind
                assert report.terms.validity is validity
                assert report.terms.product is order.terms.product
                assert report.terms.trigger_price == order.terms.trigger_price
                assert report.status is (Status.TRIGGER_PENDING if kind.has_trigger else report.status)
                well_formed(report)

    def test_fill_at_once_has_its_trades(self, bench: Bench) -> None:
        report = placed(bench, bench.crossing())
        assert report.status is Status.FILLED
        assert traded(report) == report.filled_quantity == report.terms.quantity
        well_formed(report)

    def test_refused_order_is_rejected_with_a_code(self, bench: Bench) -> None:
        for order in bench.invalid():
            try:
                report = placed(bench, order)
            except BrokerRejected as error:
                assert error.reported_code  # noqa: PT017 - the order may be rejected after an `Ack` instead
            else:
                assert report.status is Status.REJECTED
                assert report.reason

    def test_lost_answer_is_uncertain_and_the_order_is_found(self, bench: Bench) -> None:
        order = bench.resting()
        bench.lose_answers()
        with pytest.raises(BrokerUncertain):
            bench.broker.place(order)
        bench.restore()
        assert found(bench, order).status is Status.OPEN
        assert len(bench.at_exchange(order)) == 1

    def test_lost_request_is_uncertain_and_is_not_sent_again(self, bench: Bench) -> None:
        order = bench.resting()
        bench.lose_requests()
        with pytest.raises(BrokerUncertain):
            bench.broker.place(order)
        bench.restore()
        assert bench.at_exchange(order) == []
        assert bench.broker.find(order) is None

    def test_refused_connection_is_not_uncertain(self, bench: Bench) -> None:
        order = bench.resting()
        bench.cut_off()
        with pytest.raises(BrokerNotReached):
            bench.broker.place(order)
        bench.restore()
        assert bench.at_exchange(order) == []

    # --- changing and cancelling ---------------------------------------------------------------------------

    def test_change_sets_all_terms(self, bench: Bench) -> None:
        if bench.broker.capabilities.max_modifications == 0:
            return self._change_is_refused(bench)
        order = bench.resting()
        before = placed(bench, order)
        change = OrderChange(Decimal(20), limit_price=lower(order))
        bench.broker.modify(known(order, before), change)
        after = found(bench, order)
        assert values(after) == (change.quantity, change.limit_price)
        same = after.broker_order_id == before.broker_order_id
        assert same if bench.broker.capabilities.replace_keeps_number else after.replaces or same
        return None

    def _change_is_refused(self, bench: Bench) -> None:
        order = bench.resting()
        before = placed(bench, order)
        change = OrderChange(Decimal(20), limit_price=lower(order))
        refuses(lambda: bench.broker.modify(known(order, before), change))

    def test_cancel_ends_the_order(self, bench: Bench) -> None:
        order = bench.resting()
        bench.broker.cancel(known(order, placed(bench, order)))
        assert found(bench, order).status is Status.CANCELLED

    def test_cancel_after_a_part_was_filled_keeps_the_trades(self, bench: Bench) -> None:
        order = bench.resting()
        before = placed(bench, order)
        bench.fill(order, 5)
        answer = bench.broker.cancel(known(order, before))
        report = found(bench, order)
        assert report.status is Status.CANCELLED
        assert traded(report) == report.filled_quantity == 5
        assert isinstance(answer, Ack) or traded(answer) == 5

    def test_request_that_comes_too_late_says_so(self, bench: Bench) -> None:
        order = bench.crossing()
        late = known(order, placed(bench, order))
        with pytest.raises(BrokerOrderGone):
            bench.broker.cancel(late)
        with pytest.raises((BrokerOrderGone, BrokerUnsupported)):
            bench.broker.modify(late, OrderChange(order.terms.quantity * 2, **order.terms.prices))
        assert found(bench, order).status is Status.FILLED

    def test_lost_answer_to_a_cancel_is_uncertain(self, bench: Bench) -> None:
        order = bench.resting()
        sent = known(order, placed(bench, order))
        bench.lose_answers()
        with pytest.raises(BrokerUncertain):
            bench.broker.cancel(sent)
        bench.restore()
        assert found(bench, order).status is Status.CANCELLED

    # --- converting ----------------------------------------------------------------------------------------

    def test_conversion_is_refused_where_the_broker_has_none(self, bench: Bench) -> None:
        can = bench.broker.capabilities
        if can.has_conversion:
            assert can.has_positions  # they tell the outcome of a conversion whose answer was lost
            return
        refuses(lambda: bench.broker.convert(bench.symbol, Decimal(1), Product.INTRADAY, Product.DELIVERY))

    def test_conversion_changes_the_product_of_the_quantity(self, bench: Bench) -> None:
        for source, target in convertible(bench):
            bench.broker.convert(bench.symbol, Decimal(4), source, target)
            assert held(bench) == {source: 6, target: 4}
            bench.broker.convert(bench.symbol, Decimal(4), target, source)
            assert held(bench) == {source: 10}

    def test_conversion_of_more_than_is_held_is_rejected(self, bench: Bench) -> None:
        for source, target in convertible(bench):
            for quantity in (Decimal(11), Decimal(-1)):
                with pytest.raises(BrokerRejected):
                    bench.broker.convert(bench.symbol, quantity, source, target)
            with pytest.raises(BrokerRejected):
                bench.broker.convert(bench.symbol, Decimal(1), target, source)
            assert held(bench) == {source: 10}

    def test_lost_answer_to_a_conversion_is_uncertain_and_it_is_made_once(self, bench: Bench) -> None:
        for source, target in convertible(bench):
            bench.lose_answers()
            with pytest.raises(BrokerUncertain):
                bench.broker.convert(bench.symbol, Decimal(4), source, target)
            bench.restore()
            assert held(bench) == {source: 6, target: 4}

    def test_lost_request_for_a_conversion_is_uncertain(self, bench: Bench) -> None:
        for source, target in convertible(bench):
            bench.lose_requests()
            with pytest.raises(BrokerUncertain):
                bench.broker.convert(bench.symbol, Decimal(4), source, target)
            bench.cut_off()
            with pytest.raises(BrokerNotReached):
                bench.broker.convert(bench.symbol, Decimal(4), source, target)
            bench.restore()
            assert held(bench) == {source: 10}

    # --- the book ------------------------------------------------------------------------------------------

    def test_book_shows_orders_placed_elsewhere(self, bench: Bench) -> None:
        number, order = bench.place_elsewhere(), bench.resting()
        placed(bench, order)
        reports = read(bench).reports
        (external,) = [report for report in reports if report.broker_order_id == number]
        assert external.tag != order.id
        assert order.id in {report.tag for report in reports}

    def test_book_keeps_orders_that_have_ended(self, bench: Bench) -> None:
        filled, cancelled = bench.crossing(1), bench.resting(2)
        placed(bench, filled)
        bench.broker.cancel(known(cancelled, placed(bench, cancelled)))
        statuses = {report.tag: report.status for report in read(bench).reports}
        assert statuses == {filled.id: Status.FILLED, cancelled.id: Status.CANCELLED}

    def test_book_claims_only_what_it_covers(self, bench: Bench) -> None:
        order = bench.crossing()
        placed(bench, order)
        assert read(bench).proves_absence(order.created_at) or read(bench).covers_from is None
        bench.begin_next_day()
        reading = read(bench)
        shown = order.id in {report.tag for report in reading.reports}
        assert shown or not reading.proves_absence(order.created_at)
        try:
            assert bench.broker.find(order) is not None
        except BrokerBookTooShort:
            assert not shown

    def test_filled_quantity_only_grows(self, bench: Bench) -> None:
        order = bench.resting()
        placed(bench, order)
        seen = []
        for _ in range(2):
            bench.fill(order, 5)
            report = found(bench, order)
            well_formed(report)
            seen.append((report.status, int(traded(report))))
        assert seen == [(Status.PARTIALLY_FILLED, 5), (Status.FILLED, 10)]

    def test_trade_numbers_are_unique(self, bench: Bench) -> None:
        orders = [bench.crossing(1), bench.crossing(2)]
        for order in orders:
            placed(bench, order)
        numbers = [trade.id for order in orders for trade in found(bench, order).trades]
        assert len(numbers) == len(set(numbers)) >= 2
        assert all(len(number) <= 64 for number in numbers)

    def test_end_of_an_order_at_the_exchange_is_pushed(self, bench: Bench) -> None:
        order = bench.resting()
        placed(bench, order)
        bench.begin_next_day()
        if bench.broker.capabilities.pushes_reports:
            wait_for(lambda: (order.id, Status.EXPIRED) in [(each.tag, each.status) for each in bench.pushed])

    def test_positions_are_the_sum_of_the_trades(self, bench: Bench) -> None:
        if not bench.broker.capabilities.has_positions:
            refuses(bench.broker.positions)
            return
        orders = [bench.crossing(number) for number in range(1, 4)]
        bought = sum((traded(placed(bench, order)) for order in orders), Decimal(0))
        held = {(each.symbol, each.product): each.quantity for each in bench.broker.positions()}
        assert held == {(bench.symbol, orders[0].terms.product): bought}

    def test_order_that_was_never_sent_is_not_found(self, bench: Bench) -> None:
        assert bench.broker.find(bench.resting()) is None

    def test_unreadable_book_is_an_error_and_no_absence(self, bench: Bench) -> None:
        order = bench.resting()
        placed(bench, order)
        bench.cut_off()
        for call in (lambda: bench.broker.find(order), lambda: read(bench)):
            with pytest.raises(BrokerError):
                call()
        bench.restore()
        assert found(bench, order).status is Status.OPEN

    def test_new_adapter_shows_the_orders_of_the_one_before(self, bench: Bench) -> None:
        order = bench.resting()
        before = placed(bench, order)
        bench.restart()
        assert found(bench, order) == before
        assert [report.tag for report in read(bench).reports] == [order.id]

    # --- instruments, prices and feeds ---------------------------------------------------------------------

    def test_instruments_can_be_traded(self, bench: Bench) -> None:
        instruments = {each.symbol: each for each in bench.broker.instruments()}
        assert bench.symbol in instruments
        for each in instruments.values():
            assert all(is_decimal(value) for value in (each.tick, each.lot, each.freeze_quantity))

    def test_quotes_are_exact_and_dated(self, bench: Bench) -> None:
        bench.broker.subscribe({bench.symbol})
        quotes = {each.symbol: each for each in bench.broker.quotes()}
        quote = quotes[bench.symbol]
        names = ("last", "bid", "ask", "open", "high", "low")
        assert all(is_decimal(getattr(quote, name)) for name in names)
        assert quote.bid <= quote.ask
        assert is_utc(quote.at)

    def test_candles_are_whole_and_in_sequence(self, bench: Bench) -> None:
        until = bench.now()
        since, minute = until - timedelta(hours=1), timedelta(minutes=1)
        if not bench.broker.capabilities.has_candles:
            refuses(lambda: bench.broker.candles(bench.symbol, minute, since, until))
            return
        bars = bench.broker.candles(bench.symbol, minute, since, until)
        starts = [bar.start for bar in bars]
        assert starts == sorted(set(starts))
        for bar in bars:
            assert bar.symbol == bench.symbol
            assert bar.seconds == 60
            assert since <= bar.start < until
            assert bar.end <= until
            assert is_utc(bar.start)
            assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
            assert all(is_decimal(value) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume))

    def test_feeds_are_up_while_the_adapter_runs(self, bench: Bench) -> None:
        bench.broker.stop()
        states = {feed: [each.state for each in bench.feeds if each.feed is feed] for feed in Feed}
        for seen in states.values():
            assert seen[0] is FeedState.UP
            assert seen[-1] is FeedState.DOWN


def convertible(bench: Bench) -> Iterator[tuple[Product, Product]]:
    """Buy 10, and yield their product with the one to convert them to; nothing if the broker cannot."""
    if bench.broker.capabilities.has_conversion:
        source = placed(bench, bench.crossing()).terms.product
        yield source, Product.DELIVERY if source is Product.INTRADAY else Product.INTRADAY


def held(bench: Bench) -> dict[Product, Decimal]:
    """Return the positions in the bench's symbol, as the broker states them."""
    positions = bench.broker.positions()
    return {
        each.product: each.quantity for each in positions if each.symbol == bench.symbol and each.quantity
    }


def placed(bench: Bench, order: Order) -> OrderReport:
    """Place an order, and return its report: the answer, or after an `Ack` what the book says."""
    answer = bench.broker.place(order)
    return found(bench, order) if isinstance(answer, Ack) else answer


def found(bench: Bench, order: Order) -> OrderReport:
    report = bench.broker.find(order)
    assert report is not None
    return report


def read(bench: Bench) -> BookReading:
    return bench.broker.read_book(BookHint(symbols=frozenset({bench.symbol})))


def known(order: Order, report: OrderReport) -> Order:
    """Return the order with the broker's number, as the engine sends it again."""
    return replace(order, broker_order_id=report.broker_order_id, status=report.status)


def refuses(call: Callable[[], Any]) -> None:
    with pytest.raises(BrokerUnsupported):
        call()


def values(report: OrderReport) -> tuple[Decimal, Decimal | None]:
    return report.terms.quantity, report.terms.limit_price


def values_of(order: Order) -> tuple[Decimal, Decimal | None]:
    return order.terms.quantity, order.terms.limit_price


def lower(order: Order) -> Decimal:
    assert order.terms.limit_price is not None
    return order.terms.limit_price - 1


def traded(report: OrderReport) -> Decimal:
    return sum((trade.quantity for trade in report.trades), Decimal(0))


def well_formed(report: OrderReport) -> None:
    assert report.broker_order_id
    assert report.status in _REPORTED
    assert is_utc(report.at)
    assert is_decimal(report.filled_quantity)
    assert traded(report) <= report.filled_quantity <= report.terms.quantity
    assert (report.status is Status.FILLED) == (report.filled_quantity == report.terms.quantity)
    for trade in report.trades:
        assert trade.quantity > 0
        assert trade.price > 0
        assert is_decimal(trade.price)
        assert is_utc(trade.at)


def is_utc(at: datetime) -> bool:
    return at.utcoffset() == UTC.utcoffset(None)


def is_decimal(value: object) -> bool:
    return type(value) is Decimal
