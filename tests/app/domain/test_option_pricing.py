"""Prices of options, and the volatility that a price implies."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algosat.domain.instruments import OptionType
from algosat.domain.option_pricing import black76, implied_volatility
from tests.app.thorough import examples

CALL, PUT = OptionType.CALL, OptionType.PUT
prices = st.floats(10, 50_000)
moneyness = st.floats(0.5, 2)
spans = st.floats(0.001, 1)
volatilities = st.floats(0.05, 1.5)


def test_price_at_the_money_is_that_of_the_formula() -> None:
    # 100 × (2 N(0.1) - 1): a year at 20 %
    assert black76(CALL, 100, 100, 1, 0.2) == pytest.approx(7.965567, abs=1e-6)


def test_price_of_an_example_of_a_textbook() -> None:
    # Hull, Options, Futures and Other Derivatives, Black's model: futures price 20, strike 20, four months,
    # 25 %, rate 9 %: the put is worth 1.12, discounted.
    assert black76(PUT, 20, 20, 4 / 12, 0.25) * 2.718281828 ** (-0.09 * 4 / 12) == pytest.approx(
        1.12, abs=0.005
    )


@given(prices, moneyness, spans, volatilities)
@settings(max_examples=examples(100))
def test_call_less_put_is_forward_less_strike(
    forward: float, of: float, years: float, volatility: float
) -> None:
    strike = forward * of
    call, put = (black76(each, forward, strike, years, volatility) for each in OptionType)
    assert call - put == pytest.approx(forward - strike, abs=forward * 1e-9)
    assert max(forward - strike, 0) - forward * 1e-9 <= call <= forward


@given(prices, moneyness, st.sampled_from(OptionType))
@settings(max_examples=examples(100))
def test_price_at_expiry_is_the_intrinsic_value(forward: float, of: float, option_type: OptionType) -> None:
    intrinsic = max((forward - forward * of) * (1 if option_type is CALL else -1), 0)
    for years in (0.0, -0.5):
        assert black76(option_type, forward, forward * of, years, 0.3) == pytest.approx(intrinsic)


@given(prices, st.floats(0.8, 1.25), st.floats(0.05, 1), st.floats(0.1, 1), st.sampled_from(OptionType))
@settings(max_examples=examples(100))
def test_implied_volatility_is_the_one_that_gave_the_price(
    forward: float, of: float, years: float, volatility: float, option_type: OptionType
) -> None:
    premium = black76(option_type, forward, forward * of, years, volatility)
    found = implied_volatility(option_type, premium, forward, forward * of, years)
    assert black76(option_type, forward, forward * of, years, found) == pytest.approx(
        premium, abs=forward * 1e-5
    )


@pytest.mark.parametrize("premium", [0.0, 5.0, 1e9])
def test_premium_outside_the_formula_gives_a_bound(premium: float) -> None:
    assert 0.01 <= implied_volatility(CALL, premium, 100, 90, 0.1) <= 5
