"""Expiry of day orders and of contracts, on days of the exchange's calendar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from algosat.config.settings import Settings
from algosat.domain import market_phases
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.instruments import FinalSettlement, SettlementMethod
from algosat.domain.orders import PendingRequest, Product, Side, Status, Validity
from algosat.domain.positions import Position
from algosat.domain.reason_codes import EngineCode
from algosat.domain.scope import ACCOUNT
from algosat.errors import BrokerNotReached
from algosat.store import queries
from algosat.store.verify.verify import verify
from algosat.trading import account_book, cancel, daily_pnl
from algosat.trading.desk import Desk
from tests.app.desks import (
    CAUSE,
    FUTURE,
    accepted,
    advance,
    buy,
    hold,
    instruments,
    open_alerts,
    open_desk,
    order_now,
    replace_instruments,
    set_prices,
)
from tests.app.engine.rig import EngineRig, build_rig, failing, no_fault
from tests.app.fake_exchange import FakeExchange, external_report
from tests.app.fakes import FakeClock

LAST_DAY, NEW_YEAR = datetime(2026, 12, 31, 5, 30, tzinfo=UTC), datetime(2027, 1, 2, 6, 0, tzinfo=UTC)


def at(hour: int, minute: int, day: int = 20) -> datetime:
    """Return a time of November 2026 in UTC. Shares trade until 10:00, futures until 10:10."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock, stale_quote_seconds=60.0) as desk:
        yield replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))


def test_orders_of_the_calendars_last_day_expire_past_its_end(rig: EngineRig, clock: FakeClock) -> None:
    clock.at = LAST_DAY
    set_prices(rig.desk)
    order = accepted(rig.desk, buy(rig.desk))
    clock.at = NEW_YEAR
    rig.reconcile()
    rig.do_duties(clock())
    assert order_now(rig.desk, order).status is Status.EXPIRED


def test_day_order_expires_when_the_order_book_is_read_after_its_day(rig: EngineRig) -> None:
    order = accepted(rig.desk, buy(rig.desk))
    rig.do_duties(at(12, 0))
    assert order_now(rig.desk, order).status is Status.OPEN
    rig.reconcile()
    rig.do_duties(at(12, 1))
    expired = order_now(rig.desk, order)
    assert (expired.status, expired.code) == (Status.EXPIRED, EngineCode.DAY_ENDED)


def test_fill_of_a_missed_day_is_booked_instead_of_expiring_the_order(
    rig: EngineRig, clock: FakeClock
) -> None:
    """The engine was away from before the fill to the next trading day."""
    order = rig.send(buy(rig.desk))
    rig.exchange.fill(order, "4")
    book = rig.exchange.book
    rig.exchange.reports_of_today = list
    clock.at = at(4, 0, day=23)
    rig.reconcile()
    rig.do_duties(at(4, 1, day=23))
    found = order_now(rig.desk, order)
    assert (found.status, found.filled_quantity) == (Status.PARTIALLY_FILLED, Decimal(4))
    number, report = next(iter(book.items()))
    book[number] = replace(report, status=Status.EXPIRED)
    rig.do_duties(at(4, 2, day=23))
    found = order_now(rig.desk, order)
    assert (found.status, found.filled_quantity) == (Status.EXPIRED, Decimal(4))
    assert open_alerts(rig.desk) == set()


