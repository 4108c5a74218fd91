from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from algosat.config.settings import Settings
from algosat.domain.orders import Product, Side, Status
from algosat.domain.risk import DenialCode
from algosat.domain.scope import Scope
from algosat.store.verify.verify import verify
from algosat.trading import limits, slicing
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import (
    CAUSE,
    FUTURE,
    SHARE,
    buy,
    hold,
    instruments,
    open_desk,
    replace_instruments,
    terms_of,
)
from tests.app.fakes import FakeClock

UNLIMITED: dict[str, Any] = {
    "max_order_quantity": Decimal(10**6),
    "max_order_value": Decimal(10**9),
    "max_position_value": Decimal(10**9),
    "max_gross_exposure": Decimal(10**9),
    "max_open_orders": 1000,
    "max_orders_per_second": 1000,
}


def relist(desk: Desk, *, freeze_quantity: Decimal, symbol: str) -> None:
    listed = [
        replace(each, freeze_quantity=freeze_quantity) for each in instruments() if each.symbol == symbol
    ]
    replace_instruments(desk, listed)


def test_order_above_the_freeze_quantity_is_stored_in_slices(desk: Desk) -> None:
    slices = slicing.place_sliced(desk, terms_of("2300"), CAUSE).orders
    assert [order.terms.quantity for order in slices] == [1000, 1000, 300]
    assert len({order.id for order in slices}) == 3
    assert {order.status for order in slices} == {Status.CREATED}


def test_slices_of_one_order_are_no_duplicates(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, duplicate_window_seconds=5.0) as desk:
        assert {order.code for order in slicing.place_sliced(desk, terms_of("2000"), CAUSE).orders} == {None}
        assert slicing.place_sliced(desk, terms_of("1000"), CAUSE).order.code == DenialCode.DUPLICATE


def test_limits_on_one_order_apply_before_slicing(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_order_value=Decimal(150_000)) as desk:
        denied = slicing.place_sliced(desk, terms_of("2000"), CAUSE).order
    assert (denied.code, denied.terms.quantity) == (DenialCode.ORDER_VALUE, Decimal(2000))


def test_entry_of_too_many_slices_is_denied(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, **UNLIMITED) as desk:
        denied = slicing.place_sliced(desk, terms_of("100001"), CAUSE).order
    assert denied.code == DenialCode.ABOVE_FREEZE_QUANTITY
    assert denied.reason == "the order has 101 slices; an entry has at most 100"


def test_later_slices_name_the_first(desk: Desk) -> None:
    first, *later = slicing.place_sliced(desk, terms_of("2300"), CAUSE).orders
    assert first.terms.slice_of is None
    assert [order.terms.slice_of for order in later] == [first.id, first.id]
    with desk.database.read() as connection:
        assert verify(connection).clean


@pytest.mark.parametrize("limit", ["max_orders_per_second", "max_orders_per_day", "max_open_orders"])
def test_limits_deny_no_slice_in_the_middle(settings: Settings, clock: FakeClock, limit: str) -> None:
    with open_desk(settings, clock, **{limit: 3}) as desk:
        assert [order.status for order in slicing.place_sliced(desk, terms_of("3000"), CAUSE).orders] == [
            Status.CREATED
        ] * 3


@pytest.mark.parametrize(
    ("limit", "code", "reason"),
    [
        ("max_orders_per_day", DenialCode.ORDERS_PER_DAY, "has placed 1 orders today, this one has 3 slices"),
        ("max_open_orders", DenialCode.OPEN_ORDERS, "1 orders are working, this one has 3 slices"),
    ],
)
def test_order_whose_slices_exceed_a_limit_is_denied_as_a_whole(
    settings: Settings, clock: FakeClock, limit: str, code: DenialCode, reason: str
) -> None:
    with open_desk(settings, clock, **{limit: 3}) as desk:
        buy(desk, "1")
        denied = slicing.place_sliced(desk, terms_of("3000"), CAUSE).order
    assert (denied.code, denied.terms.quantity) == (code, Decimal(3000))
    assert reason in (denied.reason or "")


def test_slices_count_as_one_order_of_their_second(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_orders_per_second=2) as desk:
        slicing.place_sliced(desk, terms_of("5000"), CAUSE)
        assert buy(desk, "1").status is Status.CREATED
        assert buy(desk, "2").code == DenialCode.ORDERS_PER_SECOND


def test_slices_of_a_strategy_count_as_one_order_of_it(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock) as desk:
        limits.change(desk, Scope("trend"), {"max_orders_per_second": 2}, CAUSE)
        slicing.place_sliced(desk, terms_of("5000", strategy="trend"), CAUSE)
        assert buy(desk, "1", strategy="trend").status is Status.CREATED
        assert buy(desk, "2", strategy="trend").code == DenialCode.ORDERS_PER_SECOND


def test_slices_have_the_protection_price_of_the_whole_order(desk: Desk) -> None:
    slices = slicing.place_sliced(desk, terms_of("2300", limit=None), CAUSE).orders
    assert len({order.terms.protection_price for order in slices}) == 1
    assert slices[0].terms.protection_price


def test_exit_has_any_number_of_slices(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, **UNLIMITED) as desk:
        hold(desk, "1000")
        relist(desk, freeze_quantity=Decimal(5), symbol=SHARE)
        exit_terms = terms_of("1000", side=Side.SELL, reduce_only=True)
        assert len(slicing.place_sliced(desk, exit_terms, CAUSE).orders) == 200


def test_order_below_the_freeze_quantity_is_not_sliced(desk: Desk) -> None:
    assert slicing.place_sliced(desk, terms_of("10"), CAUSE).order.status is Status.CREATED


def test_repeated_key_places_slices_once(desk: Desk) -> None:
    key = IdempotencyKey("user:trader", "k", "b")
    first = slicing.place_sliced(desk, terms_of("2300"), CAUSE, key=key)
    assert slicing.place_sliced(desk, terms_of("2300"), CAUSE, key=key).orders == first.orders


def test_repeated_sliced_order_is_denied_as_duplicate(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, duplicate_window_seconds=5.0) as desk:
        slicing.place_sliced(desk, terms_of("2300"), CAUSE)
        assert {order.code for order in slicing.place_sliced(desk, terms_of("2300"), CAUSE).orders} == {
            DenialCode.DUPLICATE
        }


def test_slices_are_counted_in_whole_lots(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, **UNLIMITED) as desk:
        relist(desk, freeze_quantity=Decimal(99), symbol=FUTURE)
        future = terms_of("500", symbol=FUTURE, product=Product.CARRY)
        pieces = slicing.place_sliced(desk, future, CAUSE).orders
        assert [order.terms.quantity for order in pieces] == [50] * 10


def test_freeze_quantity_below_one_lot_denies_every_order(desk: Desk) -> None:
    relist(desk, freeze_quantity=Decimal(49), symbol=FUTURE)
    denied = slicing.place_sliced(desk, terms_of("50", symbol=FUTURE, product=Product.CARRY), CAUSE).order
    assert denied.code == DenialCode.ABOVE_FREEZE_QUANTITY
