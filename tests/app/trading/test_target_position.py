from __future__ import annotations

from decimal import Decimal

from algosat.domain.orders import OrderType, Product, Side, Status
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from algosat.trading.place import Placed
from algosat.trading.target_position import reach_position
from tests.app.desks import CAUSE, hold, sell, terms_of


def reach(desk: Desk, quantity: str, key: str = "one") -> Placed:
    terms = terms_of(quantity, limit=None, product=Product.INTRADAY)
    return reach_position(desk, terms, CAUSE, key=IdempotencyKey("user:tester", key, quantity))


def test_difference_is_placed_once_under_a_key(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    placed = reach(desk, "50")
    assert [(order.terms.side, order.terms.quantity) for order in placed.orders] == [(Side.BUY, Decimal(40))]
    assert reach(desk, "50").orders[0].id == placed.orders[0].id
    assert reach(desk, "50", key="another").orders == ()


def test_flip_is_an_exit_and_an_entry(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    orders = reach(desk, "-5").orders
    shown = [(order.terms.side, int(order.terms.quantity), order.terms.reduce_only) for order in orders]
    assert shown == [(Side.SELL, 10, True), (Side.SELL, 5, False)]


def test_exit_that_is_denied_places_no_entry(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    sell(
        desk,
        limit=None,
        type=OrderType.STOP,
        trigger_price=Decimal(95),
        reduce_only=True,
        product=Product.INTRADAY,
    )
    (denied,) = reach(desk, "-5").orders
    assert (denied.status, denied.code) == (Status.DENIED, "more_than_held")
