from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from algosat.domain.exits import exit_terms, is_left
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import OrderType, Product, Side
from algosat.domain.risk import ExposureLine

LINE = ExposureLine("trend", "ALPHA-EQ", Product.INTRADAY, InstrumentKind.EQUITY, Decimal(100), Decimal(100))
LONG, SHORT = replace(LINE, quantity=Decimal(10)), replace(LINE, quantity=Decimal(-10))


def test_exit_is_a_reduce_only_market_order_on_the_other_side() -> None:
    sell, buy = exit_terms("paper", LONG), exit_terms("paper", SHORT)
    assert [(each.side, each.quantity) for each in (sell, buy)] == [
        (Side.SELL, Decimal(10)),
        (Side.BUY, Decimal(10)),
    ]
    assert {(each.type, each.product, each.reduce_only, each.strategy) for each in (sell, buy)} == {
        (OrderType.MARKET, Product.INTRADAY, True, "trend")
    }


def test_working_exits_are_left_out() -> None:
    partly, fully = (replace(LONG, working_sells=Decimal(quantity)) for quantity in (4, 10))
    assert exit_terms("paper", partly).quantity == 6
    assert [is_left(line) for line in (LINE, partly, fully)] == [False, True, False]
