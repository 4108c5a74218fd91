"""What real brokers do to the engine: each test is a probe that an earlier release failed, or a sibling."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import delete

from algosat.domain.instruments import Instrument, InstrumentKind, OptionType, SettlementMethod
from algosat.domain.orders import OrderType, Product, Side, Status, Trade
from algosat.domain.risk import DenialCode
from algosat.engine.quotes import replace_instruments
from algosat.store.tables import quotes
from algosat.trading import account_book, close, funds
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SECOND, SHARE, buy, hold, instruments, order_now, sell, set_prices
from tests.app.engine.rig import EngineRig
from tests.app.fake_exchange import external_report

ELSEWHERE = "SOMETHING-ELSE"
OPTION = Instrument(
    "NOVA-100-CE", "Nova", InstrumentKind.OPTION, "derivatives", Decimal("0.05"), Decimal(50), Decimal(1000),
    expiry=date(2026, 11, 26), strike=Decimal(100), option_type=OptionType.CALL, underlying="NOVA-FUT",
    settlement=SettlementMethod.CASH,
)  # fmt: skip


def unlist(desk: Desk, symbol: str) -> None:
    replace_instruments(desk, [each for each in instruments() if each.symbol != symbol])


def delete_quote(desk: Desk, symbol: str) -> None:
    desk.writer.run(lambda connection: connection.execute(delete(quotes).where(quotes.c.symbol == symbol)))


# --- one symbol without a price, or missing from the master, harms no other order -------------------------


@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.MARKET])
def test_external_order_without_a_price_denies_only_orders_in_its_symbol(
    rig: EngineRig, kind: OrderType
) -> None:
    report = external_report("B77")
    limit = Decimal(100) if kind is OrderType.LIMIT else None
    terms = replace(report.terms, symbol=ELSEWHERE, type=kind, limit_price=limit)
    rig.exchange.book["B77"] = replace(report, terms=terms)
    rig.reconcile()
    assert rig.send(buy(rig.desk)).status is Status.OPEN
    assert buy(rig.desk, symbol=ELSEWHERE).code == DenialCode.UNKNOWN_SYMBOL


def test_held_share_that_the_master_lacks_denies_no_other_order_and_not_its_own_exit(rig: EngineRig) -> None:
    hold(rig.desk, symbol=SECOND)
    unlist(rig.desk, SECOND)
    assert rig.send(buy(rig.desk)).status is Status.OPEN
    assert rig.send(sell(rig.desk, symbol=SECOND)).status is Status.OPEN


def test_held_share_without_any_price_denies_no_other_order_and_not_its_own_exit(rig: EngineRig) -> None:
    hold(rig.desk, symbol=SECOND)
    unlist(rig.desk, SECOND)
    delete_quote(rig.desk, SECOND)
    assert rig.send(buy(rig.desk)).status is Status.OPEN
    assert buy(rig.desk, symbol=SECOND).code == DenialCode.UNKNOWN_SYMBOL
    assert rig.send(sell(rig.desk, symbol=SECOND)).status is Status.OPEN


def test_position_that_the_master_lacks_can_be_closed_by_the_close_verb(rig: EngineRig) -> None:
    hold(rig.desk, symbol=SECOND)
    unlist(rig.desk, SECOND)
    exit_order = close.close_position(rig.desk, SECOND, CAUSE).order
    assert rig.send(exit_order).status is Status.OPEN


def test_limits_and_funds_count_a_position_that_has_no_price(rig: EngineRig) -> None:
    with rig.desk.database.read() as connection:
        free = funds.funds(connection, rig.desk).available
    hold(rig.desk, "100", symbol=SECOND)
    unlist(rig.desk, SECOND)
    delete_quote(rig.desk, SECOND)
    with rig.desk.database.read() as connection:
        left = funds.funds(connection, rig.desk).available
        (estimated,) = account_book.read_book(connection, rig.desk.account, rig.desk.venue).exposures
    assert free - left >= 10_000
    assert (estimated.symbol, estimated.exposure) == (SECOND, Decimal(10_000))


def test_written_option_that_is_no_longer_listed_needs_its_margin(rig: EngineRig) -> None:
    replace_instruments(rig.desk, [*instruments(), OPTION])
    trade = Trade("T1", Decimal(50), Decimal(2), rig.exchange.clock())
    report = external_report("B77", trade, status=Status.FILLED)
    terms = replace(report.terms, symbol=OPTION.symbol, side=Side.SELL, product=Product.CARRY)
    terms = replace(terms, quantity=Decimal(50), limit_price=Decimal(2))
    rig.exchange.book["B77"] = replace(report, terms=terms)
    rig.reconcile()
    replace_instruments(rig.desk, instruments())
    with rig.desk.database.read() as connection:
        (line,) = account_book.read_book(connection, rig.desk.account, rig.desk.venue).exposures
    assert line.margin > 5 * 50


def test_orders_of_a_strategy_count_against_its_limits_although_they_have_no_price(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk, symbol=SECOND, strategy="trend"))
    unlist(rig.desk, SECOND)
    delete_quote(rig.desk, SECOND)
    set_prices(rig.desk)
    delete_quote(rig.desk, SECOND)
    assert order_now(rig.desk, order).status is Status.OPEN
    with rig.desk.database.read() as connection:
        (line,) = account_book.read_book(connection, rig.desk.account, rig.desk.venue).exposures_of("trend")
    assert (line.symbol, line.exposure) == (SECOND, Decimal(1000))
    assert buy(rig.desk, symbol=SHARE, strategy="trend").status is Status.CREATED
