"""The first answer under a key is repeated, whatever happens to its orders later."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.domain.orders import EventKind, ModifyRequest, Order, Status
from algosat.errors import Denied
from algosat.trading import idempotency, modify, place, slicing
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import CAUSE, accepted, advance, order_now, terms_of
from tests.app.fakes import FakeClock

KEY = IdempotencyKey("user:trader", "key-1", "body-1", waits=True)


def placed(desk: Desk, key: IdempotencyKey = KEY) -> Order:
    return place.place_order(desk, terms_of(), CAUSE, key=key).order


def answered(desk: Desk, order: Order) -> Order:
    return idempotency.first_answer(desk, KEY, order_now(desk, order))


def later(desk: Desk, clock: FakeClock, order: Order, *kinds: EventKind, fill: str | None = None) -> None:
    clock.forward(seconds=1)
    advance(desk, order, *kinds, fill=fill)


def test_first_answer_includes_the_fill_of_the_first_report(desk: Desk) -> None:
    order = placed(desk)
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="4")
    assert answered(desk, order) == order_now(desk, order)


def test_first_answer_stays_the_same_after_a_later_fill(desk: Desk, clock: FakeClock) -> None:
    order = placed(desk)
    first = answered(desk, accepted(desk, order))
    later(desk, clock, order, fill="10")
    assert (first.status, order_now(desk, order).status) == (Status.OPEN, Status.FILLED)
    assert answered(desk, order) == first


def test_denied_change_does_not_alter_the_first_answer(desk: Desk, clock: FakeClock) -> None:
    order = placed(desk)
    first = answered(desk, accepted(desk, order))
    clock.forward(seconds=1)
    with pytest.raises(Denied):
        modify.modify_order(desk, order.id, ModifyRequest(limit_price=Decimal("100.01")), CAUSE)
    assert answered(desk, order) == first


def test_answer_lost_in_a_crash_is_given_to_the_retry(desk: Desk, clock: FakeClock) -> None:
    order = placed(desk)
    acknowledged = accepted(desk, order)
    later(desk, clock, order, EventKind.CANCELLED)
    again = place.place_order(desk, terms_of(), CAUSE, key=KEY)
    assert (again.order.status, again.pinned) == (Status.CANCELLED, False)
    assert idempotency.first_answer(desk, KEY, again.order) == acknowledged


def test_order_rejected_by_the_first_report_is_answered_as_rejected(desk: Desk, clock: FakeClock) -> None:
    order = placed(desk)
    advance(desk, order, EventKind.SUBMITTING)
    later(desk, clock, order, EventKind.REJECTED)
    assert answered(desk, order).status is Status.REJECTED


def test_answer_after_a_wait_without_acknowledgement_is_pinned(desk: Desk, clock: FakeClock) -> None:
    order = placed(desk)
    advance(desk, order, EventKind.SUBMITTING)
    first = answered(desk, order)
    later(desk, clock, order, EventKind.ACCEPTED)
    assert first.status is Status.SUBMITTING
    assert answered(desk, order) == first
    assert place.place_order(desk, terms_of(), CAUSE, key=KEY).order == first


def test_acknowledgement_before_the_pin_is_the_answer(desk: Desk) -> None:
    order = placed(desk)
    acknowledged = accepted(desk, order)
    # The request's wait ended before it read the acknowledged state.
    assert idempotency.first_answer(desk, KEY, order) == acknowledged


def test_answer_without_a_wait_is_pinned_with_the_order(desk: Desk, clock: FakeClock) -> None:
    quick = replace(KEY, waits=False)
    order = placed(desk, quick)
    later(desk, clock, order, EventKind.SUBMITTING, EventKind.ACCEPTED)
    again = place.place_order(desk, terms_of(), CAUSE, key=KEY)
    assert (again.order, again.pinned) == (order, True)


def test_denial_is_pinned_at_once(desk: Desk) -> None:
    denied = place.place_order(desk, terms_of(limit="100.03"), CAUSE, key=KEY)
    assert (denied.order.status, denied.pinned) == (Status.DENIED, True)


def test_retry_is_answered_with_the_slices_as_placed(desk: Desk, clock: FakeClock) -> None:
    key = replace(KEY, waits=False)
    first = slicing.place_sliced(desk, terms_of("2300"), CAUSE, key=key)
    later(desk, clock, first.orders[1], EventKind.CANCELLED)
    assert slicing.place_sliced(desk, terms_of("2300"), CAUSE, key=key).orders == first.orders


@pytest.mark.parametrize("behind", [0, 5])
def test_difference_of_clocks_does_not_change_the_answer(desk: Desk, clock: FakeClock, behind: int) -> None:
    order = placed(desk)
    clock.forward(seconds=-behind)  # the engine's clock
    acknowledged = accepted(desk, order)
    later(desk, clock, order, fill="10")
    assert answered(desk, order) == acknowledged


def test_unknown_outcome_is_not_repeated_once_the_broker_has_answered(desk: Desk, clock: FakeClock) -> None:
    order = placed(desk)
    advance(desk, order, EventKind.SUBMITTING, EventKind.UNCERTAIN)
    assert answered(desk, order).status is Status.UNKNOWN
    later(desk, clock, order, EventKind.REJECTED)
    assert answered(desk, order).status is Status.REJECTED


def test_order_that_was_not_found_and_turns_up_is_answered_as_it_turned_up(
    desk: Desk, clock: FakeClock
) -> None:
    order = placed(desk)
    advance(desk, order, EventKind.SUBMITTING, EventKind.UNCERTAIN)
    later(desk, clock, order, EventKind.NOT_FOUND)
    assert answered(desk, order).status is Status.NOT_FOUND
    later(desk, clock, order, EventKind.ACCEPTED)
    first = answered(desk, order)
    later(desk, clock, order, fill="10")
    assert (first.status, answered(desk, order)) == (Status.OPEN, first)


def test_outcome_that_became_unknown_after_the_request_read_the_order_is_not_pinned(
    desk: Desk, clock: FakeClock
) -> None:
    order = placed(desk)
    submitting = advance(desk, order, EventKind.SUBMITTING)
    advance(desk, order, EventKind.UNCERTAIN)
    idempotency.first_answer(desk, KEY, submitting)
    later(desk, clock, order, EventKind.ACCEPTED)
    assert answered(desk, order).status is Status.OPEN
