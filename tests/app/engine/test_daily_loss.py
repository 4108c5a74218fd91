"""The daily loss limit: of the account and strategies, with unpriced positions, before the first check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import delete

from algosat.config.settings import Settings
from algosat.domain import market_phases
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.orders import Status
from algosat.domain.risk import DenialCode
from algosat.domain.scope import ACCOUNT, Scope
from algosat.engine.daily_loss import DailyLossWatch
from algosat.store import audit
from algosat.store.tables import heartbeats, quotes
from algosat.trading import account_book, daily_pnl, halts, limits
from algosat.trading.desk import Desk
from tests.app.desks import (
    CAUSE,
    SECOND,
    SHARE,
    buy,
    hold,
    instruments,
    open_alerts,
    open_desk,
    replace_instruments,
    sell,
    set_prices,
)
from tests.app.engine.rig import EngineRig, build_rig, heartbeat_of
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock

TRADED = 1000  # shares at 100: one rupee of price is 1,000 rupees of loss


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock, stale_quote_seconds=60.0, max_daily_loss=Decimal(500)) as desk:
        yield replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))


def check(rig: EngineRig) -> None:
    rig.components.duties.daily_loss.check(rig.desk)


def halted(desk: Desk) -> list[Scope]:
    with desk.database.read() as connection:
        return [each.scope for each in halts.all_in_force(connection)]


def delete_quote(desk: Desk, symbol: str) -> None:
    desk.writer.run(lambda connection: connection.execute(delete(quotes).where(quotes.c.symbol == symbol)))


def unlist(desk: Desk, symbol: str) -> None:
    replace_instruments(desk, [each for each in instruments() if each.symbol != symbol])


def alerts(desk: Desk) -> list[str]:
    """Return the subject of every alert that was opened, closed ones included."""
    with desk.database.read() as connection:
        return [each.subject for each in audit.all_events(connection) if each.kind == "risk.unpriced"]


def pnl_today(desk: Desk) -> Decimal:
    with desk.database.read() as connection:
        book = account_book.read_book(connection, desk.account, desk.venue)
        day = desk.calendar.trading_day(desk.clock())
        return daily_pnl.daily_pnl(connection, desk, ACCOUNT, day, book)


def test_daily_loss_of_the_account_halts_all_trading(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED))
    check(rig)
    set_prices(rig.desk, ALPHA="99.50")
    check(rig)
    with rig.desk.database.read() as connection:
        (halt,) = halts.all_in_force(connection)
    assert (halt.scope, halt.actor) == (ACCOUNT, "clock")
    check(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_daily_loss_of_a_strategy_halts_only_that_strategy(rig: EngineRig) -> None:
    limits.change(rig.desk, ACCOUNT, {"max_daily_loss": "100000"}, CAUSE)
    limits.change(rig.desk, Scope("trend"), {"max_daily_loss": "500"}, CAUSE)
    hold(rig.desk, str(TRADED), strategy="trend")
    check(rig)
    set_prices(rig.desk, ALPHA="99.40")
    check(rig)
    assert halted(rig.desk) == [Scope("trend")]


def test_new_day_has_a_new_baseline(rig: EngineRig, clock: FakeClock) -> None:
    hold(rig.desk, str(TRADED))
    check(rig)
    set_prices(rig.desk, ALPHA="99.70")
    check(rig)
    clock.forward(days=3)  # from Friday to Monday
    set_prices(rig.desk, ALPHA="99.25")
    check(rig)
    assert halted(rig.desk) == []
    set_prices(rig.desk, ALPHA="99.20")
    check(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_unpriced_symbol_does_not_prevent_a_halt_for_another_symbols_loss(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED))
    hold(rig.desk, "10", symbol=SECOND)
    check(rig)
    delete_quote(rig.desk, SECOND)
    check(rig)
    assert halted(rig.desk) == []
    set_prices(rig.desk, ALPHA="99.40")
    delete_quote(rig.desk, SECOND)
    check(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_realised_loss_counts_while_another_symbol_has_no_price(rig: EngineRig) -> None:
    hold(rig.desk, "10", symbol=SECOND)
    hold(rig.desk, str(TRADED))
    check(rig)
    delete_quote(rig.desk, SECOND)
    sold = sell(rig.desk, str(TRADED), limit="99.40", reduce_only=True)
    rig.route()
    rig.exchange.fill(sold, str(TRADED), "99.40")
    rig.reconcile()
    check(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_unlisted_position_counts_at_its_last_known_price(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED))
    check(rig)
    set_prices(rig.desk, ALPHA="99.40")
    unlist(rig.desk, SHARE)
    check(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_position_that_never_had_a_price_counts_at_cost(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED), at="97")
    check(rig)
    delete_quote(rig.desk, SHARE)
    check(rig)
    with rig.desk.database.read() as connection:
        seen = account_book.read_book(connection, rig.desk.account, rig.desk.venue)
        (unpriced,) = seen.unpriced_positions
        assert seen.unrealised() == seen.unrealised("") == unpriced.unrealised == 0
        assert seen.unrealised("trend") == 0


def test_entries_in_its_symbol_are_denied_while_a_position_has_no_price(rig: EngineRig) -> None:
    hold(rig.desk, "10", symbol=SECOND)
    delete_quote(rig.desk, SECOND)
    check(rig)
    assert buy(rig.desk, symbol=SECOND).code == DenialCode.NO_QUOTE
    assert buy(rig.desk).status is Status.CREATED


def test_loss_shown_by_the_first_price_counts(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED))
    delete_quote(rig.desk, SHARE)
    check(rig)
    set_prices(rig.desk, ALPHA="99.40")
    check(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_gain_shown_by_the_first_price_hides_no_loss_of_today(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED), strategy="trend")
    limits.change(rig.desk, Scope("trend"), {"max_daily_loss": "500"}, CAUSE)
    delete_quote(rig.desk, SHARE)
    check(rig)
    set_prices(rig.desk, ALPHA="104")
    check(rig)
    assert pnl_today(rig.desk) <= 0
    set_prices(rig.desk, ALPHA="103.40")
    check(rig)
    assert set(halted(rig.desk)) == {ACCOUNT, Scope("trend")}


def test_gain_shown_by_the_first_price_raises_only_its_strategys_baseline(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED), strategy="trend")
    for scope in ("trend", "other"):
        limits.change(rig.desk, Scope(scope), {"max_daily_loss": "500"}, CAUSE)
    delete_quote(rig.desk, SHARE)
    check(rig)
    set_prices(rig.desk, ALPHA="104")
    check(rig)
    day = rig.desk.calendar.trading_day(rig.desk.clock())
    with rig.desk.database.read() as connection:
        book = account_book.read_book(connection, rig.desk.account, rig.desk.venue)
        results = {
            name: daily_pnl.daily_pnl(connection, rig.desk, Scope(name), day, book)
            for name in ("trend", "other")
        }
    assert results["trend"] <= 100  # without the gain of 4,000, apart from fees
    assert results["other"] == 0


def test_unpriced_position_raises_one_alert_and_is_reported_until_it_has_a_price(rig: EngineRig) -> None:
    hold(rig.desk, "10", symbol=SECOND)
    delete_quote(rig.desk, SECOND)
    check(rig)
    check(rig)
    assert alerts(rig.desk) == [SECOND]
    for expected in ([SECOND], []):
        heartbeat_of(rig.components).write()
        assert open_alerts(rig.desk) == {("risk.unpriced", symbol) for symbol in expected}
        with rig.desk.database.read() as connection:
            assert connection.execute(heartbeats.select()).one().data["unpriced"] == expected
        set_prices(rig.desk)
        check(rig)
    assert alerts(rig.desk) == [SECOND]


def test_alert_of_an_unpriced_position_closes_although_the_engine_restarted(rig: EngineRig) -> None:
    hold(rig.desk, "10", symbol=SECOND)
    delete_quote(rig.desk, SECOND)
    check(rig)
    set_prices(rig.desk)
    DailyLossWatch().check(rig.desk)
    assert open_alerts(rig.desk) == set()


def test_working_order_on_an_unpriced_symbol_raises_no_alert(rig: EngineRig) -> None:
    order = rig.send(buy(rig.desk, symbol=SECOND))
    delete_quote(rig.desk, SECOND)
    check(rig)
    assert order.status is Status.OPEN
    assert alerts(rig.desk) == []


def test_loss_of_today_before_the_first_check_counts(rig: EngineRig, clock: FakeClock) -> None:
    """The engine was stopped, and reads trades of that time from the order book when it returns."""
    hold(rig.desk, str(TRADED))
    check(rig)
    out = rig.send(sell(rig.desk, str(TRADED), limit="99.40"))
    clock.forward(days=3)  # from Friday to Monday
    rig.exchange.fill(out, str(TRADED), "99.40")
    rig.reconcile()
    set_prices(rig.desk)
    check(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_gain_of_today_before_the_first_check_counts(rig: EngineRig, clock: FakeClock) -> None:
    hold(rig.desk, str(TRADED))
    out = rig.send(sell(rig.desk, str(TRADED), limit="101"))
    clock.forward(days=3)
    rig.exchange.fill(out, str(TRADED), "101")
    rig.reconcile()
    set_prices(rig.desk)
    check(rig)
    assert 1000 * (101 - 100) - 200 < pnl_today(rig.desk) < 1000  # less the fees of the sale


def test_limit_set_at_noon_counts_the_losses_of_the_morning(rig: EngineRig) -> None:
    limits.change(rig.desk, ACCOUNT, {"max_daily_loss": "100000"}, CAUSE)
    hold(rig.desk, str(TRADED), strategy="trend")
    rig.send(sold := sell(rig.desk, str(TRADED), limit="99.40", strategy="trend"))
    rig.exchange.fill(sold, str(TRADED), "99.40")
    rig.reconcile()
    check(rig)
    limits.change(rig.desk, Scope("trend"), {"max_daily_loss": "500"}, CAUSE)
    check(rig)
    assert halted(rig.desk) == [Scope("trend")]
    halts.resume_trading(rig.desk, CAUSE, scope=Scope("trend"))


@pytest.mark.parametrize("flattens", [True, False])
def test_lost_limit_closes_positions_if_the_setting_says_so(
    desk: Desk, exchange: FakeExchange, settings: Settings, flattens: bool
) -> None:
    rig = build_rig(replace(desk, flattens_on_daily_loss=flattens), exchange, settings.algosat.engine)
    set_prices(desk)
    hold(desk, str(TRADED))
    check(rig)
    set_prices(desk, ALPHA="99")
    check(rig)
    assert halted(desk) == [ACCOUNT]
    assert [order.terms.quantity for order in rig.working()] == ([TRADED] if flattens else [])
