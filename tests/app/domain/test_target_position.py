from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algosat.domain.orders import Order, OrderType, Side, create
from algosat.domain.target_position import steps_to
from algosat.errors import Conflict
from tests.app.desks import terms_of

AT = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)


def working(quantity: int, side: Side, kind: OrderType = OrderType.LIMIT) -> Order:
    trigger = Decimal(90) if kind.has_trigger else None
    terms = replace(terms_of(str(quantity), side=side), type=kind, trigger_price=trigger)
    return create(f"a{quantity}", terms, AT)


@given(
    wanted=st.integers(-100, 100),
    position=st.integers(-100, 100),
    buys=st.lists(st.integers(1, 20), max_size=3),
)
def test_steps_and_working_orders_lead_to_the_wanted_position(
    wanted: int, position: int, buys: list[int]
) -> None:
    orders = [working(quantity, Side.BUY) for quantity in buys]
    if wanted < position + sum(buys) and buys:
        with pytest.raises(Conflict, match="cancel"):
            steps_to(Decimal(wanted), Decimal(position), orders)
        return
    steps = steps_to(Decimal(wanted), Decimal(position), orders)
    assert position + sum(buys) + sum(step.side.sign * step.quantity for step in steps) == wanted
    exits = sum(step.quantity for step in steps if step.reduce_only)
    assert exits <= abs(position)
    assert [step.reduce_only for step in steps] in ([], [True], [False], [True, False])


def test_stop_does_not_count() -> None:
    (step,) = steps_to(Decimal(20), Decimal(10), [working(10, Side.SELL, OrderType.STOP)])
    assert (step.side, step.quantity) == (Side.BUY, Decimal(10))
