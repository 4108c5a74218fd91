"""Events from reports that come repeated, late and out of sequence: no trade twice, no step back."""

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


def kinds(outcome: ReportEvents) -> list[EventKind]:
    return [event.kind for event in outcome.events]


def after_reports(order: Order, *reports: OrderReport, fresh: bool = False) -> Order:
    """Return the order after these reports; each finds the trades of earlier ones booked."""
    known: dict[str, Trade] = {}
    for each in reports:
        outcome = events_from(order, each, known, NOW, fresh=fresh)
        known |= {event.trade.id: event.trade for event in outcome.events if event.trade}
        order = outcome.order
    return order


def test_first_report_opens_the_order_with_the_brokers_id() -> None:
    order = after_reports(sent(), report(Status.OPEN))
    assert (order.status, order.broker_order_id) == (Status.OPEN, "B1")


def test_repeated_report_gives_no_events() -> None:
    order = after_reports(sent(), report(Status.OPEN))
    assert events_from(order, report(Status.OPEN), {}, NOW).events == []


def test_rejection_has_the_brokers_reason() -> None:
    order = after_reports(sent(), replace(report(Status.REJECTED), reason="no margin"))
    assert (order.status, order.code, order.reason) == (Status.REJECTED, REJECTED, "no margin")
    assert order.broker_order_id == "B1"


def test_order_unknown_or_not_found_takes_the_reported_status() -> None:
    assert after_reports(sent(EventKind.UNCERTAIN), report(Status.OPEN)).status is Status.OPEN
    nowhere = sent(EventKind.UNCERTAIN, EventKind.NOT_FOUND)
    assert after_reports(nowhere, report(Status.FILLED, *TRADES)).status is Status.FILLED


def test_report_of_an_order_recorded_as_unsent_shows_it_was_sent() -> None:
    order = create("a" + "0" * 17, LIMIT, NOW)
    assert kinds(events_from(order, report(Status.OPEN), {}, NOW)) == [
        EventKind.SUBMITTING,
        EventKind.ACCEPTED,
    ]


def test_triggered_stop_is_open_and_stays_so() -> None:
    stop = replace(LIMIT, type=OrderType.STOP, limit_price=None, trigger_price=Decimal(105))
    waiting = report(Status.TRIGGER_PENDING, terms=stop)
    order = after_reports(sent(terms=stop), waiting)
    assert order.status is Status.TRIGGER_PENDING
    triggered = after_reports(order, report(Status.OPEN, terms=stop))
    assert triggered.status is Status.OPEN
    assert after_reports(triggered, waiting).status is Status.OPEN


def test_partial_fill_reported_after_the_complete_fill_is_ignored() -> None:
    order = after_reports(
        sent(), report(Status.FILLED, *TRADES), report(Status.PARTIALLY_FILLED, *TRADES[:1])
    )
    assert (order.status, order.filled_quantity) == (Status.FILLED, Decimal(10))


def test_trade_listed_twice_in_a_report_counts_once() -> None:
    order = after_reports(sent(), report(Status.PARTIALLY_FILLED, TRADES[0], TRADES[0]))
    assert order.filled_quantity == 3


def test_fill_reported_after_the_cancel_counts() -> None:
    order = after_reports(sent(), report(Status.CANCELLED), report(Status.CANCELLED, TRADES[0]))
    assert (order.status, order.filled_quantity) == (Status.CANCELLED, Decimal(3))
    assert after_reports(order, report(Status.FILLED, *TRADES[1:])).status is Status.FILLED


def test_order_reported_filled_without_trades_stays_open() -> None:
    lagging = replace(report(Status.FILLED), filled_quantity=Decimal(10))
    order = after_reports(sent(), lagging)
    assert order.status is Status.OPEN
    assert after_reports(order, report(Status.FILLED, *TRADES)).status is Status.FILLED


def test_trade_beyond_the_order_is_returned_as_overfill() -> None:
    extra = Trade("T9", Decimal(5), Decimal(100), NOW)
    outcome = events_from(sent(), report(Status.FILLED, *TRADES, extra), {}, NOW)
    assert outcome.overfills == [extra]
    assert (outcome.order.status, outcome.order.filled_quantity) == (Status.FILLED, Decimal(10))


