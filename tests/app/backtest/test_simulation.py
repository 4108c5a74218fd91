"""The rules of a back-test, tested with the scripted strategy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from algosat.backtest.limits import UNLIMITED
from algosat.backtest.report.files import as_json
from algosat.backtest.run import BacktestResult
from algosat.backtest.simulated_ledger import Fill
from algosat.domain.gtt import GttState, SecondLeg
from algosat.domain.orders import Order, PendingRequest, Side, Status, TradingSession, Validity
from algosat.errors import InvalidRequest
from algosat.strategies.bars import Bar
from tests.app.backtest.recordings import SYMBOL, Prices, at, backtest, bars, ticks
from tests.app.strategies.fakes import MORNING, Scripted

TEN = Decimal(10)
pytestmark = pytest.mark.usefixtures("scripted")


def fills(finished: BacktestResult) -> list[Fill]:
    return finished.report.outcome.ledger.fills


def orders(finished: BacktestResult) -> list[Order]:
    return list(finished.report.outcome.ledger.orders.values())


def test_order_decided_at_the_end_of_a_bar_fills_at_the_next_open(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(0, lambda own: own.buy(SYMBOL, TEN))
    lines = bars("100", ("100.50", "102", "99", "101"), "101")
    (fill,) = fills(backtest(lines))
    assert fill.at == MORNING + timedelta(minutes=1)
    assert Decimal("100.50") <= fill.price <= Decimal("100.55")  # the spread around the open


def test_later_prices_do_not_change_a_decision(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = lambda own, bar: own.buy(SYMBOL, TEN) if bar.close > bar.open else None
    known: list[Prices] = ["100", ("100", "103", "99", "102"), "102.40", ("103", "106", "101", "105")]
    up, down = fills(backtest(bars(*known, "105.50"))), fills(backtest(bars(*known, "104.50")))
    assert len(up) == 2
    assert up[0] == down[0]
    assert up[1].price > down[1].price
    assert [fill.at for fill in up] == [MORNING + timedelta(minutes=minute) for minute in (2, 4)]


def test_order_decided_at_a_quote_fills_at_the_next_one(scripted: type[Scripted]) -> None:
    scripted.script["quote"] = at(1, lambda own: own.buy(SYMBOL, TEN))
    (fill,) = fills(backtest(ticks("100", "100.20", "100.50", "110")))
    assert fill.at == MORNING + timedelta(seconds=2)
    assert Decimal("100.50") <= fill.price <= Decimal("100.55")


def test_fee_in_coins_lowers_the_position_of_a_back_test_and_fees_of_other_currencies_stay_apart(
    scripted: type[Scripted],
) -> None:
    def both(own: Scripted) -> None:
        own.buy("BTC-USDT", Decimal("0.5"))
        own.buy("SOL-USDT", Decimal(2))

    scripted.script["quote"] = at(2, both)
    lines = [
        line.replace(SYMBOL, name)
        for line in ticks("100", "100", "100", "100")
        for name in (("BTC-USDT", "SOL-USDT") if SYMBOL in line else (SYMBOL,))
    ]
    ran = backtest(
        lines, parameters={"symbols": ["BTC-USDT", "SOL-USDT"], "product": "delivery"}, market="always"
    )
    ledger = ran.report.outcome.ledger
    (bought,) = [fill for fill in fills(ran) if fill.symbol == "BTC-USDT"]
    coins, third = ledger.position("BTC-USDT"), ledger.position("SOL-USDT")
    assert coins.quantity == Decimal("0.4995")
    assert ledger.fees == coins.fees == Decimal("0.0005") * bought.price
    assert third.quantity == 2
    assert list(ledger.other_fees) == ["BNB"]


def test_symbols_of_different_currencies_are_not_tested_together(scripted: type[Scripted]) -> None:
    header, *shares = ticks("100", "100")
    lines = [header, *shares, *(line.replace(SYMBOL, "BTC-USDT") for line in ticks("100", "100")[1:])]
    with pytest.raises(InvalidRequest, match=r"different currencies \(USDT\)"):
        backtest([header, *sorted(lines[1:])], market="always")


def test_order_decided_at_a_fill_fills_at_the_next_quote(scripted: type[Scripted]) -> None:
    scripted.script["quote"] = at(0, lambda own: own.buy(SYMBOL, TEN))
    scripted.script["order"] = lambda own, order: (
        own.sell(SYMBOL, TEN) if order.terms.side is Side.BUY and order.status is Status.FILLED else None
    )
    assert [fill.at.second for fill in fills(backtest(ticks("100", "100.20", "100.40", "100.60")))] == [1, 2]


def test_ioc_order_fills_at_the_next_quote_or_is_cancelled(scripted: type[Scripted]) -> None:
    def place(own: Scripted) -> None:
        own.buy(SYMBOL, TEN, limit=Decimal("99.00"), validity=Validity.IOC)
        own.buy(SYMBOL, TEN, limit=Decimal("101.50"), validity=Validity.IOC)

    scripted.script["quote"] = at(0, place)
    missed, met = orders(backtest(ticks("100", "101", "90")))
    assert (missed.status, met.status) == (Status.CANCELLED, Status.FILLED)


def test_stop_waits_for_its_trigger_and_slips_through_a_gap(scripted: type[Scripted]) -> None:
    scripted.script["quote"] = at(0, lambda own: own.buy(SYMBOL, TEN, trigger=Decimal("102.00")))
    (fill,) = fills(backtest(ticks("100", "101", "102.50", "104")))
    assert fill.at == MORNING + timedelta(seconds=2)
    assert fill.price >= Decimal("102.50")


def test_market_order_rests_at_its_protection_price_after_a_gap(scripted: type[Scripted]) -> None:
    scripted.script["quote"] = at(0, lambda own: own.buy(SYMBOL, TEN))
    (fill,) = fills(backtest(ticks("100", "110", "102.50", "101.50", "100.50")))
    assert fill.at == MORNING + timedelta(seconds=3)
    assert fill.price <= 102  # 2 % above the price at the decision


def test_limit_order_rests_until_the_market_reaches_it(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(0, lambda own: own.buy(SYMBOL, TEN, limit=Decimal("95.00")))
    lines = bars("100", ("100", "101", "96", "100"), ("100", "100", "94", "99"))
    (fill,) = fills(backtest(lines))
    assert fill.price <= 95
    assert MORNING + timedelta(minutes=2) < fill.at < MORNING + timedelta(minutes=3)


def test_cancel_before_the_next_quote_prevents_the_fill(scripted: type[Scripted]) -> None:
    def place(own: Scripted) -> None:
        own.buy(SYMBOL, TEN)
        own.cancel_working(SYMBOL)

    scripted.script["bar"] = at(0, place)
    (order,) = orders(backtest(bars("100", "100", "100")))
    assert (order.status, order.reason) == (Status.CANCELLED, "cancelled before it was sent")


def test_changed_order_fills_at_the_quote_after_the_change(scripted: type[Scripted]) -> None:
    def act(own: Scripted, bar: Bar) -> None:
        if bar.start == MORNING:
            own.buy(SYMBOL, TEN, limit=Decimal("98.00"))
        for order in own.working(SYMBOL):
            changed = own.change(order, quantity=Decimal(5), limit=Decimal("101.00"))
            assert changed.pending is (PendingRequest.PENDING_MODIFY if bar.start > MORNING else None)

    scripted.script["bar"] = act
    finished = backtest(bars("100", "99", "100"))
    (order,) = orders(finished)
    (fill,) = fills(finished)
    assert (order.status, order.pending) == (Status.FILLED, None)
    assert (fill.quantity, fill.at) == (Decimal(5), MORNING + timedelta(minutes=2))
    assert fill.price <= Decimal("100.05")


def test_denied_change_leaves_the_order_and_is_counted(scripted: type[Scripted]) -> None:
    def act(own: Scripted, _bar: Bar) -> None:
        for order in own.working(SYMBOL):
            assert own.change(order, quantity=Decimal(10**9)) == order
        if not own.working(SYMBOL):
            own.buy(SYMBOL, TEN, limit=Decimal("98.00"))

    scripted.script["bar"] = act
    finished = backtest(bars("100", "100", "100"))
    (order,) = orders(finished)
    assert order.terms.quantity == TEN
    assert sum(finished.report.outcome.denied.values()) == 2


def test_change_of_an_order_that_has_not_arrived_is_ignored(scripted: type[Scripted]) -> None:
    def place_and_change(own: Scripted) -> None:
        order = own.buy(SYMBOL, TEN, limit=Decimal("98.00"))
        assert own.change(order, limit=Decimal("99.00")) == order

    scripted.script["bar"] = at(0, place_and_change)
    (order,) = orders(backtest(bars("100", "100", "100")))
    assert order.terms.limit_price == 98


def test_change_after_the_fill_changes_nothing(scripted: type[Scripted]) -> None:
    def act(own: Scripted, _bar: Bar) -> None:
        for order in own.working(SYMBOL):
            own.change(order, limit=Decimal("97.00"))
        if not own.position(SYMBOL) and not own.working(SYMBOL):
            own.buy(SYMBOL, TEN, limit=Decimal("98.00"))

    scripted.script["bar"] = act
    (order,) = orders(backtest(bars("100", "100", "97.50")))
    assert (order.status, order.pending_change) == (Status.FILLED, None)
    assert order.terms.limit_price == Decimal("98.00")


def test_resting_order_can_be_cancelled(scripted: type[Scripted]) -> None:
    def act(own: Scripted, _bar: object) -> None:
        if own.working(SYMBOL):
            own.cancel_working(SYMBOL)
        else:
            own.buy(SYMBOL, TEN, limit=Decimal("95.00"))

    scripted.script["bar"] = act
    finished = backtest(bars("100", "100", "100"))
    assert [order.status for order in orders(finished)] == [Status.CANCELLED, Status.CREATED]


def test_cancels_of_the_strategy_are_delivered_to_it(scripted: type[Scripted]) -> None:
    def act(own: Scripted, _bar: object) -> None:
        if own.working(SYMBOL):
            own.cancel_working(SYMBOL)
        elif not own.state.get("placed"):
            own.state["placed"] = bool(own.buy(SYMBOL, TEN, limit=Decimal("95.00")))

    statuses: list[Status] = []
    scripted.script["bar"] = act
    scripted.script["order"] = lambda _own, order: statuses.append(order.status)
    backtest(bars("100", "100", "100"))
    assert statuses == [Status.OPEN, Status.CANCELLED]


def test_exit_without_a_position_is_cancelled(scripted: type[Scripted]) -> None:
    def act(own: Scripted, bar: Bar) -> None:
        match (bar.start - MORNING) // timedelta(minutes=1):
            case 0:
                own.buy(SYMBOL, TEN)
            case 1:
                own.sell(SYMBOL, TEN, trigger=Decimal("95.00"), reduce_only=True)
            case 2:
                own.sell(SYMBOL, TEN)

    scripted.script["bar"] = act
    finished = backtest(bars("100", "100", "100", "100", "94", "93"))
    assert [fill.after.quantity for fill in fills(finished)] == [TEN, 0]
    assert orders(finished)[1].status is Status.CANCELLED


def test_daily_loss_cancels_working_orders_and_denies_new_ones(scripted: type[Scripted]) -> None:
    def act(own: Scripted, bar: Bar) -> None:
        if bar.start == MORNING:
            own.buy(SYMBOL, TEN)
            own.buy(SYMBOL, TEN, limit=Decimal("90.00"))
        if bar.close == 101:
            own.buy(SYMBOL, TEN)

    scripted.script["bar"] = act
    limits = replace(UNLIMITED, max_daily_loss=Decimal(50))
    finished = backtest(bars("100", "100", "94", "89", "101", "101"), limits=limits)
    assert [fill.after.quantity for fill in fills(finished)] == [TEN]
    assert orders(finished)[1].status is Status.CANCELLED
    assert finished.report.result["orders"]["denied"] == {"halted": 2}


def test_daily_loss_closes_the_positions_if_asked(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(0, lambda own: own.buy(SYMBOL, TEN))
    limits = replace(UNLIMITED, max_daily_loss=Decimal(50))
    prices = bars("100", "100", "94", "89", "101")
    kept = backtest(prices, limits=limits)
    assert [fill.after.quantity for fill in fills(kept)] == [TEN]
    closed = backtest(prices, limits=limits, flattens_on_daily_loss=True)
    assert [fill.after.quantity for fill in fills(closed)] == [TEN, 0]


@pytest.mark.parametrize(("prices", "result"), [(("100", "106", "107"), 1), (("100", "94", "93"), -1)])
def test_pnl_exit_closes_the_position_and_denies_entries_for_the_day(
    scripted: type[Scripted], prices: tuple[str, ...], result: int
) -> None:
    def act(own: Scripted, bar: Bar) -> None:
        if bar.start == MORNING:
            own.exit_at(profit=Decimal(40), loss=Decimal(40))
            own.sell(SYMBOL, TEN, trigger=Decimal("50.00"), reduce_only=True)
        if not own.position(SYMBOL):
            own.buy(SYMBOL, TEN)

    scripted.script["bar"] = act
    finished = backtest(bars("100", *prices, prices[-1], prices[-1]))
    assert [fill.after.quantity for fill in fills(finished)] == [TEN, 0]
    assert finished.report.outcome.ledger.realised * result > 0
    assert finished.report.result["orders"]["denied"]["halted"] > 0


def test_trading_resumes_on_the_day_after_a_pnl_exit(scripted: type[Scripted]) -> None:
    def act(own: Scripted, _bar: Bar) -> None:
        own.exit_at(loss=Decimal(40))
        if not own.position(SYMBOL):
            own.buy(SYMBOL, TEN)

    scripted.script["bar"] = act
    next_day = [f"2026-11-23T09:{minute}:00+05:30,{SYMBOL},90,90,90,90,1000\n" for minute in (15, 16, 17)]
    finished = backtest([*bars("100", "100", "94", "93"), *next_day])
    assert [fill.after.quantity for fill in fills(finished)] == [TEN, 0, TEN]


def test_pending_change_counts_towards_the_exposure(scripted: type[Scripted]) -> None:
    def act(own: Scripted, _bar: Bar) -> None:
        for order in own.working(SYMBOL):
            own.change(order, quantity=Decimal(20))
        own.buy(SYMBOL, TEN, limit=Decimal("98.00"))

    scripted.script["bar"] = act
    limits = replace(UNLIMITED, max_position_value=Decimal(2500))
    finished = backtest(bars("100", "100"), limits=limits)
    assert finished.report.result["orders"]["denied"] == {"position_value": 1}


def test_day_order_expires_at_the_end_of_its_day(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(0, lambda own: own.buy(SYMBOL, TEN, limit=Decimal("95.00")))
    lines = [*bars("100", "100"), f"2026-11-23T09:15:00+05:30,{SYMBOL},90,90,90,90,1000\n"]
    finished = backtest(lines, parameters={"product": "delivery"})
    assert [order.status for order in orders(finished)] == [Status.EXPIRED]


def test_denied_order_is_returned_with_its_code(scripted: type[Scripted]) -> None:
    denied: list[Any] = []
    scripted.script["bar"] = at(0, lambda own: denied.append(own.buy(SYMBOL, Decimal("1.5"))))
    finished = backtest(bars("100", "100"))
    assert (denied[0].status, denied[0].code) == (Status.DENIED, "off_lot")
    assert finished.report.result["orders"]["denied"] == {"off_lot": 1}
    assert fills(finished) == []


def test_order_above_the_capital_is_denied(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(0, lambda own: own.buy(SYMBOL, Decimal(200)))
    finished = backtest(bars("100", "100"), parameters={"product": "delivery"}, capital=Decimal(10_000))
    assert finished.report.result["orders"]["denied"] == {"insufficient_funds": 1}


def test_delivery_sale_without_holdings_is_denied(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(0, lambda own: own.sell(SYMBOL, TEN))
    finished = backtest(bars("100", "100"), parameters={"product": "delivery"})
    assert finished.report.result["orders"]["denied"] == {"no_holdings": 1}


def test_order_outside_market_hours_is_denied(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(1, lambda own: own.buy(SYMBOL, TEN))
    finished = backtest(bars("100", "100", "100"), market="09:15-09:17")
    assert finished.report.result["orders"]["denied"] == {"market_closed": 1}


def two_days(first: list[str], second: list[str]) -> list[str]:
    """Return bars from 09:15 on two days that follow each other."""
    lines, next_day = bars(*first), MORNING + timedelta(days=1)
    moved = (line.replace(f"{MORNING:%Y-%m-%d}", f"{next_day:%Y-%m-%d}") for line in bars(*second)[1:])
    return [*lines, *moved]


def after_market(own: Scripted, **options: Any) -> Order:
    return own.buy(SYMBOL, TEN, session=TradingSession.AFTER_MARKET, **options)


@pytest.mark.parametrize(
    ("second_day", "quantities", "rejected"),
    [
        (["100.50", "100.50"], [TEN], {}),
        (["150", "150"], [], {"outside_price_band": 1}),
    ],
    ids=["sent at the opening", "judged again"],
)
def test_after_market_order_is_sent_at_the_first_price_of_the_next_day(
    scripted: type[Scripted], second_day: list[str], quantities: list[Decimal], rejected: dict[str, int]
) -> None:
    placed: list[Order] = []
    scripted.script["bar"] = at(1, lambda own: placed.append(after_market(own, limit=Decimal(101))))
    finished = backtest(
        two_days(["100", "100", "100"], second_day),
        parameters={"product": "delivery"},
        market="09:15-09:17",
        limits=replace(UNLIMITED, price_band_percent=Decimal(5)),
    )
    (order,) = placed
    assert (order.status, order.terms.send_at) == (Status.CREATED, MORNING + timedelta(days=1))
    assert [fill.quantity for fill in fills(finished)] == quantities
    assert all(fill.at == MORNING + timedelta(days=1) for fill in fills(finished))
    assert finished.report.result["orders"]["denied"] == rejected


def test_kept_after_market_order_can_be_changed_and_cancelled(scripted: type[Scripted]) -> None:
    seen: list[Order] = []

    def change_and_cancel(own: Scripted) -> None:
        order = after_market(own, limit=Decimal(101))
        seen.extend([own.change(order, quantity=Decimal(20)), own.context.cancel(order.id)])

    scripted.script["bar"] = at(1, change_and_cancel)
    finished = backtest(two_days(["100", "100", "100"], ["100"]), market="09:15-09:17")
    assert [(order.status, order.terms.quantity) for order in seen] == [
        (Status.CREATED, Decimal(20)),
        (Status.CANCELLED, Decimal(20)),
    ]
    assert fills(finished) == []


def test_after_market_order_is_denied_in_market_hours(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(0, after_market)
    finished = backtest(bars("100", "100", "100"), market="09:15-09:20")
    assert finished.report.result["orders"]["denied"] == {"market_open": 1}


def test_intraday_position_is_squared_off_before_the_close(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(0, lambda own: own.buy(SYMBOL, TEN))
    finished = backtest(bars(*["100"] * 6), market="09:15-09:20", square_off_minutes=2)
    _, sold = fills(finished)
    assert (sold.side, sold.quantity) == (Side.SELL, TEN)
    assert MORNING + timedelta(minutes=3) <= sold.at < MORNING + timedelta(minutes=5)
    assert finished.report.result["open_positions"] == {}


def test_close_leaves_out_what_working_orders_close(scripted: type[Scripted]) -> None:
    def close_twice(own: Scripted) -> None:
        own.close(SYMBOL)
        assert own.close(SYMBOL) == []

    scripted.script["bar"] = lambda own, bar: (
        at(0, lambda _: own.buy(SYMBOL, TEN))(own, bar) if own.position(SYMBOL) == 0 else close_twice(own)
    )
    _, sold = fills(backtest(bars("100", "100", "100", "100")))
    assert (sold.side, sold.quantity, sold.after.quantity) == (Side.SELL, TEN, Decimal(0))


def test_profit_is_the_growth_of_the_account(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = lambda own, bar: (
        own.buy(SYMBOL, TEN) if bar.close > bar.open else own.close(SYMBOL)
    )
    lines = bars(
        ("100", "104", "99", "103"), ("103", "103", "97", "98"), ("98", "105", "98", "104"), "104", "101"
    )
    finished = backtest(lines)
    result, ledger = finished.report.result, finished.report.outcome.ledger
    spent = sum(fill.value * -fill.side.sign for fill in ledger.fills) - ledger.fees
    held = sum(
        position.quantity * finished.report.outcome.quotes[symbol].last
        for symbol, position in ledger.positions.items()
    )
    assert Decimal(result["equity"]) == Decimal(result["capital"]) + spent + held
    assert Decimal(result["profit"]) == Decimal(result["profit_before_fees"]) - Decimal(
        result["fees"]["total"]
    )
    assert ledger.fees > 0


def test_same_run_gives_the_same_report_byte_for_byte(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = lambda own, bar: (
        own.buy(SYMBOL, TEN) if bar.close > bar.open else own.close(SYMBOL)
    )
    lines = bars(*[(str(100 + n % 3), "110", "90", str(100 + n % 5)) for n in range(40)])
    first, second, other = (as_json(backtest(lines, seed=seed).report.data()) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_callbacks_are_in_order_of_time(scripted: type[Scripted]) -> None:
    backtest(bars("100", "101"))
    calls = [name for name, *_ in scripted.calls]
    assert calls == ["start", *["quote"] * 4, "bar", *["quote"] * 4, "bar", "stop"]


def test_symbol_that_the_recording_lacks_is_named() -> None:
    with pytest.raises(InvalidRequest, match="no prices of OTHER; it has TEST"):
        backtest(bars("100", "100"), parameters={"symbols": [SYMBOL, "OTHER"]})


def test_bars_that_are_no_multiple_of_the_recorded_ones_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="set bar_seconds to a multiple"):
        backtest(bars("100", "100", minutes=5), parameters={"bar_seconds": 60})


def test_longer_bars_are_built_from_the_recorded_ones(scripted: type[Scripted]) -> None:
    backtest(bars(("100", "109", "100", "101"), ("101", "102", "95", "98")), parameters={"bar_seconds": 900})
    (bar,) = [call[1] for call in scripted.calls if call[0] == "bar"]
    assert [bar.open, bar.high, bar.low, bar.close] == [100, 109, 95, 98]


def test_day_without_charges_is_refused_with_the_remedy(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = at(0, lambda own: own.buy(SYMBOL, TEN))
    old = [line.replace("2026-11-20", "2019-11-20") for line in bars("100", "100")]
    with pytest.raises(InvalidRequest, match="--charges-of"):
        backtest(old)


def test_day_that_the_calendar_lacks_is_refused_with_the_remedy() -> None:
    old = [line.replace("2026-11-20", "2019-11-20") for line in bars("100", "100")]
    with pytest.raises(InvalidRequest, match="--market"):
        backtest(old, market="exchange")


def test_state_that_is_not_json_is_refused(scripted: type[Scripted]) -> None:
    scripted.script["bar"] = lambda own, bar: own.state.update(last=bar.close)
    with pytest.raises(TypeError, match="Decimal"):
        backtest(bars("100", "100"))


def test_position_is_reached_by_an_exit_and_an_entry(scripted: type[Scripted]) -> None:
    def act(own: Scripted, bar: Bar) -> None:
        wanted = {0: TEN, 1: TEN, 2: -TEN}.get((bar.start - MORNING) // timedelta(minutes=1))
        if wanted is not None:
            own.reach(SYMBOL, wanted)

    scripted.script["bar"] = act
    finished = backtest(bars("100", "100", "100", "100", "100"))
    assert [fill.after.quantity for fill in fills(finished)] == [TEN, 0, -TEN]


def test_position_is_not_reached_while_the_other_side_is_working(scripted: type[Scripted]) -> None:
    def act(own: Scripted) -> None:
        own.buy(SYMBOL, TEN, limit=Decimal("95.00"))
        assert own.reach(SYMBOL, -TEN) == ()

    scripted.script["bar"] = at(0, act)
    assert len(orders(backtest(bars("100", "100")))) == 1


def test_gtt_order_is_placed_once_when_its_price_is_reached(scripted: type[Scripted]) -> None:
    reported: list[Order] = []
    scripted.script["order"] = lambda _own, order: reported.append(order)

    def act(own: Scripted) -> None:
        own.place_gtt(Side.BUY, SYMBOL, TEN, Decimal("97.00"), limit=Decimal("97.50"))
        assert own.place_gtt(Side.BUY, SYMBOL, TEN, Decimal("97.001")) is None
        assert len(own.context.gtts()) == 1

    scripted.script["bar"] = at(0, act)
    finished = backtest(bars("100", "99", "96.50", "96", "99", "96"))
    (fill,) = fills(finished)
    assert fill.at > MORNING + timedelta(minutes=2)
    assert fill.price <= Decimal("97.50")
    assert {order.id for order in reported} == {fill.order_id}


@pytest.mark.parametrize(("price", "limit"), [("95", "95.00"), ("105", "104.00")])
def test_gtt_order_of_two_legs_sells_at_the_leg_reached_first(
    scripted: type[Scripted], price: str, limit: str
) -> None:
    def act(own: Scripted, bar: Bar) -> None:
        if bar.start == MORNING:
            own.buy(SYMBOL, TEN)
        elif own.position(SYMBOL) and not own.context.gtts():
            low, high = Decimal("96.00"), SecondLeg(Decimal("104.00"), Decimal("104.00"))
            own.place_gtt(Side.SELL, SYMBOL, TEN, low, limit=Decimal("95.00"), reduce_only=True, second=high)

    scripted.script["bar"] = act
    finished = backtest(bars("100", "100", "100", price, price, "100", "95", "105"))
    assert [fill.after.quantity for fill in fills(finished)] == [TEN, 0]
    assert orders(finished)[1].terms.limit_price == Decimal(limit)


def test_gtt_order_expires_and_is_cancelled(scripted: type[Scripted]) -> None:
    def act(own: Scripted) -> None:
        today = own.context.now.date()
        own.place_gtt(Side.BUY, SYMBOL, TEN, Decimal("90.00"), expires_on=today)
        other = own.place_gtt(Side.BUY, SYMBOL, TEN, Decimal("91.00"))
        assert other is not None
        assert own.context.cancel_gtt(other.id).state is GttState.CANCELLED
        assert own.context.cancel_gtt(other.id).state is GttState.CANCELLED

    scripted.script["bar"] = at(0, act)
    next_day = [f"2026-11-23T09:{minute}:00+05:30,{SYMBOL},89,89,89,89,1000\n" for minute in (15, 16, 17)]
    finished = backtest([*bars("100", "100"), *next_day])
    assert fills(finished) == []
