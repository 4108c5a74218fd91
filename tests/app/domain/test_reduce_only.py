from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from algosat.domain.orders import EventKind, Order, PendingRequest, Side
from algosat.domain.positions import Position
from algosat.domain.reduce_only import is_exit, oversized
from tests.app.builders import LIMIT, order_after

EXIT = replace(LIMIT, side=Side.SELL, reduce_only=True)


def exit_of(quantity: int) -> Order:
    terms = replace(EXIT, quantity=Decimal(quantity))
    return order_after(EventKind.SUBMITTING, EventKind.ACCEPTED, terms=terms)


def test_newest_exits_beyond_the_position_are_oversized() -> None:
    position = Position("paper", "", LIMIT.symbol, LIMIT.product.value, quantity=Decimal(10))
    exits = [exit_of(6), exit_of(5), exit_of(4)]
    assert list(oversized(exits, [position])) == [exits[1]]


def test_every_exit_of_a_closed_or_turned_position_is_oversized() -> None:
    turned = Position("paper", "", LIMIT.symbol, LIMIT.product.value, quantity=Decimal(-10))
    exits = [exit_of(1)]
    assert list(oversized(exits, [])) == list(oversized(exits, [turned])) == exits


def test_external_and_cancelled_orders_are_no_exits() -> None:
    order = exit_of(1)
    assert is_exit(order)
    assert not is_exit(replace(order, external=True))
    assert not is_exit(replace(order, pending=PendingRequest.PENDING_CANCEL))
    assert not is_exit(replace(order, terms=replace(EXIT, reduce_only=False)))
