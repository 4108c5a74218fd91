from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algosat.config.settings import ChargesSettings
from algosat.domain import fee_table
from algosat.domain.contract_note import NoteLine, NoteTotals
from algosat.domain.decimals import ZERO
from algosat.domain.fees import Charges, Turnover, charges, charges_of_settlement, note_for
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


def bought_for(value: str) -> Turnover:
    return Turnover(bought=Decimal(value), orders=(Decimal(value),))


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


@pytest.mark.parametrize(
    ("kind", "product", "turnover", "expected"),
    [
        (
            EQUITY,
            Product.DELIVERY,
            round_trip("400", "1000", "1100"),
            amounts("40", "840", "31.50", "0.84", "60.00", "13.02"),
        ),
        (
            EQUITY,
            Product.INTRADAY,
            round_trip("10", "1000", "1100"),
            amounts("6.30", "3", "0.79", "0.02", "0.30", "1.28"),
        ),
        (
            OPTION,
            Product.CARRY,
            round_trip("65", "100", "110"),
            amounts("40", "11", "4.44", "0.01", "0.20", "8.00"),  # 4.43625 and 8.0010
        ),
    ],
    ids=["delivery", "intraday", "option"],
)
def test_charges_on_bse_by_the_plan_of_fyers(
    kind: InstrumentKind, product: Product, turnover: Turnover, expected: Charges
) -> None:
    assert charges(TABLE, kind, product, turnover, DAY, broker="fyers", exchange="bse") == expected


def test_plans_and_exchanges_of_the_settings_are_in_the_table() -> None:
    plans, exchanges = (ChargesSettings.model_fields[name].annotation for name in ("brokerage", "exchange"))
    assert set(get_args(plans)) - {"none"} == set(TABLE.plans)
    assert set(get_args(exchanges)) == set(TABLE.rates(EQUITY, Product.DELIVERY, DAY).exchange)


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
    small = charges(TABLE, EQUITY, Product.INTRADAY, bought_for("10000"), DAY)
    large = charges(TABLE, EQUITY, Product.INTRADAY, bought_for("10000000"), DAY)
    assert (small.brokerage, large.brokerage) == (Decimal("3.00"), Decimal("20.00"))


def test_futures_on_bse_have_no_transaction_charge() -> None:
    found = charges(TABLE, FUTURE, Product.CARRY, round_trip("65", "100", "100"), DAY, exchange="bse")
    assert found.exchange == 0


def test_warning_starts_thirty_days_before_the_review_ends() -> None:
    assert TABLE.warning(date(2027, 3, 1)) is None
    assert "2027-03-31" in (TABLE.warning(date(2027, 3, 2)) or "")


@dataclass(frozen=True)
class Executed:
    """An order and its fills, as quantities and prices in paise."""

    symbol: str
    side: Side
    product: Product
    fills: tuple[tuple[int, int], ...]

    @property
    def quantity(self) -> Decimal:
        return Decimal(sum(quantity for quantity, _ in self.fills))

    @property
    def value(self) -> Decimal:
        return sum((Decimal(quantity * paise) / 100 for quantity, paise in self.fills), ZERO)


def booked_fill_by_fill(kind: InstrumentKind, executed: Iterable[Executed]) -> list[Charges]:
    """Return what each fill is charged, when it is booked on the note of its day."""
    lines: dict[str, NoteLine] = {}
    charged: list[Charges] = []
    for number, each in enumerate(executed):
        order = create(
            f"a{number:017}",
            OrderTerms(
                "paper", each.symbol, each.side, each.quantity, OrderType.MARKET, product=each.product
            ),
            NOW,
        )
        order = apply(order, OrderEvent(EventKind.SUBMITTING, NOW))
        note = note_for(TABLE, kind, each.product, DAY, broker="zerodha", exchange="nse")
        for part, (quantity, paise) in enumerate(each.fills):
            trade = Trade(f"T{number}-{part}", Decimal(quantity), Decimal(paise) / 100, NOW)
            order = apply(order, OrderEvent(EventKind.FILLED, NOW, trade=trade))
            totals = sum(lines.values(), NoteTotals())
            before = lines.get(each.symbol, NoteLine())
            lines[each.symbol] = note.add_fill(before, order, trade)
            charged.append(note.charges_of_fill(totals, before, lines[each.symbol]))
    return charged


