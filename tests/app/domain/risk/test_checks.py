"""Each risk check by itself: what it denies, what passes, and what does not apply to reduce-only orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algosat.brokers.paper.capabilities import CAPABILITIES
from algosat.domain.arming import Arming
from algosat.domain.instruments import Instrument, InstrumentKind, Quote, SettlementMethod
from algosat.domain.market_phases import Phase
from algosat.domain.orders import OrderTerms, OrderType, Product, Side, TradingSession, Validity
from algosat.domain.risk import (
    CHECKS,
    Denial,
    DenialCode,
    ExposureLine,
    RiskScope,
    RiskSnapshot,
    first_denial,
)
from algosat.domain.risk.limits import Limits

NOW = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)
D = Decimal
LIMITS = Limits(
    price_band_percent=D(5),
    max_order_quantity=D(1000),
    max_order_value=D(100_000),
    max_position_value=D(200_000),
    max_gross_exposure=D(300_000),
    max_order_lots=10,
    max_position_margin=D(50_000),
    max_gross_margin=D(80_000),
    option_writing=False,
    max_open_orders=10,
    max_orders_per_second=5,
    max_orders_per_day=100,
    max_daily_loss=D(5000),
    duplicate_window_seconds=2.0,
    stale_quote_seconds=10.0,
    allowed_symbols=(),
)
SHARE = Instrument("ALPHA-EQ", "Alpha", InstrumentKind.EQUITY, "equity", D("0.05"), D(1), D(500))
QUOTE = Quote(
    "ALPHA-EQ",
    NOW,
    D(100),
    D("99.95"),
    D("100.05"),
    D(500),
    D(500),
    D(9000),
    D(100),
    D(101),
    D(99),
    D(90),
    D(110),
)
LINE = ExposureLine("", "ALPHA-EQ", Product.DELIVERY, InstrumentKind.EQUITY, last=D(100), price=D(100))
ACCOUNT = RiskScope(
    "the account", LIMITS, (), working_orders=0, orders_last_second=0, orders_today=0, day_result=D(0)
)
SNAPSHOT = RiskSnapshot(
    at=NOW,
    instrument=SHARE,
    quote=QUOTE,
    phase=Phase.CONTINUOUS,
    last_trading=NOW,
    opens_at=None,
    trading_day=date(2026, 11, 20),
    square_off_at=None,
    halts=(),
    position=LINE,
    scopes=(ACCOUNT,),
    available=D(1_000_000),
    is_repeat=False,
)
BUY = OrderTerms("paper", "ALPHA-EQ", Side.BUY, D(10), OrderType.LIMIT, limit_price=D(100))
MARKET = replace(BUY, type=OrderType.MARKET, limit_price=None, protection_price=D(101))
STOP = replace(MARKET, type=OrderType.STOP, trigger_price=D(102), protection_price=D(103))
STOP_LIMIT = replace(BUY, type=OrderType.STOP_LIMIT, trigger_price=D(102), limit_price=D(103))
FUTURE = Instrument("ALPHA-FUT", "Alpha", InstrumentKind.FUTURE, "derivatives", D("0.05"), D(10), D(500))
BUY_FUTURE = replace(BUY, symbol="ALPHA-FUT", product=Product.CARRY, quantity=D(100))
IN_FUTURE = replace(LINE, symbol="ALPHA-FUT", product=Product.CARRY, kind=InstrumentKind.FUTURE)
AFTER_MARKET = replace(BUY, session=TradingSession.AFTER_MARKET)
LONG = replace(LINE, quantity=D(10), cost=D(1000))
SHORT = replace(LINE, quantity=D(-10), cost=D(-1000), product=Product.INTRADAY)
EXIT = replace(BUY, side=Side.SELL, reduce_only=True)


def snapshot_with(**differences: Any) -> RiskSnapshot:
    return replace(SNAPSHOT, **differences)


def snapshot_at(seconds: float) -> RiskSnapshot:
    """Return a snapshot of continuous trading, this many seconds after the quote."""
    later = NOW + timedelta(seconds=seconds)
    return snapshot_with(at=later, last_trading=later)


def account_with(**differences: Any) -> RiskSnapshot:
    """Return a snapshot whose account has other limits, or another count of orders or result of the day."""
    fields = {name: differences.pop(name) for name in list(differences) if name in RiskScope.__slots__}
    return snapshot_with(scopes=(replace(ACCOUNT, limits=replace(LIMITS, **differences), **fields),))


def future_with(**differences: Any) -> RiskSnapshot:
    """Return a snapshot for an order in the future, whose account has other limits."""
    return replace(account_with(**differences), instrument=FUTURE, position=IN_FUTURE)


def takes(*, position: ExposureLine = LINE, **capabilities: Any) -> RiskSnapshot:
    """Return a snapshot whose broker can do less than the paper broker."""
    return snapshot_with(position=position, capabilities=replace(CAPABILITIES, **capabilities))


def code(terms: OrderTerms, snapshot: RiskSnapshot) -> DenialCode | None:
    denial = first_denial(terms, snapshot)
    return denial.code if denial else None


@pytest.mark.parametrize("terms", [BUY, MARKET, STOP, STOP_LIMIT], ids=lambda terms: terms.type.value)
def test_valid_order_passes(terms: OrderTerms) -> None:
    assert first_denial(terms, SNAPSHOT) is None


def test_every_code_has_a_help_text() -> None:
    assert all(each.help_text.endswith(".") for each in DenialCode)


def test_checks_are_distinct() -> None:
    assert len(CHECKS) == len(set(CHECKS)) > 25


# The day after the snapshot's
DELIVERED = replace(SHARE, expiry=date(2026, 11, 21), settlement=SettlementMethod.PHYSICAL)

CASES: list[tuple[DenialCode, OrderTerms, RiskSnapshot]] = [
    (DenialCode.HALTED, BUY, snapshot_with(halts=("a breach (all)",))),
    (DenialCode.ACCOUNT_NOT_ARMED, BUY, snapshot_with(arming=Arming.EXITS_ONLY)),
    (DenialCode.BEING_CLOSED, BUY, snapshot_with(closed_by="c1", position=LONG)),
    (DenialCode.HELD_BACK, BUY, snapshot_with(awaits_outcome=True)),
    (DenialCode.EXTERNAL_ENTRY, replace(BUY, strategy="external"), snapshot_with(position=LONG)),
    (DenialCode.SYMBOL_NOT_ALLOWED, BUY, account_with(allowed_symbols=("BRAVO-EQ",))),
    (DenialCode.CONTRACT_EXPIRED, BUY, snapshot_with(instrument=replace(SHARE, expiry=date(2026, 11, 19)))),
    (DenialCode.NEAR_DELIVERY, BUY, snapshot_with(instrument=DELIVERED)),
    (DenialCode.PRODUCT_NOT_ALLOWED, replace(BUY, product=Product.CARRY), SNAPSHOT),
    (
        DenialCode.PRODUCT_NOT_ALLOWED,
        replace(BUY, product=Product.INTRADAY, validity=Validity.GTC),
        SNAPSHOT,
    ),
    (DenialCode.NOT_SUPPORTED, STOP_LIMIT, takes(order_types=frozenset({OrderType.LIMIT}))),
    (DenialCode.NOT_SUPPORTED, replace(BUY, validity=Validity.IOC), takes(validities=frozenset())),
    (DenialCode.NOT_SUPPORTED, EXIT, takes(products=frozenset({Product.CARRY}), position=LONG)),
    (DenialCode.MARKET_CLOSED, BUY, snapshot_with(phase=Phase.CLOSED)),
    (DenialCode.MARKET_CLOSED, MARKET, snapshot_with(phase=Phase.PRE_OPEN_LIMIT)),
    (DenialCode.MARKET_CLOSED, replace(BUY, validity=Validity.IOC), snapshot_with(phase=Phase.AUCTION)),
    (DenialCode.MARKET_OPEN, AFTER_MARKET, SNAPSHOT),
    (DenialCode.MARKET_OPEN, AFTER_MARKET, snapshot_with(phase=Phase.BUFFER)),
    (DenialCode.CALENDAR_UNKNOWN, AFTER_MARKET, snapshot_with(phase=Phase.CLOSED)),
    (DenialCode.AFTER_SQUARE_OFF, replace(BUY, product=Product.INTRADAY), snapshot_with(square_off_at=NOW)),
    (DenialCode.INVALID_TERMS, replace(BUY, limit_price=None), SNAPSHOT),
    (DenialCode.INVALID_TERMS, replace(BUY, trigger_price=D(101)), SNAPSHOT),
    (DenialCode.INVALID_TERMS, replace(MARKET, limit_price=D(100)), SNAPSHOT),
    (DenialCode.INVALID_TERMS, replace(MARKET, protection_price=None), SNAPSHOT),
    (DenialCode.INVALID_TERMS, replace(STOP, trigger_price=None), SNAPSHOT),
    (DenialCode.INVALID_TERMS, replace(STOP_LIMIT, limit_price=D("101.95")), SNAPSHOT),
    (DenialCode.OFF_LOT, replace(BUY, quantity=D("10.5")), SNAPSHOT),
    (DenialCode.OFF_LOT, replace(BUY, quantity=D(0)), SNAPSHOT),
    (DenialCode.OFF_LOT, replace(BUY, quantity=D(-10)), SNAPSHOT),
    (DenialCode.BELOW_MINIMUM, BUY, snapshot_with(instrument=replace(SHARE, minimum_quantity=D(11)))),
    (DenialCode.BELOW_MINIMUM, BUY, snapshot_with(instrument=replace(SHARE, minimum_notional=D(1001)))),
    (
        DenialCode.BELOW_MINIMUM,
        EXIT,
        snapshot_with(position=LONG, instrument=replace(SHARE, minimum_quantity=D(11))),
    ),
    (DenialCode.ABOVE_FREEZE_QUANTITY, replace(BUY, quantity=D(501)), SNAPSHOT),
    (DenialCode.OFF_TICK, replace(BUY, limit_price=D("100.01")), SNAPSHOT),
    (DenialCode.OFF_TICK, replace(BUY, limit_price=D(-5)), SNAPSHOT),
    (DenialCode.OFF_TICK, replace(STOP, trigger_price=D("102.01")), SNAPSHOT),
    (DenialCode.STALE_QUOTE, BUY, snapshot_at(10.1)),
    # If the clock was set back, an old price would look fresh.
    (DenialCode.STALE_QUOTE, BUY, snapshot_with(at=NOW - timedelta(seconds=10.1))),
    (DenialCode.OUTSIDE_CIRCUIT, replace(BUY, limit_price=D("110.05")), SNAPSHOT),
    (DenialCode.OUTSIDE_PRICE_BAND, replace(BUY, limit_price=D("105.05")), SNAPSHOT),
    (DenialCode.OUTSIDE_PRICE_BAND, replace(BUY, limit_price=D("94.95")), SNAPSHOT),
    (DenialCode.TRIGGER_ALREADY_PASSED, replace(STOP, trigger_price=D(100)), SNAPSHOT),
    (DenialCode.NOT_REDUCING, EXIT, SNAPSHOT),
    (DenialCode.NOT_REDUCING, replace(EXIT, side=Side.BUY), snapshot_with(position=LONG)),
    (DenialCode.MORE_THAN_HELD, replace(EXIT, quantity=D(11)), snapshot_with(position=LONG)),
    (DenialCode.MORE_THAN_HELD, EXIT, snapshot_with(position=replace(LONG, working_sells=D(1)))),
    (DenialCode.NO_HOLDINGS, replace(BUY, side=Side.SELL), SNAPSHOT),
    (
        DenialCode.NO_HOLDINGS,
        replace(BUY, side=Side.SELL),
        snapshot_with(position=replace(LONG, working_sells=D(1))),
    ),
    (DenialCode.DUPLICATE, BUY, snapshot_with(is_repeat=True)),
    (DenialCode.ORDER_QUANTITY, replace(BUY, quantity=D(11)), account_with(max_order_quantity=D(10))),
    (DenialCode.ORDER_VALUE, BUY, account_with(max_order_value=D("999.99"))),
    (DenialCode.ORDER_VALUE, replace(BUY, limit_price=D(99)), account_with(max_order_value=D("999.99"))),
    (DenialCode.ORDERS_PER_SECOND, BUY, account_with(orders_last_second=5)),
    (DenialCode.ORDERS_PER_DAY, BUY, account_with(orders_today=100)),
    (DenialCode.OPEN_ORDERS, BUY, account_with(working_orders=10)),
    (DenialCode.POSITION_VALUE, BUY, account_with(max_position_value=D("999.99"))),
    (DenialCode.GROSS_EXPOSURE, BUY, account_with(max_gross_exposure=D("999.99"))),
    (DenialCode.ORDER_LOTS, BUY_FUTURE, future_with(max_order_lots=9)),
    (DenialCode.POSITION_MARGIN, BUY_FUTURE, future_with(max_position_margin=D("1999.99"))),
    (DenialCode.GROSS_MARGIN, BUY_FUTURE, future_with(max_gross_margin=D("1999.99"))),
    (
        DenialCode.GROSS_MARGIN,
        BUY_FUTURE,
        future_with(max_gross_margin=D(2199), lines=(replace(IN_FUTURE, quantity=D(10)),)),
    ),
    (DenialCode.DAILY_LOSS, BUY, account_with(day_result=D(-5000))),
    (DenialCode.INSUFFICIENT_FUNDS, BUY, snapshot_with(available=D("999.99"))),
]


@pytest.mark.parametrize(("wanted", "terms", "snapshot"), CASES, ids=lambda each: getattr(each, "value", ""))
def test_order_that_fails_a_check_is_denied_with_its_code(
    wanted: DenialCode, terms: OrderTerms, snapshot: RiskSnapshot
) -> None:
    assert code(terms, snapshot) == wanted


def test_every_code_of_the_checks_has_a_case() -> None:
    not_from_checks = {
        DenialCode.UNKNOWN_SYMBOL,
        DenialCode.NO_QUOTE,
        DenialCode.CALENDAR_UNKNOWN,
        DenialCode.BASKET_DENIED,
    }
    assert {each for each, _, _ in CASES} | not_from_checks == set(DenialCode)


def test_order_exactly_at_the_limits_passes() -> None:
    exact = account_with(
        max_order_quantity=D(10),
        max_order_value=D(1000),
        max_position_value=D(1000),
        max_gross_exposure=D(1000),
        max_open_orders=1,
        max_orders_per_second=1,
        max_orders_per_day=1,
        max_daily_loss=D(1),
    )
    later = NOW + timedelta(seconds=10)
    assert first_denial(BUY, replace(exact, available=D(1000), at=later, last_trading=later)) is None


def test_order_in_a_future_exactly_at_the_limits_passes() -> None:
    exact = future_with(max_order_lots=10, max_position_margin=D(2000), max_gross_margin=D(2000))
    assert first_denial(BUY_FUTURE, exact) is None


def test_limits_of_quantity_and_value_are_for_shares() -> None:
    one = D(1)
    shares = {"max_order_quantity": one, "max_order_value": one, "max_position_value": one}
    assert first_denial(BUY_FUTURE, future_with(**shares, max_gross_exposure=one)) is None


def test_limits_of_lots_and_margin_are_for_futures_and_options() -> None:
    tight = account_with(max_order_lots=1, max_position_margin=D(1), max_gross_margin=D(1))
    assert first_denial(BUY, tight) is None


def test_shares_and_futures_do_not_use_up_each_others_limit() -> None:
    shares, future = replace(LINE, quantity=D(1000)), replace(IN_FUTURE, quantity=D(1000))
    full = {"max_gross_exposure": D(100_000), "max_gross_margin": D(20_000)}
    assert code(BUY, account_with(**full, lines=(shares,))) == DenialCode.GROSS_EXPOSURE
    assert code(BUY_FUTURE, future_with(**full, lines=(future,))) == DenialCode.GROSS_MARGIN
    assert first_denial(BUY, account_with(**full, lines=(future,))) is None
    assert first_denial(BUY_FUTURE, future_with(**full, lines=(shares,))) is None


def test_limits_of_the_strategy_apply_besides_the_accounts() -> None:
    tight = replace(ACCOUNT, name="strategy trend", limits=replace(LIMITS, max_order_value=D(500)))
    denial = first_denial(BUY, snapshot_with(scopes=(ACCOUNT, tight)))
    assert denial == Denial(DenialCode.ORDER_VALUE, "1000.00 exceeds 500 for strategy trend")


ENTRY_DENIED: list[Callable[[], RiskSnapshot]] = [
    lambda: snapshot_with(halts=("stop (all)",), position=LONG),
    lambda: replace(account_with(day_result=D(-9999)), position=LONG),
    lambda: replace(account_with(working_orders=99, orders_last_second=99, orders_today=999), position=LONG),
    lambda: replace(account_with(max_order_value=D(1), max_order_quantity=D(1)), position=LONG),
    lambda: replace(account_with(max_position_value=D(1), max_gross_exposure=D(1)), position=LONG),
    lambda: replace(account_with(allowed_symbols=("BRAVO-EQ",)), position=LONG),
    lambda: snapshot_with(available=D(-100), position=LONG),
    lambda: snapshot_with(is_repeat=True, position=LONG),
]


@pytest.mark.parametrize("denying", ENTRY_DENIED)
def test_reduce_only_order_passes_where_an_entry_is_denied(denying: Callable[[], RiskSnapshot]) -> None:
    assert code(BUY, denying()) is not None
    assert first_denial(EXIT, denying()) is None


def test_reduce_only_order_needs_an_open_market() -> None:
    assert code(EXIT, snapshot_with(position=LONG, phase=Phase.CLOSED)) == DenialCode.MARKET_CLOSED


def test_exit_beyond_the_circuit_of_a_fresh_quote_is_denied_and_beyond_that_of_an_old_one_passes() -> None:
    exit_order = replace(EXIT, limit_price=D("110.05"))
    assert code(exit_order, snapshot_with(position=LONG)) == DenialCode.OUTSIDE_CIRCUIT
    later, next_day = NOW + timedelta(minutes=1), NOW + timedelta(days=1)
    assert first_denial(exit_order, snapshot_with(position=LONG, at=later, last_trading=later)) is None
    # Before the market opens, a quote of the day before is fresh, but its circuit limits are not in force.
    assert first_denial(exit_order, snapshot_with(position=LONG, at=next_day, last_trading=NOW)) is None


def test_short_position_is_reduced_by_a_buy_only() -> None:
    exit_short = replace(EXIT, side=Side.BUY, product=Product.INTRADAY)
    assert first_denial(exit_short, snapshot_with(position=SHORT)) is None
    assert code(replace(exit_short, side=Side.SELL), snapshot_with(position=SHORT)) == DenialCode.NOT_REDUCING


def test_exit_passes_the_daily_loss_limit_and_a_flip_does_not() -> None:
    snapshot = replace(account_with(day_result=D(-9999)), position=replace(LONG, product=Product.INTRADAY))
    plain = replace(BUY, side=Side.SELL, product=Product.INTRADAY)
    assert first_denial(plain, snapshot) is None
    assert code(replace(plain, quantity=D(20)), snapshot) == DenialCode.DAILY_LOSS


def test_working_orders_count_in_their_worst_sequence_of_fills() -> None:
    busy = replace(LINE, quantity=D(5), working_buys=D(5), working_sells=D(5))
    scope = replace(ACCOUNT, lines=(busy,), limits=replace(LIMITS, max_position_value=D(1999)))
    assert code(BUY, snapshot_with(position=busy, scopes=(scope,))) == DenialCode.POSITION_VALUE
    assert first_denial(replace(BUY, quantity=D(9)), snapshot_with(position=busy, scopes=(scope,))) is None


def test_price_of_a_cheap_option_may_be_as_far_away_as_the_protection_of_a_market_order() -> None:
    cheap = replace(LINE, product=Product.CARRY, kind=InstrumentKind.OPTION, last=D(100), price=D(100))
    option = snapshot_with(instrument=replace(SHARE, kind=InstrumentKind.OPTION), position=cheap)
    strict = replace(option, scopes=(replace(ACCOUNT, limits=replace(LIMITS, price_band_percent=D(1))),))
    buy = replace(BUY, product=Product.CARRY)
    assert first_denial(replace(buy, limit_price=D(105)), strict) is None
    assert code(replace(buy, limit_price=D("105.05")), strict) == DenialCode.OUTSIDE_PRICE_BAND


def test_smallest_order_is_valued_at_the_price_it_is_sent_with() -> None:
    exact = snapshot_with(instrument=replace(SHARE, minimum_notional=D(1000)))
    assert code(BUY, exact) is None
    assert code(replace(BUY, quantity=D(9)), exact) is DenialCode.BELOW_MINIMUM


def test_options_can_be_sold_only_up_to_the_position() -> None:
    option = replace(SHARE, kind=InstrumentKind.OPTION)
    writing = replace(BUY, side=Side.SELL, product=Product.CARRY)
    held = replace(LONG, product=Product.CARRY, kind=InstrumentKind.OPTION)
    assert code(writing, snapshot_with(instrument=option)) == DenialCode.PRODUCT_NOT_ALLOWED
    assert first_denial(writing, snapshot_with(instrument=option, position=held)) is None


@given(
    held=st.integers(-50, 50),
    buys=st.integers(0, 50),
    sells=st.integers(0, 50),
    side=st.sampled_from(Side),
    quantity=st.integers(1, 60),
)
def test_reduce_only_orders_never_turn_or_enlarge_a_position(
    held: int, buys: int, sells: int, side: Side, quantity: int
) -> None:
    position = replace(
        LINE,
        product=Product.INTRADAY,
        quantity=D(held),
        working_buys=D(buys if held < 0 else 0),
        working_sells=D(sells if held > 0 else 0),
    )
    terms = replace(EXIT, side=side, quantity=D(quantity), product=Product.INTRADAY)
    if first_denial(terms, snapshot_with(position=position)) is None:
        exits = position.working_buys if held < 0 else position.working_sells
        after = D(held) + side.sign * (D(quantity) + exits)
        assert after * held >= 0
        assert abs(after) < abs(held)


@pytest.mark.parametrize(
    ("quoted_before", "expected"),
    [
        (timedelta(0), None),  # the last price of continuous trading
        (timedelta(seconds=10), None),
        (timedelta(seconds=10.1), DenialCode.STALE_QUOTE),  # the feed was silent before the auction
        (timedelta(minutes=-6), None),  # a price of the auction itself
        (timedelta(minutes=-6, seconds=-10.1), DenialCode.STALE_QUOTE),  # dated in the future
    ],
)
def test_quote_does_not_age_while_nothing_trades(
    quoted_before: timedelta, expected: DenialCode | None
) -> None:
    quote = replace(QUOTE, at=NOW - quoted_before)
    auction = snapshot_with(at=NOW + timedelta(minutes=6), phase=Phase.AUCTION, quote=quote)
    assert code(BUY, auction) == expected


def test_after_market_order_is_judged_without_the_age_of_the_price_and_the_circuit_limits() -> None:
    """The day on which it is sent has limits and prices of its own; the band around the last price holds."""
    evening = NOW + timedelta(hours=5)
    closed = snapshot_with(
        at=evening,
        phase=Phase.CLOSED,
        last_trading=NOW + timedelta(minutes=1),
        opens_at=NOW + timedelta(hours=22),
        quote=replace(QUOTE, upper_circuit=D(101)),
    )
    assert first_denial(replace(AFTER_MARKET, limit_price=D(104)), closed) is None
    assert code(replace(AFTER_MARKET, limit_price=D(106)), closed) == DenialCode.OUTSIDE_PRICE_BAND


def test_contract_that_expires_before_the_next_opening_takes_no_after_market_order() -> None:
    last_day = replace(FUTURE, expiry=date(2026, 11, 20))
    closed = snapshot_with(
        instrument=last_day, position=IN_FUTURE, phase=Phase.CLOSED, opens_at=NOW + timedelta(hours=22)
    )
    order = replace(BUY_FUTURE, quantity=D(10), session=TradingSession.AFTER_MARKET)
    assert code(order, closed) == DenialCode.CONTRACT_EXPIRED
    assert code(order, replace(closed, opens_at=NOW + timedelta(hours=2))) is None


def test_exit_passes_on_an_account_that_was_armed_once_but_on_no_other_live_one() -> None:
    held = {"position": LONG}
    assert code(EXIT, snapshot_with(arming=Arming.EXITS_ONLY, **held)) is None
    assert code(EXIT, snapshot_with(arming=Arming.READ_ONLY, **held)) == DenialCode.ACCOUNT_NOT_ARMED


def test_live_account_starts_with_a_hundredth_of_the_limits() -> None:
    first = LIMITS.first()
    assert (first.max_order_value, first.max_daily_loss) == (D(1000), D(50))
    assert (first.max_orders_per_day, first.max_order_lots, first.max_open_orders) == (1, 1, 1)
    assert not replace(LIMITS, option_writing=True).first().option_writing
    assert (first.price_band_percent, first.stale_quote_seconds) == (
        LIMITS.price_band_percent,
        LIMITS.stale_quote_seconds,
    )
