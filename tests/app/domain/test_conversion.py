from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from algosat.domain.arming import Arming
from algosat.domain.book_comparison import BookFigures, BrokerFigure, OwnFigure, item_of
from algosat.domain.conversion import (
    Conversion,
    ConversionCode,
    ConversionSnapshot,
    Excess,
    added_margin,
    excess_in,
    exiting,
    is_converted,
    refusal,
)
from algosat.domain.instruments import InstrumentKind
from algosat.domain.market_phases import Phase
from algosat.domain.orders import Order, OrderChange, PendingRequest, Product, Side, create
from tests.app.desks import SHARE, terms_of
from tests.app.fakes import FakeClock

DELIVERY = Conversion(SHARE, "", Product.INTRADAY, Product.DELIVERY, Decimal(10))
INTRADAY = replace(DELIVERY, source=Product.DELIVERY, target=Product.INTRADAY)
CARRY = replace(DELIVERY, target=Product.CARRY)
FACTS = ConversionSnapshot(
    is_supported=True,
    kind=InstrumentKind.EQUITY,
    held=Decimal(10),
    working=(),
    is_closing=False,
    phase=Phase.CONTINUOUS,
    is_square_off=False,
    price=Decimal(100),
    available=Decimal(800),
)


def working(quantity: str, side: Side = Side.SELL, **differences: Any) -> Order:
    order = create(
        "o1", terms_of(quantity, side=side), FakeClock()(), external=differences.get("external", False)
    )
    return replace(order, **differences)


def code(conversion: Conversion, **differences: Any) -> ConversionCode | None:
    found = refusal(conversion, replace(FACTS, **differences))
    return None if found is None else found.code


def test_conversion_that_leaves_nothing_to_refuse_is_permitted() -> None:
    assert code(DELIVERY) is None
    assert code(INTRADAY, held_as_target=Decimal(5)) is None
    assert code(INTRADAY, is_near_delivery=True) is None
    assert code(DELIVERY, is_square_off=True) is None
    assert code(CARRY, kind=InstrumentKind.FUTURE, held=Decimal(-10)) is None


@pytest.mark.parametrize(
    ("conversion", "differences", "expected"),
    [
        (DELIVERY, {"is_supported": False}, ConversionCode.NOT_SUPPORTED),
        (replace(DELIVERY, target=Product.INTRADAY), {}, ConversionCode.PRODUCT_NOT_ALLOWED),
        (replace(DELIVERY, target=Product.CARRY), {}, ConversionCode.PRODUCT_NOT_ALLOWED),
        (DELIVERY, {"kind": InstrumentKind.FUTURE}, ConversionCode.PRODUCT_NOT_ALLOWED),
        (DELIVERY, {"arming": Arming.READ_ONLY}, ConversionCode.ACCOUNT_NOT_ARMED),
        (DELIVERY, {"arming": Arming.EXITS_ONLY}, ConversionCode.ACCOUNT_NOT_ARMED),
        (DELIVERY, {"halts": ("looks wrong (all)",)}, ConversionCode.HALTED),
        (DELIVERY, {"phase": None}, ConversionCode.CALENDAR_UNKNOWN),
        (DELIVERY, {"phase": Phase.CLOSED}, ConversionCode.MARKET_CLOSED),
        (DELIVERY, {"held": Decimal(9)}, ConversionCode.MORE_THAN_HELD),
        (replace(DELIVERY, quantity=Decimal(0)), {}, ConversionCode.MORE_THAN_HELD),
        (replace(DELIVERY, quantity=Decimal(-1)), {}, ConversionCode.MORE_THAN_HELD),
        (DELIVERY, {"is_closing": True}, ConversionCode.BEING_CLOSED),
        (DELIVERY, {"under_way": "v1"}, ConversionCode.CONVERSION_UNDER_WAY),
        (DELIVERY, {"working": (working("1"),)}, ConversionCode.QUANTITY_IN_EXITS),
        (DELIVERY, {"unplaced": Decimal(1)}, ConversionCode.QUANTITY_IN_EXITS),
        (DELIVERY, {"held": Decimal(-10)}, ConversionCode.SHORT_DELIVERY),
        (INTRADAY, {"held_as_target": Decimal(-1)}, ConversionCode.OPPOSITE_HELD),
        (INTRADAY, {"is_square_off": True}, ConversionCode.AFTER_SQUARE_OFF),
        (CARRY, {"kind": InstrumentKind.FUTURE, "is_near_delivery": True}, ConversionCode.NEAR_DELIVERY),
        (DELIVERY, {"available": Decimal("799.99")}, ConversionCode.INSUFFICIENT_FUNDS),
    ],
)
def test_conversion_is_refused_with_its_code(
    conversion: Conversion, differences: dict[str, Any], expected: ConversionCode
) -> None:
    assert code(conversion, **differences) is expected


def test_conversion_that_frees_margin_needs_none() -> None:
    assert added_margin(INTRADAY, InstrumentKind.EQUITY, Decimal(100)) == -800
    assert code(INTRADAY, available=Decimal(-50)) is None


@pytest.mark.parametrize(
    ("order", "quantity"),
    [
        (working("4"), 4),
        (working("4", filled_quantity=Decimal(1)), 3),
        (working("4", Side.BUY), 0),
        (working("4", external=True), 4),
        (working("4", pending_change=OrderChange(quantity=Decimal(6))), 6),
        (working("4", pending_change=OrderChange(quantity=Decimal(2))), 4),
        (working("4", pending=PendingRequest.PENDING_CANCEL), 4),
    ],
)
def test_every_order_that_may_reduce_the_position_keeps_its_quantity(order: Order, quantity: int) -> None:
    assert exiting(Decimal(10), [order]) == quantity
    part = replace(DELIVERY, quantity=Decimal(10 - quantity))
    assert code(part, working=(order,)) is None


def excess(source: int, target: int) -> Excess:
    return Excess(Decimal(source), Decimal(target))


@pytest.mark.parametrize(
    ("quantity", "before", "now", "expected"),
    [
        (4, excess(0, 0), excess(-4, 4), True),
        (4, excess(0, 0), excess(0, 0), False),
        (4, excess(7, -2), excess(3, 2), True),  # what differed before is no sign of a conversion
        (4, excess(7, -2), excess(7, -2), False),
        (-4, excess(0, 0), excess(4, -4), True),
        (-4, excess(0, 0), excess(-4, 4), None),
        (4, excess(0, 0), excess(-4, 0), None),  # a fill that is not booked, or the target lags behind
        (4, excess(0, 0), excess(0, 4), None),
        (4, excess(0, 0), excess(-8, 8), None),
    ],
)
def test_positions_show_what_the_broker_has_done(
    quantity: int, before: Excess, now: Excess, expected: bool | None
) -> None:
    assert is_converted(Decimal(quantity), before, now) is expected


def test_excess_leaves_out_fills_that_are_not_booked_yet() -> None:
    intraday, delivery = (item_of(SHARE, each) for each in (Product.INTRADAY, Product.DELIVERY))
    figures = BookFigures(
        FakeClock()(),
        ours={intraday: OwnFigure(Decimal(10))},
        theirs={intraday: BrokerFigure(Decimal(13)), delivery: BrokerFigure(Decimal(2))},
        unbooked={intraday: Decimal(3)},
    )
    assert excess_in(figures, SHARE, Product.INTRADAY, Product.DELIVERY) == excess(0, 2)