def test_order_of_yesterday_that_no_book_covers_expires_with_an_alert(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = rig.send(buy(rig.desk))
    rig.exchange.book.clear()
    rig.exchange.covers_from = at(0, 0, day=23)
    clock.at = at(4, 0, day=23)
    rig.reconcile()
    rig.do_duties(at(4, 1, day=23))
    assert order_now(rig.desk, order).status is Status.EXPIRED
    assert open_alerts(rig.desk) == {("broker.outcome_missed", order.id)}


def test_order_whose_outcome_the_broker_no_longer_shows_expires_with_an_alert(
    rig: EngineRig, clock: FakeClock
) -> None:
    order = rig.send(buy(rig.desk))
    rig.exchange.book.clear()
    clock.at = at(4, 0, day=23)
    rig.exchange.before = failing(BrokerNotReached("away"), "find")
    rig.reconcile()
    rig.do_duties(at(4, 1, day=23))
    assert order_now(rig.desk, order).status is Status.OPEN
    rig.exchange.before = no_fault
    rig.do_duties(at(4, 2, day=23))
    assert order_now(rig.desk, order).status is Status.EXPIRED
    assert open_alerts(rig.desk) == {("broker.outcome_missed", order.id)}
    with rig.desk.database.read() as connection:
        assert verify(connection).findings == []


def test_external_order_of_a_sunday_expires_after_the_next_trading_day(
    rig: EngineRig, clock: FakeClock
) -> None:
    clock.at = at(6, 0, day=22)
    rig.exchange.book["X1"] = external_report("X1")
    rig.reconcile()
    (order,) = rig.working()
    rig.exchange.book.clear()
    for moment, status in ((at(10, 30, day=23), Status.OPEN), (at(11, 1, day=23), Status.EXPIRED)):
        clock.at = moment
        rig.reconcile()
        rig.do_duties(clock())
        assert order_now(rig.desk, order).status is status


def test_order_of_today_does_not_expire_while_its_market_is_open(rig: EngineRig) -> None:
    order = accepted(rig.desk, buy(rig.desk))
    rig.reconcile()
    rig.do_duties(at(9, 59))
    assert order_now(rig.desk, order).status is Status.OPEN


def test_gtc_order_does_not_expire_at_the_end_of_its_day(rig: EngineRig, clock: FakeClock) -> None:
    order = accepted(rig.desk, buy(rig.desk, validity=Validity.GTC))
    for day in (20, 23):
        clock.at = at(12, 0, day=day)
        rig.reconcile()
        rig.do_duties(at(12, 1, day=day))
        assert order_now(rig.desk, order).status is Status.OPEN


def test_market_that_never_closes_expires_and_squares_off_nothing(
    settings: Settings, exchange: FakeExchange, clock: FakeClock
) -> None:
    with open_desk(settings, clock) as desk:
        rig = build_rig(desk, exchange, settings.algosat.engine)
        hold(desk, "30", product=Product.INTRADAY)
        order = accepted(desk, buy(desk))
        for day in (20, 21, 23):
            clock.at = at(9, 50, day=day)
            rig.reconcile()
            rig.do_duties(at(18, 25, day=day))
        assert [each.id for each in rig.working()] == [order.id]
        assert order_now(desk, order).status is Status.OPEN
        assert cancel.cancel_order(desk, order.id, CAUSE).pending is PendingRequest.PENDING_CANCEL


CONTRACT = replace(instruments()[2], expiry=date(2026, 11, 20), underlying="NOVA-EQ")
ENDED = at(10, 10)  # 15:40 at the exchange


def contract_of(rig: EngineRig, **differences: Any) -> None:
    """List the future as a contract that expires on 20 November."""
    replace_instruments(rig.desk, [*instruments()[:2], replace(CONTRACT, **differences)])


def settled_at(rig: EngineRig, price: str) -> None:
    rig.exchange.settled = [FinalSettlement(FUTURE, ENDED, Decimal(price))]


def position(rig: EngineRig, strategy: str = "") -> Position:
    with rig.desk.database.read() as connection:
        held = queries.all_positions(connection, rig.desk.account)
    return next(each for each in held if (each.symbol, each.strategy) == (FUTURE, strategy))


def test_settlement_of_a_missed_day_is_not_a_result_of_today(rig: EngineRig, clock: FakeClock) -> None:
    contract_of(rig)
    hold(rig.desk, "100", symbol=FUTURE, product=Product.CARRY)
    rig.do_duties(at(4, 0, day=23))  # the day's loss counts from now, and the price is not known yet
    settled_at(rig, "103")
    rig.reconcile()
    rig.do_duties(at(4, 1, day=23))
    assert position(rig).quantity == 0
    with rig.desk.database.read() as connection:
        book = account_book.read_book(connection, rig.desk.account, rig.desk.venue)
        day = rig.desk.books.trading_day(clock())
        assert daily_pnl.daily_pnl(connection, rig.desk, ACCOUNT, day, book) == 0


def test_each_position_in_an_expired_contract_is_settled_once(rig: EngineRig) -> None:
    contract_of(rig)
    hold(rig.desk, "100", symbol=FUTURE, product=Product.CARRY, strategy="one")
    hold(rig.desk, "50", side=Side.SELL, symbol=FUTURE, product=Product.INTRADAY)
    settled_at(rig, "103")
    for minute in (10, 11, 12):
        rig.exchange.clock.at = at(10, minute, 20).replace(second=30)
        rig.reconcile()
        rig.do_duties(rig.exchange.clock())
    assert (position(rig, "one").quantity, position(rig, "one").realised) == (Decimal(0), Decimal(300))
    assert (position(rig).quantity, position(rig).realised) == (Decimal(0), Decimal(-150))
    with rig.desk.database.read() as connection:
        assert len(queries.trades_page(connection, limit=10, symbol=FUTURE).rows) == 4
        assert verify(connection).clean


@pytest.mark.parametrize(
    ("held", "paid"),
    [
        ((100,), ["23.60"]),
        ((100, 50), ["15.73", "7.87"]),
        ((100, 50, -50), ["15.73", "7.87", "0"]),
        ((50, -100), ["0", "23.60"]),
        ((100, -100), ["0", "0"]),
    ],
)
def test_settlement_is_charged_for_what_the_account_holds_in_all(
    rig: EngineRig, held: tuple[int, ...], paid: list[str]
) -> None:
    """Brokerage of 20 and its tax, once: at the broker there is one position."""
    contract_of(rig)
    for number, quantity in enumerate(held):
        side = Side.BUY if quantity > 0 else Side.SELL
        more: dict[str, Any] = {"symbol": FUTURE, "product": Product.CARRY, "strategy": f"s{number}"}
        hold(rig.desk, str(abs(quantity)), side=side, **more)
    settled_at(rig, "3000")
    rig.exchange.clock.at = at(10, 11)
    rig.reconcile()
    rig.do_duties(rig.exchange.clock())
    with rig.desk.database.read() as connection:
        rows = queries.trades_page(connection, limit=10, symbol=FUTURE).rows
        assert verify(connection).findings == []
    settled = {row.strategy: row.fees for row in rows if row.trade_id.startswith("settlement-")}
    assert [settled[f"s{number}"] for number in range(len(held))] == [Decimal(fees) for fees in paid]


def test_contract_is_settled_after_the_orders_in_it_have_ended(rig: EngineRig) -> None:
    contract_of(rig)
    hold(rig.desk, "100", symbol=FUTURE, product=Product.CARRY)
    selling = accepted(rig.desk, buy(rig.desk, "100", side=Side.SELL, symbol=FUTURE, product=Product.CARRY))
    settled_at(rig, "103")
    rig.exchange.clock.at = at(10, 11)
    rig.reconcile()
    rig.do_duties(rig.exchange.clock())
    assert position(rig).quantity == 100
    advance(rig.desk, selling, fill="100", at="102")
    rig.do_duties(at(10, 12))
    assert (position(rig).quantity, position(rig).realised) == (Decimal(0), Decimal(200))


def test_contract_is_not_settled_before_the_order_book_was_read_after_its_end(rig: EngineRig) -> None:
    contract_of(rig)
    hold(rig.desk, "100", symbol=FUTURE, product=Product.CARRY)
    settled_at(rig, "103")
    rig.do_duties(at(10, 11))
    assert position(rig).quantity == 100


def test_missing_settlement_price_raises_an_alert_until_it_is_known(rig: EngineRig) -> None:
    contract_of(rig)
    hold(rig.desk, "100", symbol=FUTURE, product=Product.CARRY)
    rig.exchange.before = failing(BrokerNotReached("no answer"), "settlements")
    rig.do_duties(at(11, 0))
    assert open_alerts(rig.desk) == set()
    rig.do_duties(at(11, 11))
    assert open_alerts(rig.desk) == {("contract.unsettled", FUTURE)}
    rig.exchange.before = no_fault
    settled_at(rig, "103")
    rig.reconcile()
    rig.do_duties(at(11, 12))
    assert open_alerts(rig.desk) == set()
    assert position(rig).quantity == 0


def test_contract_that_is_no_longer_listed_is_settled(rig: EngineRig) -> None:
    contract_of(rig)
    hold(rig.desk, "100", symbol=FUTURE, product=Product.CARRY)
    replace_instruments(rig.desk, instruments()[:2])
    settled_at(rig, "97")
    rig.exchange.clock.at = at(6, 0, 23)
    rig.reconcile()
    rig.do_duties(rig.exchange.clock())
    assert (position(rig).quantity, position(rig).realised) == (Decimal(0), Decimal(-300))


def test_position_that_would_be_delivered_is_settled_in_cash_with_an_alert(rig: EngineRig) -> None:
    contract_of(rig)
    hold(rig.desk, "100", symbol=FUTURE, product=Product.CARRY)
    contract_of(rig, settlement=SettlementMethod.PHYSICAL)
    settled_at(rig, "97")
    rig.exchange.clock.at = at(12, 0)
    rig.reconcile()
    rig.do_duties(rig.exchange.clock())
    assert open_alerts(rig.desk) == {("contract.not_closed", FUTURE)}
    assert position(rig).quantity == 0


def test_day_order_in_a_contract_that_is_no_longer_listed_expires(rig: EngineRig, clock: FakeClock) -> None:
    order = accepted(rig.desk, buy(rig.desk))
    rig.exchange.book.clear()
    clock.at = at(5, 0, day=23)
    replace_instruments(rig.desk, [each for each in instruments() if each.symbol != order.terms.symbol])
    rig.reconcile()
    rig.do_duties(clock())
    assert order_now(rig.desk, order).status is Status.EXPIRED
