"""The first answer under a key is the only one, however much happens to its orders later."""

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


def test_an_answer_tells_all_that_the_first_report_told(desk: Desk) -> None:
    order = placed(desk)
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="4")
    assert answered(desk, order) == order_now(desk, order)


def test_an_answer_stays_what_it_was_when_the_order_goes_on(desk: Desk, clock: FakeClock) -> None:
    order = placed(desk)
    first = answered(desk, accepted(desk, order))
    later(desk, clock, order, fill="10")
    assert (first.status, order_now(desk, order).status) == (Status.OPEN, Status.FILLED)
    assert answered(desk, order) == first


def test_an_answer_is_told_of_the_order_alone_whatever_else_is_noted_about_it(
    desk: Desk, clock: FakeClock
) -> None:
    order = placed(desk)
    first = answered(desk, accepted(desk, order))
    clock.forward(seconds=1)
    with pytest.raises(Denied):
        modify.modify_order(desk, order.id, ModifyRequest(limit_price=Decimal("100.01")), CAUSE)
    assert answered(desk, order) == first


def test_an_answer_lost_in_a_crash_is_the_same_when_it_is_asked_for(desk: Desk, clock: FakeClock) -> None:
    order = placed(desk)
    seen = accepted(desk, order)
    later(desk, clock, order, EventKind.CANCELLED)
    again = place.place_order(desk, terms_of(), CAUSE, key=KEY)
    assert (again.order.status, again.pinned) == (Status.CANCELLED, False)
    assert idempotency.first_answer(desk, KEY, again.order) == seen


def test_an_order_that_ends_by_the_first_report_is_answered_so(desk: Desk, clock: FakeClock) -> None:
    order = placed(desk)
    advance(desk, order, EventKind.SUBMITTING)
    later(desk, clock, order, EventKind.REJECTED)
    assert answered(desk, order).status is Status.REJECTED


def test_waiting_in_vain_pins_the_answer(desk: Desk, clock: FakeClock) -> None:
    order = placed(desk)
    advance(desk, order, EventKind.SUBMITTING)
    first = answered(desk, order)
    later(desk, clock, order, EventKind.ACCEPTED)
    assert first.status is Status.SUBMITTING
    assert answered(desk, order) == first
    assert place.place_order(desk, terms_of(), CAUSE, key=KEY).order == first


def test_a_word_that_comes_before_the_pin_is_the_answer(desk: Desk) -> None:
    order = placed(desk)
    seen = accepted(desk, order)
    assert idempotency.first_answer(desk, KEY, order) == seen  # whose time was up before it saw the word


def test_an_answer_that_does_not_wait_is_pinned_with_the_order(desk: Desk, clock: FakeClock) -> None:
    quick = replace(KEY, waits=False)
    order = placed(desk, quick)
    later(desk, clock, order, EventKind.SUBMITTING, EventKind.ACCEPTED)
    again = place.place_order(desk, terms_of(), CAUSE, key=KEY)
    assert (again.order, again.pinned) == (order, True)


def test_a_denial_needs_no_waiting(desk: Desk) -> None:
    denied = place.place_order(desk, terms_of(limit="100.03"), CAUSE, key=KEY)
    assert (denied.order.status, denied.pinned) == (Status.DENIED, True)


def test_slices_are_answered_as_they_were_placed(desk: Desk, clock: FakeClock) -> None:
    key = replace(KEY, waits=False)
    first = slicing.place_sliced(desk, terms_of("2300"), CAUSE, key=key)
    later(desk, clock, first.orders[1], EventKind.CANCELLED)
    assert slicing.place_sliced(desk, terms_of("2300"), CAUSE, key=key).orders == first.orders


@pytest.mark.parametrize("behind", [0, 5])
def test_clocks_that_differ_do_not_change_the_answer(desk: Desk, clock: FakeClock, behind: int) -> None:
    order = placed(desk)
    clock.forward(seconds=-behind)  # the engine's
    seen = accepted(desk, order)
    later(desk, clock, order, fill="10")
    assert answered(desk, order) == seen
