from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from algosat.domain.orders import Side
from algosat.domain.positions import Position, fill

FLAT = Position("paper", "", "ALPHA-EQ", "intraday")
FILLS = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.integers(1, 500).map(Decimal),
        st.decimals(min_value=Decimal("0.05"), max_value=Decimal(5000), places=2),
    ),
    max_size=30,
)


def after(*fills: tuple[Side, int, str]) -> Position:
    position = FLAT
    for side, quantity, price in fills:
        position = fill(position, side, Decimal(quantity), Decimal(price), Decimal(0))
    return position


def test_second_buy_averages_the_price() -> None:
    assert after((Side.BUY, 10, "100"), (Side.BUY, 10, "110")).average_price == 105


def test_partial_close_realises_its_share_of_the_profit() -> None:
    position = after((Side.BUY, 10, "100"), (Side.SELL, 4, "110"))
    assert (position.quantity, position.realised, position.average_price) == (
        Decimal(6),
        Decimal(40),
        Decimal(100),
    )


def test_short_bought_back_lower_realises_a_profit() -> None:
    position = after((Side.SELL, 10, "100"), (Side.BUY, 10, "90"))
    assert (position.quantity, position.cost, position.realised) == (Decimal(0), Decimal(0), Decimal(100))


def test_flip_realises_the_old_side_and_opens_the_new_at_the_fill() -> None:
    position = after((Side.BUY, 10, "100"), (Side.SELL, 15, "120"))
    assert (position.quantity, position.average_price, position.realised) == (
        Decimal(-5),
        Decimal(120),
        Decimal(200),
    )


def test_unrealised_profit_is_that_of_closing_at_the_last_price() -> None:
    assert after((Side.SELL, 10, "100")).unrealised(Decimal(95)) == 50


@given(FILLS)
def test_cash_is_conserved_to_the_last_decimal(fills: list[tuple[Side, Decimal, Decimal]]) -> None:
    position, paid = FLAT, Decimal(0)
    for side, quantity, price in fills:
        position = fill(position, side, quantity, price, Decimal("0.01"))
        paid += side.sign * quantity * price
    assert position.cost - position.realised == paid
    assert position.fees == Decimal("0.01") * len(fills)


@given(FILLS)
def test_quantity_is_the_sum_of_the_fills(fills: list[tuple[Side, Decimal, Decimal]]) -> None:
    position = FLAT
    for side, quantity, price in fills:
        position = fill(position, side, quantity, price, Decimal(0))
    assert position.quantity == sum((side.sign * quantity for side, quantity, _ in fills), Decimal(0))
    assert position.quantity or position.cost == 0
