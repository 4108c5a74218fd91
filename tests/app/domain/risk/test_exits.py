"""Exits pass the gate whatever cannot be checked; entries are denied as if exits had no exception."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from algosat.domain.market_phases import Phase
from algosat.domain.orders import OrderTerms, OrderType, Product, Side
from algosat.domain.risk import Denial, DenialCode, RiskSnapshot, gate
from tests.app.domain.risk.test_checks import ACCOUNT, BUY, LIMITS, LINE, NOW, QUOTE, SHARE, SNAPSHOT

D = Decimal
DAY = timedelta(days=1)
UNLISTED = Denial(DenialCode.UNKNOWN_SYMBOL, "no instrument is known")
UNPRICED = Denial(DenialCode.NO_QUOTE, "there is no price")
UNCOVERED = Denial(DenialCode.CALENDAR_UNKNOWN, "the calendar has ended")
FUTURE_DATED, STALE, YESTERDAYS = (
    replace(QUOTE, at=NOW + span) for span in (timedelta(seconds=60), timedelta(seconds=-45), -DAY)
)


@st.composite
def _snapshots(draw: st.DrawFn) -> RiskSnapshot:
    """Draw a snapshot with a position of 40, in which any of the facts is missing or against an entry."""
    quote = draw(st.sampled_from([QUOTE, QUOTE, STALE, FUTURE_DATED, YESTERDAYS, None]))
    listed = draw(st.booleans())
    expiry = draw(st.sampled_from([None, date(2026, 11, 19)]))
    instrument = draw(st.sampled_from([replace(SHARE, expiry=expiry), None] if not listed else [SHARE]))
    phase = draw(st.sampled_from([Phase.CONTINUOUS, Phase.CONTINUOUS, None]))
    others_unpriced = draw(st.booleans())
    limits = replace(
        LIMITS,
        allowed_symbols=draw(st.sampled_from([(), ("BRAVO-EQ",)])),
        max_daily_loss=draw(st.sampled_from([D(5000), D(0)])),
    )
    return replace(
        SNAPSHOT,
        instrument=instrument,
        quote=quote,
        phase=phase,
        halts=draw(st.sampled_from([(), ("stop (all)",)])),
        position=replace(
            LINE,
            quantity=D(draw(st.sampled_from([40, -40]))),
            product=draw(st.sampled_from(Product)),
        ),
        scopes=(replace(ACCOUNT, limits=limits, orders_last_second=draw(st.sampled_from([0, 99]))),),
        square_off_at=draw(st.sampled_from([None, NOW - timedelta(minutes=1)])),
        available=draw(st.sampled_from([D(1_000_000), D(-1)])),
        is_repeat=draw(st.booleans()),
        unknown=tuple(
            denial
            for denial, is_missing in (
                (UNLISTED, not listed),
                (UNPRICED, quote is None or others_unpriced),
                (UNCOVERED, phase is None),
            )
            if is_missing
        ),
    )


@st.composite
def _orders(draw: st.DrawFn, side: Side, product: Product, reduce_only: bool = False) -> OrderTerms:
    price = draw(st.integers(1, 4000)) * D("0.05")
    kind = draw(st.sampled_from([OrderType.MARKET, OrderType.LIMIT, OrderType.STOP]))
    return replace(
        BUY,
        side=side,
        product=product,
        reduce_only=reduce_only,
        quantity=D(draw(st.integers(1, 40))),
        type=kind,
        limit_price=price if kind is OrderType.LIMIT else None,
        trigger_price=price if kind is OrderType.STOP else None,
    )


def _exits(snapshot: RiskSnapshot) -> st.SearchStrategy[OrderTerms]:
    side = Side.SELL if snapshot.position.quantity > 0 else Side.BUY
    return _orders(side, snapshot.position.product, reduce_only=True)


@given(st.data(), _snapshots())
def test_exit_passes_whatever_cannot_be_checked(data: st.DataObject, snapshot: RiskSnapshot) -> None:
    terms = data.draw(_exits(snapshot))
    judged, denial = gate.judge(terms, snapshot)
    permitted: set[DenialCode | None] = {None}
    if snapshot.fresh_quote is not None:
        permitted |= {DenialCode.OUTSIDE_CIRCUIT, DenialCode.TRIGGER_ALREADY_PASSED}
    if snapshot.quote is None and terms.type is OrderType.MARKET:
        permitted = {DenialCode.NO_QUOTE}
    assert (denial and denial.code) in permitted
    if denial is None and not terms.type.has_limit:
        assert judged.protection_price is not None
        assert judged.protection_price > 0


@given(st.data(), _snapshots())
def test_market_exit_passes_with_any_price(data: st.DataObject, snapshot: RiskSnapshot) -> None:
    terms = replace(data.draw(_exits(snapshot)), type=OrderType.MARKET, limit_price=None, trigger_price=None)
    _, denial = gate.judge(terms, snapshot)
    assert (denial is None) == (snapshot.quote is not None)


@given(st.data(), _snapshots())
def test_entry_is_denied_as_if_there_were_no_exception(data: st.DataObject, snapshot: RiskSnapshot) -> None:
    side = Side.BUY if snapshot.position.quantity > 0 else Side.SELL
    product = snapshot.position.product
    _, denial = gate.judge(data.draw(_orders(side, product)), snapshot)
    scope = snapshot.scopes[0]
    reasons = [
        *(each.code for each in snapshot.unknown),
        *([DenialCode.HALTED] if snapshot.halts else []),
        *([DenialCode.SYMBOL_NOT_ALLOWED] if scope.limits.allowed_symbols else []),
        *([DenialCode.PRODUCT_NOT_ALLOWED] if product is Product.CARRY else []),
        *([DenialCode.AFTER_SQUARE_OFF] if product is Product.INTRADAY and snapshot.square_off_at else []),
    ]
    if reasons:
        assert denial is not None
        assert denial.code == reasons[0]
    elif snapshot.fresh_quote is None or scope.orders_last_second or not scope.limits.max_daily_loss:
        assert denial is not None


@given(st.data(), _snapshots(), st.integers(1, 10))
def test_exit_never_exceeds_what_is_left(data: st.DataObject, snapshot: RiskSnapshot, more: int) -> None:
    terms = replace(data.draw(_exits(snapshot)), quantity=D(40 + more))
    _, denial = gate.judge(terms, snapshot)
    assert denial is not None


def test_exit_is_denied_as_unknown_if_nothing_is_held() -> None:
    unknown = replace(SNAPSHOT, instrument=None, unknown=(UNLISTED,))
    _, denial = gate.judge(replace(BUY, side=Side.SELL, reduce_only=True), unknown)
    assert denial == UNLISTED


LONG = replace(SNAPSHOT, position=replace(LINE, quantity=D(10)))
SELL = replace(BUY, side=Side.SELL)
MARKET_SELL = replace(SELL, type=OrderType.MARKET, limit_price=None)


def test_delivery_sale_of_held_shares_is_marked_as_an_exit() -> None:
    judged, denial = gate.judge(SELL, replace(LONG, halts=("stop (all)",)))
    assert (judged.reduce_only, denial) == (True, None)


def test_repeated_delivery_sale_is_suspected_unless_it_is_reduce_only() -> None:
    repeated = replace(LONG, is_repeat=True)
    _, denial = gate.judge(SELL, repeated)
    assert denial is not None
    assert denial.code == DenialCode.DUPLICATE
    assert gate.judge(replace(SELL, reduce_only=True), repeated)[1] is None


def test_sales_beyond_the_holdings_or_of_other_products_are_not_marked() -> None:
    assert not gate.judge(replace(SELL, quantity=D(11)), LONG)[0].reduce_only
    intraday = replace(LONG, position=replace(LINE, quantity=D(10), product=Product.INTRADAY))
    assert not gate.judge(replace(SELL, product=Product.INTRADAY), intraday)[0].reduce_only
    assert not gate.judge(replace(SELL, quantity=D(0)), LONG)[0].reduce_only


def _protection(snapshot: RiskSnapshot) -> Decimal | None:
    return gate.judge(replace(MARKET_SELL, reduce_only=True), snapshot)[0].protection_price


def test_price_of_an_exit_comes_from_the_last_price_known() -> None:
    assert _protection(LONG) == D(98)  # 2 % from 100
    assert _protection(replace(LONG, quote=replace(STALE, last=D(95)))) == D("93.10")
    assert _protection(replace(LONG, quote=replace(YESTERDAYS, last=D(80)))) == D("78.40")
    assert _protection(replace(LONG, quote=None)) is None


def test_circuit_limits_bound_the_price_of_an_exit_on_their_own_day_only() -> None:
    stale, old = (replace(quote, last=D("90.50")) for quote in (STALE, YESTERDAYS))
    assert stale.lower_circuit == 90
    assert _protection(replace(LONG, quote=stale)) == D(90)
    assert _protection(replace(LONG, quote=old)) == D("88.70")


def test_circuit_limit_is_the_price_of_an_exit_if_nothing_has_traded() -> None:
    assert _protection(replace(LONG, quote=replace(QUOTE, last=D(0)))) == D(90)
    assert _protection(replace(LONG, quote=replace(YESTERDAYS, last=D(0)))) is None


def test_price_of_an_exit_is_at_least_one_tick() -> None:
    cheap = replace(YESTERDAYS, last=D("0.05"))
    assert _protection(replace(LONG, quote=cheap)) == D("0.05")


def test_price_of_an_unlisted_instrument_is_on_the_usual_tick() -> None:
    assert _protection(replace(LONG, instrument=None, quote=replace(STALE, last=D("97.77")))) == D("95.85")
