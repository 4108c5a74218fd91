from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from algosat.config.settings import Settings
from algosat.domain.orders import Product, Status
from algosat.domain.risk import DenialCode
from algosat.engine.quotes import replace_instruments
from algosat.trading import slicing
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import CAUSE, FUTURE, instruments, open_desk, terms_of
from tests.app.fakes import FakeClock


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


def test_order_of_more_than_ten_slices_is_denied(settings: Settings, clock: FakeClock) -> None:
    with open_desk(
        settings, clock, max_order_quantity=Decimal(10**6), max_order_value=Decimal(10**9)
    ) as desk:
        denied = slicing.place_sliced(desk, terms_of("10001"), CAUSE).order
    assert denied.code == DenialCode.ABOVE_FREEZE_QUANTITY


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
    with open_desk(
        settings, clock, max_order_quantity=Decimal(10**6), max_order_value=Decimal(10**9)
    ) as desk:
        listed = [
            replace(each, freeze_quantity=Decimal(99)) for each in instruments() if each.symbol == FUTURE
        ]
        replace_instruments(desk, listed)
        future = terms_of("500", symbol=FUTURE, product=Product.CARRY)
        assert len(slicing.place_sliced(desk, future, CAUSE).orders) == slicing.MAX_SLICES
        denied = slicing.place_sliced(desk, replace(future, quantity=Decimal(550)), CAUSE).order
        assert denied.code == DenialCode.ABOVE_FREEZE_QUANTITY


def test_freeze_quantity_below_one_lot_denies_every_order(desk: Desk) -> None:
    listed = [replace(each, freeze_quantity=Decimal(49)) for each in instruments() if each.symbol == FUTURE]
    replace_instruments(desk, listed)
    denied = slicing.place_sliced(desk, terms_of("50", symbol=FUTURE, product=Product.CARRY), CAUSE).order
    assert denied.code == DenialCode.ABOVE_FREEZE_QUANTITY
