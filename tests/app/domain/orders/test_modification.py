from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.domain.orders import EventKind, Order, OrderChange, OrderType, PendingRequest, Status
from algosat.domain.orders.modification import remaining_terms, require_changeable
from algosat.errors import Conflict, IllegalTransition
from tests.app.builders import LIMIT, NOW, order_after

CHANGE = OrderChange(Decimal(20), limit_price=Decimal(101), trigger_price=None)
OPEN = order_after(EventKind.SUBMITTING, EventKind.ACCEPTED)


@pytest.mark.parametrize(
    ("order", "error", "reason"),
    [
        (replace(OPEN, external=True), Conflict, "placed elsewhere"),
        (replace(OPEN, status=Status.CREATED), IllegalTransition, "cannot be changed now"),
        (replace(OPEN, pending=PendingRequest.PENDING_CANCEL), Conflict, "wait for the broker's answer"),
        (replace(OPEN, filled_quantity=Decimal(20)), Conflict, "ask for more, or cancel"),
    ],
    ids=["external", "unsent", "pending", "filled"],
)
def test_order_that_cannot_be_changed_is_refused(order: Order, error: type[Exception], reason: str) -> None:
    require_changeable(OPEN, CHANGE, NOW)
    with pytest.raises(error, match=reason):
        require_changeable(order, CHANGE, NOW)


def test_only_the_unfilled_part_of_a_change_is_judged() -> None:
    remaining = remaining_terms(replace(OPEN, filled_quantity=Decimal(4)), CHANGE)
    assert (remaining.quantity, remaining.limit_price) == (Decimal(16), Decimal(101))


def test_triggered_stop_is_judged_without_its_trigger() -> None:
    change = replace(CHANGE, trigger_price=Decimal(99))
    stop_limit = replace(OPEN, terms=replace(LIMIT, type=OrderType.STOP_LIMIT, trigger_price=Decimal(98)))
    triggered = remaining_terms(stop_limit, change)
    waiting = remaining_terms(replace(stop_limit, status=Status.TRIGGER_PENDING), change)
    assert (triggered.type, triggered.trigger_price) == (OrderType.LIMIT, None)
    assert (waiting.type, waiting.trigger_price) == (OrderType.STOP_LIMIT, Decimal(99))