def with_pending(change: OrderChange) -> Order:
    order = after_reports(sent(), report(Status.OPEN))
    return apply(order, OrderEvent(EventKind.MODIFY_REQUESTED, NOW, change=change))


CHANGE = OrderChange(Decimal(20), limit_price=Decimal(101), trigger_price=None)
CHANGED = replace(LIMIT, quantity=Decimal(20), limit_price=Decimal(101))


def test_report_of_the_new_terms_confirms_the_change() -> None:
    order = after_reports(with_pending(CHANGE), report(Status.OPEN, terms=CHANGED))
    assert (order.pending, order.terms.quantity) == (None, Decimal(20))


def test_report_of_the_old_terms_leaves_the_change_pending() -> None:
    assert after_reports(with_pending(CHANGE), report(Status.OPEN)).pending is PendingRequest.PENDING_MODIFY


def test_late_report_of_older_terms_undoes_no_change() -> None:
    order = after_reports(with_pending(CHANGE), report(Status.OPEN, terms=CHANGED), report(Status.OPEN))
    assert order.terms.quantity == 20


def test_terms_changed_at_the_broker_are_adopted_from_its_book_only() -> None:
    order = after_reports(sent(), report(Status.OPEN))
    changed = report(Status.OPEN, terms=CHANGED)
    assert after_reports(order, changed).terms.quantity == 10
    taken = after_reports(order, changed, fresh=True)
    assert (taken.terms.quantity, taken.pending) == (Decimal(20), None)


LESS, MORE = replace(LIMIT, quantity=Decimal(6)), replace(LIMIT, quantity=Decimal(20))


def test_order_filled_at_a_smaller_quantity_of_the_broker_is_filled() -> None:
    """The broker made a change that was given up here after its answer was lost, or requested elsewhere."""
    order = after_reports(sent(), report(Status.OPEN), report(Status.FILLED, *TRADES[:2], terms=LESS))
    assert (order.status, order.terms.quantity) == (Status.FILLED, Decimal(6))


def test_smaller_quantity_is_adopted_only_once_every_trade_is_known() -> None:
    order = after_reports(sent(), report(Status.OPEN), report(Status.FILLED, *TRADES[:1], terms=LESS))
    assert (order.status, order.terms.quantity) == (Status.PARTIALLY_FILLED, Decimal(10))


def test_trades_up_to_a_larger_quantity_of_the_broker_count() -> None:
    more = Trade("T9", Decimal(10), Decimal(101), NOW)
    for last in (Status.PARTIALLY_FILLED, Status.CANCELLED):
        outcome = events_from(
            after_reports(sent(), report(Status.OPEN)), report(last, more, terms=MORE), {}, NOW
        )
        assert (outcome.order.status, outcome.order.remaining_quantity) == (last, Decimal(10))
    order = after_reports(outcome.order, report(Status.FILLED, more, replace(more, id="T10"), terms=MORE))
    assert (order.status, order.filled_quantity) == (Status.FILLED, Decimal(20))


def test_pending_cancel_survives_a_quantity_changed_elsewhere() -> None:
    cancelling = sent(EventKind.ACCEPTED, EventKind.CANCEL_REQUESTED)
    order = after_reports(cancelling, report(Status.PARTIALLY_FILLED, *TRADES, terms=MORE))
    assert (order.status, order.pending) == (Status.PARTIALLY_FILLED, PendingRequest.PENDING_CANCEL)
    assert order.remaining_quantity == 10
    ended = after_reports(cancelling, report(Status.FILLED, *TRADES[:2], terms=LESS))
    assert (ended.status, ended.pending) == (Status.FILLED, None)


def test_pending_cancel_survives_a_price_changed_elsewhere() -> None:
    order = after_reports(sent(), report(Status.OPEN))
    order = apply(order, OrderEvent(EventKind.CANCEL_REQUESTED, NOW))
    assert (
        after_reports(order, report(Status.OPEN, terms=CHANGED), fresh=True).pending
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
def test_sequence_and_repetition_of_reports_do_not_change_the_outcome(
    end: OrderReport, order_of_arrival: list[int], repeated: list[int], fresh: bool
) -> None:
    history = [*HISTORY, end]
    order = after_reports(sent(), *(history[index] for index in [*order_of_arrival, *repeated]), fresh=fresh)
    assert (order.status, order.filled_quantity) == (end.status, end.filled_quantity)