def total(charged: Iterable[Charges]) -> Decimal:
    return sum((each.total for each in charged), ZERO)


def order(side: Side, quantity: int, paise: int, *, product: Product = Product.DELIVERY) -> Executed:
    return Executed("ALPHA-EQ", side, product, ((quantity, paise),))


BUY, SELL = Side.BUY, Side.SELL


@pytest.mark.parametrize(("paise", "expected"), [(49_900, "59.35"), (50_100, "59.40")])
def test_hundred_orders_of_one_share_are_charged_as_one_note(paise: int, expected: str) -> None:
    assert total(booked_fill_by_fill(EQUITY, [order(BUY, 1, paise)] * 100)) == Decimal(expected)


def test_small_intraday_sales_pay_the_tax_of_their_sum() -> None:
    # Each sale of 1,000 owes 0.25: rounded by itself, no sale would pay tax.
    charged = booked_fill_by_fill(EQUITY, [order(SELL, 1, 100_000, product=Product.INTRADAY)] * 100)
    assert sum(each.stt for each in charged) == 25


def test_delivery_bought_and_sold_on_one_day_is_charged_as_intraday() -> None:
    as_delivery = booked_fill_by_fill(EQUITY, [order(BUY, 400, 100_000), order(SELL, 400, 110_000)])
    assert total(as_delivery) == Decimal("200.62")  # the worked example of an intraday round trip
    bought, sold = as_delivery
    assert bought.stt == 400
    assert (bought.brokerage, bought.stamp) == (ZERO, Decimal("60.00"))
    assert (sold.brokerage, sold.stt, sold.stamp) == (Decimal(40), Decimal(110 - 400), Decimal(12 - 60))


def test_only_the_netted_quantity_is_charged_as_intraday() -> None:
    bought, sold = booked_fill_by_fill(EQUITY, [order(BUY, 100, 100_000), order(SELL, 40, 110_000)])
    # 60 shares at 1,000 are delivered; 40 are sold at 1,100 as intraday.
    assert bought.stt + sold.stt == 60 + 11
    assert bought.stamp + sold.stamp == Decimal("9.00") + Decimal("1.20")
    assert bought.brokerage + sold.brokerage == 20 + Decimal("13.20")


def test_sale_from_holdings_is_charged_as_delivery_until_shares_are_bought_back() -> None:
    sold, bought = booked_fill_by_fill(EQUITY, [order(SELL, 50, 100_000), order(BUY, 25, 99_000)])
    assert (sold.stt, sold.brokerage) == (Decimal(50), ZERO)
    assert sold.stt + bought.stt == 31  # 25 delivered: 25; 25 netted: 6.25
    assert sold.brokerage + bought.brokerage == Decimal("15.00") + Decimal("7.43")  # of both orders in full


def test_intraday_orders_do_not_net_with_delivery() -> None:
    mixed = [order(BUY, 10, 100_000), order(SELL, 10, 100_000, product=Product.INTRADAY)]
    assert sum(each.stt for each in booked_fill_by_fill(EQUITY, mixed)) == 13  # 10 and 2.50, rounded once


def test_symbols_are_netted_apart_and_rounded_together() -> None:
    other = Executed("BRAVO-EQ", SELL, Product.DELIVERY, ((1, 40_000),))
    charged = booked_fill_by_fill(EQUITY, [order(BUY, 1, 40_000), other])
    assert [each.stt for each in charged] == [0, 1]  # 0.40 and 0.40


