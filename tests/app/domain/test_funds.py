from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from algosat.domain.funds import Funds, margin_of
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Product
from algosat.domain.risk import ExposureLine

LINE = ExposureLine("trend", "ALPHA-EQ", Product.INTRADAY, InstrumentKind.EQUITY, Decimal(100), Decimal(100))


def test_available_funds_are_equity_without_margin() -> None:
    funds = Funds(*map(Decimal, (1000, 50, 10, -20, 300)))
    assert (funds.cash, funds.equity, funds.available) == tuple(map(Decimal, (1040, 1020, 720)))


def test_margin_covers_positions_with_their_working_orders() -> None:
    line = replace(LINE, quantity=Decimal(10), working_buys=Decimal(5))
    assert margin_of([line]) == Decimal(300)  # a fifth of 15 at 100
