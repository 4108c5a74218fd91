"""Reports merged into events: nothing twice, nothing backwards, in whatever order they come."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from algosat.domain.orders import (
    EventKind,
    Order,
    OrderChange,
    OrderEvent,
    OrderTerms,
    OrderType,
    PendingRequest,
    Status,
    Trade,
    apply,
    create,
)
from algosat.domain.orders.report import OrderReport
from algosat.domain.orders.report_events import REJECTED, ReportEvents, events_from
from tests.app.builders import LIMIT, NOW, order_after

TRADES = tuple(
    Trade(f"T{number}", Decimal(quantity), Decimal(100), NOW) for number, quantity in enumerate((3, 3, 4))
)


def report(status: Status, *trades: Trade, terms: OrderTerms = LIMIT) -> OrderReport:
    filled = sum((trade.quantity for trade in trades), Decimal(0))
    return OrderReport("B1", "a" + "0" * 17, status, terms, filled, trades, NOW)


def sent(*kinds: EventKind, terms: OrderTerms = LIMIT) -> Order:
    return order_after(EventKind.SUBMITTING, *kinds, terms=terms)


def kinds(settlement: ReportEvents) -> list[EventKind]:
    return [event.kind for event in settlement.events]


def settled(order: Order, *reports: OrderReport, fresh: bool = False) -> Order:
    """The order after these reports, each with the trades of those before it booked."""
    known: set[str] = set()
    for each in reports:
        settlement = events_from(order, each, known, NOW, fresh=fresh)
        known |= {event.trade.id for event in settlement.events if event.trade}
        order = settlement.order
    return order


def test_the_first_word_opens_the_order_under_the_brokers_number() -> None:
    order = settled(sent(), report(Status.OPEN))
    assert (order.status, order.broker_order_id) == (Status.OPEN, "B1")


def test_the_same_report_again_says_nothing() -> None:
    order = settled(sent(), report(Status.OPEN))
    assert events_from(order, report(Status.OPEN), set(), NOW).events == []


def test_a_rejection_carries_the_brokers_reason() -> None:
    order = settled(sent(), replace(report(Status.REJECTED), reason="no margin"))
    assert (order.status, order.code, order.reason) == (Status.REJECTED, REJECTED, "no margin")
    assert order.broker_order_id == "B1"


def test_an_order_of_unknown_fate_is_found() -> None:
    assert settled(sent(EventKind.UNCERTAIN), report(Status.OPEN)).status is Status.OPEN
    nowhere = sent(EventKind.UNCERTAIN, EventKind.NOT_FOUND)
    assert settled(nowhere, report(Status.FILLED, *TRADES)).status is Status.FILLED


def test_a_report_of_an_order_that_was_never_sent_shows_that_it_was() -> None:
    order = create("a" + "0" * 17, LIMIT, NOW)
    assert kinds(events_from(order, report(Status.OPEN), set(), NOW)) == [
        EventKind.SUBMITTING,
        EventKind.ACCEPTED,
    ]


def test_a_triggered_stop_is_open() -> None:
    stop = replace(LIMIT, type=OrderType.STOP, limit_price=None, trigger_price=Decimal(105))
    waiting = report(Status.TRIGGER_PENDING, terms=stop)
    order = settled(sent(terms=stop), waiting)
    assert order.status is Status.TRIGGER_PENDING
    triggered = settled(order, report(Status.OPEN, terms=stop))
    assert triggered.status is Status.OPEN
    assert settled(triggered, waiting).status is Status.OPEN


def test_a_partial_fill_after_the_end_changes_nothing() -> None:
    order = settled(sent(), report(Status.FILLED, *TRADES), report(Status.PARTIALLY_FILLED, *TRADES[:1]))
    assert (order.status, order.filled_quantity) == (Status.FILLED, Decimal(10))


def test_a_trade_twice_in_one_report_counts_once() -> None:
    order = settled(sent(), report(Status.PARTIALLY_FILLED, TRADES[0], TRADES[0]))
    assert order.filled_quantity == 3


def test_a_fill_that_crossed_the_cancel_counts() -> None:
    order = settled(sent(), report(Status.CANCELLED), report(Status.CANCELLED, TRADES[0]))
    assert (order.status, order.filled_quantity) == (Status.CANCELLED, Decimal(3))
    assert settled(order, report(Status.FILLED, *TRADES[1:])).status is Status.FILLED


def test_trades_that_lag_behind_leave_the_order_working() -> None:
    lagging = replace(report(Status.FILLED), filled_quantity=Decimal(10))
    order = settled(sent(), lagging)
    assert order.status is Status.OPEN
    assert settled(order, report(Status.FILLED, *TRADES)).status is Status.FILLED


def test_what_exceeds_the_order_is_told_and_not_counted() -> None:
    extra = Trade("T9", Decimal(5), Decimal(100), NOW)
    settlement = events_from(sent(), report(Status.FILLED, *TRADES, extra), set(), NOW)
    assert settlement.overfills == [extra]
    assert (settlement.order.status, settlement.order.filled_quantity) == (Status.FILLED, Decimal(10))


def wanting(change: OrderChange) -> Order:
    order = settled(sent(), report(Status.OPEN))
    return apply(order, OrderEvent(EventKind.MODIFY_REQUESTED, NOW, change=change))


CHANGE = OrderChange(Decimal(20), limit_price=Decimal(101), trigger_price=None)
CHANGED = replace(LIMIT, quantity=Decimal(20), limit_price=Decimal(101))


def test_a_change_is_confirmed_by_a_report_of_the_new_terms() -> None:
    order = settled(wanting(CHANGE), report(Status.OPEN, terms=CHANGED))
    assert (order.pending, order.terms.quantity) == (None, Decimal(20))


def test_a_report_of_the_old_terms_leaves_the_change_pending() -> None:
    assert settled(wanting(CHANGE), report(Status.OPEN)).pending is PendingRequest.PENDING_MODIFY


def test_a_late_report_of_older_terms_undoes_no_change() -> None:
    order = settled(wanting(CHANGE), report(Status.OPEN, terms=CHANGED), report(Status.OPEN))
    assert order.terms.quantity == 20


def test_terms_changed_at_the_broker_are_taken_over_from_his_book_only() -> None:
    order = settled(sent(), report(Status.OPEN))
    elsewhere = report(Status.OPEN, terms=CHANGED)
    assert settled(order, elsewhere).terms.quantity == 10
    taken = settled(order, elsewhere, fresh=True)
    assert (taken.terms.quantity, taken.pending) == (Decimal(20), None)


LESS, MORE = replace(LIMIT, quantity=Decimal(6)), replace(LIMIT, quantity=Decimal(20))


def test_what_the_broker_filled_whole_is_filled_although_he_was_to_trade_more() -> None:
    """As when a change whose answer was lost was given up here, or somebody made it elsewhere."""
    order = settled(sent(), report(Status.OPEN), report(Status.FILLED, *TRADES[:2], terms=LESS))
    assert (order.status, order.terms.quantity) == (Status.FILLED, Decimal(6))


def test_filled_for_less_is_believed_only_with_every_trade_of_it() -> None:
    order = settled(sent(), report(Status.OPEN), report(Status.FILLED, *TRADES[:1], terms=LESS))
    assert (order.status, order.terms.quantity) == (Status.PARTIALLY_FILLED, Decimal(10))


def test_trades_beyond_the_quantity_count_where_the_broker_has_a_larger_one() -> None:
    more = Trade("T9", Decimal(10), Decimal(101), NOW)
    for last in (Status.PARTIALLY_FILLED, Status.CANCELLED):
        settlement = events_from(
            settled(sent(), report(Status.OPEN)), report(last, more, terms=MORE), set(), NOW
        )
        assert (settlement.order.status, settlement.order.remaining_quantity) == (last, Decimal(10))
    order = settled(settlement.order, report(Status.FILLED, more, replace(more, id="T10"), terms=MORE))
    assert (order.status, order.filled_quantity) == (Status.FILLED, Decimal(20))


def test_a_wish_to_cancel_outlives_a_quantity_that_grew_elsewhere() -> None:
    cancelling = sent(EventKind.ACCEPTED, EventKind.CANCEL_REQUESTED)
    order = settled(cancelling, report(Status.PARTIALLY_FILLED, *TRADES, terms=MORE))
    assert (order.status, order.pending) == (Status.PARTIALLY_FILLED, PendingRequest.PENDING_CANCEL)
    assert order.remaining_quantity == 10
    ended = settled(cancelling, report(Status.FILLED, *TRADES[:2], terms=LESS))
    assert (ended.status, ended.pending) == (Status.FILLED, None)


def test_a_wish_to_cancel_is_not_lost_to_terms_changed_elsewhere() -> None:
    order = settled(sent(), report(Status.OPEN))
    order = apply(order, OrderEvent(EventKind.CANCEL_REQUESTED, NOW))
    assert (
        settled(order, report(Status.OPEN, terms=CHANGED), fresh=True).pending
        is PendingRequest.PENDING_CANCEL
    )


HISTORY = [
    report(Status.OPEN),
    report(Status.PARTIALLY_FILLED, *TRADES[:1]),
    report(Status.PARTIALLY_FILLED, *TRADES[:2]),
]
ENDS = [
    report(Status.FILLED, *TRADES),
    report(Status.CANCELLED, *TRADES[:2]),
    report(Status.EXPIRED, *TRADES[:2]),
]


@given(
    end=st.sampled_from(ENDS),
    order_of_arrival=st.permutations(range(4)),
    repeated=st.lists(st.integers(0, 3), max_size=4),
    fresh=st.booleans(),
)
def test_in_whatever_order_and_however_often_reports_come_the_order_ends_the_same(
    end: OrderReport, order_of_arrival: list[int], repeated: list[int], fresh: bool
) -> None:
    history = [*HISTORY, end]
    order = settled(sent(), *(history[index] for index in [*order_of_arrival, *repeated]), fresh=fresh)
    assert (order.status, order.filled_quantity) == (end.status, end.filled_quantity)