executed_orders = st.lists(
    st.builds(
        Executed,
        symbol=st.sampled_from(["ALPHA-EQ", "BRAVO-EQ"]),
        side=st.sampled_from(Side),
        product=st.sampled_from([Product.DELIVERY, Product.INTRADAY]),
        fills=st.lists(st.tuples(st.integers(1, 5000), st.integers(5, 500_000)), min_size=1, max_size=3).map(
            tuple
        ),
    ),
    min_size=1,
    max_size=8,
)


def note_of(kind: InstrumentKind, executed: list[Executed]) -> Charges:
    """Return the charges on the note of all these orders, computed at once."""
    totals = NoteTotals()
    for symbol in {each.symbol for each in executed}:
        mine = [each for each in executed if each.symbol == symbol]
        delivery = [each for each in mine if each.product is Product.DELIVERY and kind is EQUITY]
        quantities = [sum(each.quantity for each in delivery if each.side is side) for side in Side]
        values = [sum((each.value for each in delivery if each.side is side), ZERO) for side in Side]
        netted = min(quantities)
        bought, sold = (
            (value * (quantity - netted) / quantity).quantize(Decimal("1e-8")) if quantity else ZERO
            for value, quantity in zip(values, quantities, strict=True)
        )
        plans = [Product.DELIVERY if each in delivery and not netted else Product.INTRADAY for each in mine]
        fees = [
            TABLE.plan("zerodha", kind, plan).brokerage(each.value)
            for each, plan in zip(mine, plans, strict=True)
        ]
        totals += NoteTotals(
            sum((each.value for each in mine if each.side is BUY), ZERO),
            sum((each.value for each in mine if each.side is SELL), ZERO),
            bought,
            sold,
            sum((fee.quantize(Decimal("0.01"), ROUND_HALF_UP) for fee in fees), ZERO),
        )
    return note_for(TABLE, kind, Product.DELIVERY, DAY, broker="zerodha", exchange="nse").charges(totals)


@given(kind=st.sampled_from([EQUITY, FUTURE, OPTION]), executed=executed_orders)
def test_fills_of_a_day_add_up_to_its_note(kind: InstrumentKind, executed: list[Executed]) -> None:
    assert total(booked_fill_by_fill(kind, executed)) == note_of(kind, executed).total


@pytest.mark.parametrize(
    ("kind", "side", "price", "brokerage", "stt"),
    [
        # 65 at an intrinsic value of 246.30 are worth 16,009.50: 0.15 % is 24.01
        (InstrumentKind.OPTION, Side.SELL, "246.30", "20", "24"),
        (InstrumentKind.OPTION, Side.BUY, "246.30", "20", "0"),
        (InstrumentKind.OPTION, Side.SELL, "0", "0", "0"),
        (InstrumentKind.FUTURE, Side.SELL, "24800", "20", "0"),
        (InstrumentKind.FUTURE, Side.BUY, "10", "0.20", "0"),
    ],
)
def test_settlement_at_expiry_costs_brokerage_and_the_tax_on_exercise(
    kind: InstrumentKind, side: Side, price: str, brokerage: str, stt: str
) -> None:
    terms = OrderTerms("paper", "X", side, Decimal(65), OrderType.MARKET, product=Product.CARRY)
    order = create("a00000000000000001", terms, NOW)
    trade = Trade("settlement-1", Decimal(65), Decimal(price), NOW)
    charged = charges_of_settlement(TABLE, kind, order, trade, DAY)
    paid = Decimal(brokerage)
    gst = (paid * Decimal("0.18")).quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert charged == Charges(brokerage=paid, stt=Decimal(stt), gst=gst)


def test_tax_on_exercise_was_lower_before_april_2026() -> None:
    terms = OrderTerms("paper", "X", Side.SELL, Decimal(3000), OrderType.MARKET, product=Product.CARRY)
    trade = Trade("settlement-1", Decimal(3000), Decimal(100), NOW)
    order = create("a00000000000000001", terms, NOW)
    charged = charges_of_settlement(TABLE, InstrumentKind.OPTION, order, trade, date(2026, 3, 31))
    assert charged.stt == 375
