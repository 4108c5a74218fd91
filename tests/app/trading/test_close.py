from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.domain.orders import OrderType, Product, Side, Status
from algosat.engine.quotes import replace_instruments
from algosat.errors import Conflict
from algosat.trading import close
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import CAUSE, FUTURE, SECOND, SHARE, buy, hold, instruments, sell


def test_long_position_is_closed_by_a_market_sell(desk: Desk) -> None:
    hold(desk, "30")
    order = close.close_position(desk, SHARE, CAUSE).order
    assert (order.status, order.terms.side, order.terms.quantity) == (
        Status.CREATED,
        Side.SELL,
        Decimal(30),
    )
    assert (order.terms.type, order.terms.reduce_only) == (OrderType.MARKET, True)


def test_short_position_is_closed_by_a_buy(desk: Desk) -> None:
    hold(desk, "30", side=Side.SELL, product=Product.INTRADAY)
    order = close.close_position(desk, SHARE, CAUSE).order
    assert (order.terms.side, order.terms.product) == (Side.BUY, Product.INTRADAY)


def test_only_the_part_without_working_exits_is_closed(desk: Desk) -> None:
    hold(desk, "30")
    sell(desk, "20")
    assert close.close_position(desk, SHARE, CAUSE).order.terms.quantity == 10
    with pytest.raises(Conflict) as conflict:
        close.close_position(desk, SHARE, CAUSE)
    assert conflict.value.reported_code == "nothing_to_close"


def test_working_entry_leaves_nothing_to_close(desk: Desk) -> None:
    buy(desk)
    with pytest.raises(Conflict):
        close.close_position(desk, SHARE, CAUSE)


def test_close_of_a_strategy_leaves_other_books(desk: Desk) -> None:
    hold(desk, "30", strategy="trend")
    hold(desk, "5")
    order = close.close_position(desk, SHARE, CAUSE, strategy="trend").order
    assert (order.terms.strategy, order.terms.quantity) == ("trend", Decimal(30))


def test_each_product_is_closed_by_its_own_order(desk: Desk) -> None:
    hold(desk, "30")
    hold(desk, "5", product=Product.INTRADAY)
    assert {order.terms.product for order in close.close_position(desk, SHARE, CAUSE).orders} == {
        Product.DELIVERY,
        Product.INTRADAY,
    }


def test_position_above_the_freeze_quantity_is_closed_in_slices(desk: Desk) -> None:
    hold(desk, "1000")
    hold(desk, "1000")
    hold(desk, "300")
    slices = close.close_position(desk, SHARE, CAUSE).orders
    assert [order.terms.quantity for order in slices] == [1000, 1000, 300]
    assert {order.status for order in slices} == {Status.CREATED}


def test_close_repeated_with_its_key_places_one_order(desk: Desk) -> None:
    hold(desk, "30")
    key = IdempotencyKey("user:trader", "k", "b")
    first = close.close_position(desk, SHARE, CAUSE, key=key)
    assert close.close_position(desk, SHARE, CAUSE, key=key).order == first.order


def test_close_all_closes_every_position(desk: Desk) -> None:
    hold(desk, "30", strategy="trend")
    hold(desk, "5", symbol=SECOND)
    hold(desk, "50", symbol=FUTURE, product=Product.CARRY)
    closed = close.close_all(desk, CAUSE).orders
    assert sorted(order.terms.symbol for order in closed) == [SHARE, SECOND, FUTURE]
    assert close.close_all(desk, CAUSE).orders == ()


def test_close_all_of_a_strategy_leaves_other_positions(desk: Desk) -> None:
    hold(desk, "30", strategy="trend")
    hold(desk, "5")
    (order,) = close.close_all(desk, CAUSE, strategy="trend").orders
    assert order.terms.strategy == "trend"


def test_close_may_have_more_slices_than_an_entry(desk: Desk) -> None:
    replace_instruments(desk, [replace(each, freeze_quantity=Decimal(10)) for each in instruments()])
    for _ in range(11):
        hold(desk, "10")
    closing = close.close_position(desk, SHARE, CAUSE).orders
    assert [order.terms.quantity for order in closing] == [10] * 11
    assert {order.status for order in closing} == {Status.CREATED}
