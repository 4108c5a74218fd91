from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algosat.domain import fee_table
from algosat.domain.fees import Charges, Turnover, charges, charges_of_fill
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import (
    EventKind,
    OrderEvent,
    OrderTerms,
    OrderType,
    Product,
    Side,
    Trade,
    apply,
    create,
)
from algosat.errors import FeesUnknown

TABLE = fee_table.packaged()
DAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 5, tzinfo=UTC)
EQUITY, FUTURE, OPTION = InstrumentKind.EQUITY, InstrumentKind.FUTURE, InstrumentKind.OPTION


def round_trip(quantity: str, bought_at: str, sold_at: str) -> Turnover:
    bought, sold = Decimal(quantity) * Decimal(bought_at), Decimal(quantity) * Decimal(sold_at)
    return Turnover(bought, sold, (bought, sold))


def amounts(*values: str) -> Charges:
    return Charges(*map(Decimal, values))


@pytest.mark.parametrize(
    ("kind", "product", "turnover", "expected", "total"),
    [
        (
            EQUITY,
            Product.INTRADAY,
            round_trip("400", "1000", "1100"),
            amounts("40.00", "110", "25.79", "0.84", "12.00", "11.99"),
            "200.62",
        ),
        (
            EQUITY,
            Product.DELIVERY,
            round_trip("400", "1000", "1100"),
            amounts("0", "840", "25.79", "0.84", "60.00", "4.79"),
            "931.42",
        ),
        (
            FUTURE,
            Product.CARRY,
            round_trip("65", "25000", "25100"),
            amounts("40", "816", "59.59", "3.26", "32.50", "18.51"),
            "969.86",
        ),
        (
            OPTION,
            Product.CARRY,
            round_trip("65", "100", "110"),
            amounts("40", "11", "4.85", "0.01", "0.20", "8.07"),
            "64.13",
        ),
    ],
    ids=["intraday", "delivery", "future", "option"],
)
def test_charges_equal_the_worked_examples_to_the_paisa(
    kind: InstrumentKind, product: Product, turnover: Turnover, expected: Charges, total: str
) -> None:
    found = charges(TABLE, kind, product, turnover, DAY)
    assert found == expected
    assert found.total == Decimal(total)


def test_rates_change_on_their_dates() -> None:
    turnover = round_trip("65", "25000", "25100")
    before = charges(TABLE, FUTURE, Product.CARRY, turnover, date(2026, 3, 31))
    after = charges(TABLE, FUTURE, Product.CARRY, turnover, date(2026, 4, 1))
    assert (before.stt, after.stt) == (Decimal(326), Decimal(816))
    earlier = charges(TABLE, FUTURE, Product.CARRY, turnover, date(2026, 2, 28))
    assert (earlier.exchange, before.exchange) == (Decimal("56.34"), Decimal("59.59"))


def test_date_before_the_table_is_refused() -> None:
    with pytest.raises(FeesUnknown, match="known from 2024-10-01"):
        charges(TABLE, EQUITY, Product.DELIVERY, round_trip("1", "10", "10"), date(2024, 9, 30))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"broker": "nobody"}, "no brokerage"), ({"exchange": "mcx"}, "no transaction charge")],
)
def test_unknown_broker_or_exchange_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(FeesUnknown, match=message):
        charges(TABLE, EQUITY, Product.DELIVERY, round_trip("1", "10", "10"), DAY, **arguments)


def test_shares_under_product_carry_are_refused() -> None:
    with pytest.raises(FeesUnknown, match="delivery or intraday"):
        charges(TABLE, EQUITY, Product.CARRY, round_trip("1", "10", "10"), DAY)


def test_brokerage_is_a_fraction_of_the_value_up_to_a_cap() -> None:
    small = charges(TABLE, EQUITY, Product.INTRADAY, Turnover.of_order(Side.BUY, Decimal(10_000)), DAY)
    large = charges(TABLE, EQUITY, Product.INTRADAY, Turnover.of_order(Side.BUY, Decimal(10_000_000)), DAY)
    assert (small.brokerage, large.brokerage) == (Decimal("3.00"), Decimal("20.00"))


def test_futures_on_bse_have_no_transaction_charge() -> None:
    found = charges(TABLE, FUTURE, Product.CARRY, round_trip("65", "100", "100"), DAY, exchange="bse")
    assert found.exchange == 0


def test_warning_starts_thirty_days_before_the_review_ends() -> None:
    assert TABLE.warning(date(2027, 3, 1)) is None
    assert "2027-03-31" in (TABLE.warning(date(2027, 3, 2)) or "")


@given(
    side=st.sampled_from(Side),
    kind=st.sampled_from([EQUITY, FUTURE, OPTION]),
    parts=st.lists(st.tuples(st.integers(1, 5000), st.integers(5, 500_000)), min_size=1, max_size=8),
)
def test_charges_of_fills_add_up_to_those_of_the_order(
    side: Side, kind: InstrumentKind, parts: list[tuple[int, int]]
) -> None:
    quantity = Decimal(sum(quantity for quantity, _ in parts))
    terms = OrderTerms("paper", "ALPHA-EQ", side, quantity, OrderType.MARKET, product=Product.INTRADAY)
    order = apply(create("a00000000000000001", terms, NOW), OrderEvent(EventKind.SUBMITTING, NOW))
    booked = Decimal(0)
    for number, (part, paise) in enumerate(parts):
        trade = Trade(f"T{number}", Decimal(part), Decimal(paise) / 100, NOW)
        booked += charges_of_fill(TABLE, kind, order, trade, DAY).total
        order = apply(order, OrderEvent(EventKind.FILLED, NOW, trade=trade))
    whole = charges(TABLE, kind, Product.INTRADAY, Turnover.of_order(side, order.filled_value), DAY)
    assert booked == whole.total
