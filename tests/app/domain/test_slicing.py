from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from algosat.domain.slicing import largest_slice, slices
from tests.app.desks import FUTURE, instruments


def test_slices_are_whole_lots() -> None:
    future = next(each for each in instruments() if each.symbol == FUTURE)
    instrument = replace(future, freeze_quantity=Decimal(130))
    assert list(slices(Decimal(250), instrument)) == [100, 100, 50]


def test_freeze_quantity_below_one_lot_leaves_no_slice() -> None:
    future = next(each for each in instruments() if each.symbol == FUTURE)
    assert largest_slice(replace(future, freeze_quantity=Decimal(49))) == 0
