"""The margin of written options."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algosat.domain.instruments import InstrumentKind, OptionType
from algosat.domain.option_margin import OptionRisk, margin_of_written
from algosat.domain.option_pricing import black76
from algosat.domain.orders import OrderTerms, OrderType, Product, Side
from algosat.domain.risk import ExposureLine
from tests.app.thorough import examples

CALL, PUT = OptionType.CALL, OptionType.PUT
AT_THE_MONEY = OptionRisk(CALL, Decimal(24800), Decimal(24800), 30, is_index=True)
PREMIUM = Decimal("398.00")  # what 14 % a year gives for 30 days

quantities = st.integers(0, 1000).map(Decimal)
risks = st.builds(
    OptionRisk,
    option_type=st.sampled_from(OptionType),
    strike=st.integers(500, 2000).map(Decimal),
    underlying=st.just(Decimal(1000)),
    days=st.integers(-1, 90),
    is_index=st.booleans(),
)


@st.composite
def lines(draw: st.DrawFn) -> ExposureLine:
    """Draw a line of an option whose premium some volatility explains."""
    option = draw(risks)
    years = (max(option.days, 0) + 1) / 365
    fair = black76(option.option_type, 1000.0, float(option.strike), years, draw(st.floats(0.05, 0.8)))
    last = max(Decimal(fair).quantize(Decimal("0.05")), Decimal("0.05"))
    return ExposureLine(
        "", "X", Product.CARRY, InstrumentKind.OPTION, last, last, draw(quantities) - 500, option=option
    )


def order(side: Side, quantity: Decimal) -> OrderTerms:
    return OrderTerms("paper", "X", side, quantity, OrderType.MARKET, product=Product.CARRY)


def test_index_option_at_the_money_needs_about_an_eighth_of_its_notional() -> None:
    # A rise by 9.3 % with more volatility costs about 8.0 % of the index; 2 % of it are the exposure margin.
    margin = margin_of_written(AT_THE_MONEY, PREMIUM)
    assert Decimal("0.095") < margin / AT_THE_MONEY.underlying < Decimal("0.125")


@pytest.mark.parametrize(
    ("option", "share"),
    [
        # Far out of the money: the minimum and the exposure margin, higher on the last day of an index.
        (OptionRisk(CALL, Decimal(60000), Decimal(24800), 30, is_index=True), "0.05"),
        (OptionRisk(CALL, Decimal(60000), Decimal(24800), 0, is_index=True), "0.07"),
        (OptionRisk(PUT, Decimal(500), Decimal(1520), 30, is_index=False), "0.125"),
        (OptionRisk(PUT, Decimal(500), Decimal(1520), 0, is_index=False), "0.125"),
    ],
)
def test_margin_is_never_below_the_minimum(option: OptionRisk, share: str) -> None:
    assert margin_of_written(option, Decimal("0.05")) == option.underlying * Decimal(share)


def test_option_in_the_money_needs_the_whole_price_scan_range() -> None:
    deep = OptionRisk(CALL, Decimal(500), Decimal(1000), 30, is_index=False)
    assert margin_of_written(deep, Decimal(500)) == pytest.approx(142 + 50, abs=1)


@given(lines(), st.sampled_from(Side), quantities.filter(bool))
@settings(max_examples=examples(100))
def test_an_order_never_lowers_the_margin(line: ExposureLine, side: Side, quantity: Decimal) -> None:
    before, after = line, line.with_order(order(side, quantity))
    assert after.margin >= before.margin
    assert after.with_order(order(side, quantity)).margin >= after.margin
    assert after.exposure >= before.exposure


@given(lines())
@settings(max_examples=examples(100))
def test_written_option_needs_the_minimum_and_a_bought_one_its_premium(line: ExposureLine) -> None:
    option = line.option
    assert option is not None
    if line.quantity >= 0:
        assert line.margin == line.exposure == line.quantity * line.last
    else:
        least = Decimal("0.05") if option.is_index else Decimal("0.125")
        assert line.margin >= -line.quantity * option.underlying * least
        assert line.exposure == -line.quantity * option.underlying


@given(lines().filter(lambda line: line.quantity < 0))
@settings(max_examples=examples(100))
def test_margin_covers_any_move_within_the_price_scan_range(line: ExposureLine) -> None:
    option = line.option
    assert option is not None
    reach = (Decimal("0.093") if option.is_index else Decimal("0.142")) * option.underlying
    intrinsic = replace(option, days=0)
    for price in (option.underlying - reach, option.underlying + reach):
        sign = 1 if intrinsic.option_type is CALL else -1
        loss = max(sign * (price - option.strike), Decimal(0)) - line.last
        assert line.margin >= -line.quantity * loss


def test_sale_of_a_held_option_needs_no_margin_of_a_writer() -> None:
    held = ExposureLine(
        "", "X", Product.CARRY, InstrumentKind.OPTION, PREMIUM, PREMIUM, Decimal(65), option=AT_THE_MONEY
    )
    assert held.with_order(order(Side.SELL, Decimal(65))).margin == held.margin == 65 * PREMIUM
    flipped = held.with_order(order(Side.SELL, Decimal(130)))
    assert flipped.margin == 65 * margin_of_written(AT_THE_MONEY, PREMIUM)
