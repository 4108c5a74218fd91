from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from algosat.domain.orders import (
    ALLOWED,
    LIVE,
    TERMINAL,
    WORKING,
    EventKind,
    Order,
    OrderChange,
    OrderEvent,
    OrderTerms,
    OrderType,
    PendingRequest,
    Side,
    Status,
    Trade,
    apply,
    may_happen,
)
from algosat.errors import IllegalTransition, Overfill
from tests.app.builders import LIMIT, NOW, order_after

STOP = OrderTerms("paper", "ALPHA-EQ", Side.BUY, Decimal(10), OrderType.STOP, trigger_price=Decimal(105))
CHANGE = OrderChange(Decimal(20), limit_price=Decimal(101), trigger_price=None)


def event(kind: EventKind, **fields: object) -> OrderEvent:
    return OrderEvent(kind, NOW, **fields)  # type: ignore[arg-type]


def fill(quantity: str, number: int = 1, price: str = "100") -> OrderEvent:
    return event(EventKind.FILLED, trade=Trade(f"T{number}", Decimal(quantity), Decimal(price), NOW))


def accepted(*more: OrderEvent | EventKind, terms: OrderTerms = LIMIT) -> Order:
    return order_after(
        EventKind.SUBMITTING,
        event(EventKind.ACCEPTED, broker_order_id="B1"),
        *more,
        terms=terms,
    )


def test_every_event_except_created_has_a_row_in_the_table() -> None:
    assert set(ALLOWED) == set(EventKind) - {EventKind.CREATED}


def test_every_status_is_either_working_or_terminal() -> None:
    assert set(Status) == WORKING | TERMINAL
    assert not WORKING & TERMINAL
    assert LIVE < WORKING


@pytest.mark.parametrize("kind", list(ALLOWED))
@pytest.mark.parametrize("status", list(Status))
def test_event_outside_the_table_is_illegal(kind: EventKind, status: Status) -> None:
    order = replace(accepted(), status=status)
    if may_happen(order, kind):
        assert status in ALLOWED[kind]
    else:
        with pytest.raises(IllegalTransition, match=status.value):
            apply(order, event(kind))


def test_denied_order_is_terminal() -> None:
    assert order_after(EventKind.DENIED).status is Status.DENIED
    assert not order_after(EventKind.DENIED).is_working


def test_accepted_order_is_open_with_the_brokers_id() -> None:
    order = accepted()
    assert (order.status, order.broker_order_id) == (Status.OPEN, "B1")


def test_accepted_stop_is_pending_until_it_triggers() -> None:
    assert accepted(terms=STOP).status is Status.TRIGGER_PENDING
    assert accepted(EventKind.TRIGGERED, terms=STOP).status is Status.OPEN


def test_average_price_is_weighted_by_quantity() -> None:
    order = accepted(fill("4", 1, "99"), fill("6", 2, "101"))
    assert order.status is Status.FILLED
    assert order.average_price == Decimal("100.2")


def test_partial_fill_leaves_the_rest_open() -> None:
    order = accepted(fill("4"))
    assert (order.status, order.remaining_quantity) == (Status.PARTIALLY_FILLED, Decimal(6))


def test_fill_may_precede_the_acknowledgement() -> None:
    order = order_after(EventKind.SUBMITTING, fill("4"))
    assert order.status is Status.PARTIALLY_FILLED


def test_acknowledgement_after_a_fill_keeps_the_fill() -> None:
    order = order_after(EventKind.SUBMITTING, EventKind.UNCERTAIN)
    order = replace(order, filled_quantity=Decimal(4))
    assert apply(order, event(EventKind.ACCEPTED)).status is Status.PARTIALLY_FILLED


@pytest.mark.parametrize("end", [EventKind.CANCELLED, EventKind.EXPIRED, EventKind.REJECTED])
def test_late_fill_counts_but_does_not_revive_the_order(end: EventKind) -> None:
    ended = accepted(end)
    filled = apply(ended, fill("4"))
    assert filled.status is ended.status
    assert filled.filled_quantity == 4
    assert apply(filled, fill("6", 2)).status is Status.FILLED


def test_trade_beyond_the_quantity_is_refused() -> None:
    with pytest.raises(Overfill, match="T2"):
        accepted(fill("8"), fill("3", 2))


def test_order_not_found_may_be_accepted_later() -> None:
    order = order_after(EventKind.SUBMITTING, EventKind.UNCERTAIN, EventKind.NOT_FOUND)
    assert order.is_working
    assert apply(order, event(EventKind.ACCEPTED)).status is Status.OPEN


def test_change_applies_once_confirmed() -> None:
    order = accepted(event(EventKind.MODIFY_REQUESTED, change=CHANGE))
    assert (order.pending, order.terms.quantity) == (PendingRequest.PENDING_MODIFY, Decimal(10))
    order = apply(order, event(EventKind.MODIFIED))
    assert (order.pending, order.terms.quantity, order.terms.limit_price) == (
        None,
        Decimal(20),
        Decimal(101),
    )


def test_failed_change_keeps_the_old_terms() -> None:
    order = accepted(event(EventKind.MODIFY_REQUESTED, change=CHANGE), EventKind.MODIFY_FAILED)
    assert (order.pending, order.pending_change, order.terms.quantity) == (None, None, Decimal(10))


def test_confirmed_change_below_the_filled_quantity_fills_the_order() -> None:
    smaller = replace(CHANGE, quantity=Decimal(5))
    order = accepted(event(EventKind.MODIFY_REQUESTED, change=smaller), fill("7"), EventKind.MODIFIED)
    assert (order.status, order.terms.quantity) == (Status.FILLED, Decimal(7))


def test_cancel_request_takes_precedence_over_a_pending_change() -> None:
    order = accepted(event(EventKind.MODIFY_REQUESTED, change=CHANGE), EventKind.CANCEL_REQUESTED)
    assert order.pending is PendingRequest.PENDING_CANCEL
    assert apply(order, event(EventKind.MODIFIED)).pending is PendingRequest.PENDING_CANCEL


def test_failed_cancel_leaves_the_order_open() -> None:
    order = accepted(EventKind.CANCEL_REQUESTED, EventKind.CANCEL_FAILED)
    assert (order.status, order.pending) == (Status.OPEN, None)


def test_complete_fill_ends_the_pending_cancel() -> None:
    order = accepted(EventKind.CANCEL_REQUESTED, fill("10"))
    assert (order.status, order.pending) == (Status.FILLED, None)


def test_pending_cancel_is_kept_while_the_order_is_unknown() -> None:
    order = order_after(EventKind.SUBMITTING, EventKind.UNCERTAIN, EventKind.CANCEL_REQUESTED)
    assert apply(order, event(EventKind.ACCEPTED)).pending is PendingRequest.PENDING_CANCEL


def test_earlier_event_leaves_the_time_of_the_last_update() -> None:
    order = accepted()
    early = replace(event(EventKind.CANCEL_REQUESTED), at=NOW - timedelta(seconds=5))
    assert apply(order, early).updated_at == NOW
