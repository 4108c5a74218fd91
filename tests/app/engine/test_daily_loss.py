"""The day's loss where something that is held has no price, and where losses came before the first look."""

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
from algosat.engine.heartbeat import EngineHeartbeat
from algosat.engine.quotes import replace_instruments
from algosat.store import audit
from algosat.store.tables import heartbeats, quotes
from algosat.trading import account_book, daily_pnl, halts, limits
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SECOND, SHARE, buy, hold, instruments, open_desk, sell, set_prices
from tests.app.engine.rig import EngineRig
from tests.app.fakes import FakeClock

TRADED = 1000  # at 100 each: a rupee of price is 1,000 of loss


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock, stale_quote_seconds=60.0, max_daily_loss=Decimal(500)) as desk:
        yield replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))


def look(rig: EngineRig) -> None:
    rig.components.duties.daily_loss.check(rig.desk)


def halted(desk: Desk) -> list[Scope]:
    with desk.database.read() as connection:
        return [each.scope for each in halts.in_force(connection)]


def forget_price(desk: Desk, symbol: str) -> None:
    desk.writer.run(lambda connection: connection.execute(delete(quotes).where(quotes.c.symbol == symbol)))


def unlist(desk: Desk, symbol: str) -> None:
    replace_instruments(desk, [each for each in instruments() if each.symbol != symbol])


def warnings(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return [each.subject for each in audit.all_events(connection) if each.kind == "risk.unpriced"]


def day_result(desk: Desk) -> Decimal:
    with desk.database.read() as connection:
        worth = account_book.equity(
            connection, desk.account, account_book.read_book(connection, desk.account)
        )
        day = desk.calendar.trading_day(desk.clock())
        return daily_pnl.daily_pnl(connection, desk.account, ACCOUNT, day, worth)


def test_a_symbol_without_a_price_keeps_no_loss_of_another_from_halting(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED))
    hold(rig.desk, "10", symbol=SECOND)
    look(rig)
    forget_price(rig.desk, SECOND)
    look(rig)
    assert halted(rig.desk) == []
    set_prices(rig.desk, ALPHA="99.40")
    forget_price(rig.desk, SECOND)
    look(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_what_was_lost_for_good_counts_whatever_has_no_price(rig: EngineRig) -> None:
    hold(rig.desk, "10", symbol=SECOND)
    hold(rig.desk, str(TRADED))
    look(rig)
    forget_price(rig.desk, SECOND)
    sold = sell(rig.desk, str(TRADED), limit="99.40", reduce_only=True)
    rig.route()
    rig.exchange.fill(sold, str(TRADED), "99.40")
    rig.look()
    look(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_what_is_listed_no_more_counts_at_its_last_known_price(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED))
    look(rig)
    set_prices(rig.desk, ALPHA="99.40")
    unlist(rig.desk, SHARE)
    look(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_what_never_had_a_price_has_won_and_lost_nothing_yet(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED), at="97")
    look(rig)
    forget_price(rig.desk, SHARE)
    look(rig)
    with rig.desk.database.read() as connection:
        seen = account_book.read_book(connection, rig.desk.account)
        (stranded,) = seen.stranded
        assert seen.unrealised() == seen.unrealised("") == stranded.unrealised == 0
        assert seen.unrealised("trend") == 0


def test_nothing_is_opened_while_something_held_has_no_price(rig: EngineRig) -> None:
    hold(rig.desk, "10", symbol=SECOND)
    forget_price(rig.desk, SECOND)
    look(rig)
    assert buy(rig.desk).code == DenialCode.NO_QUOTE


def test_a_loss_that_the_first_price_shows_counts(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED))
    forget_price(rig.desk, SHARE)
    look(rig)
    set_prices(rig.desk, ALPHA="99.40")
    look(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_a_gain_that_the_first_price_shows_hides_no_loss_of_today(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED), strategy="trend")
    limits.change(rig.desk, Scope("trend"), {"max_daily_loss": "500"}, CAUSE)
    forget_price(rig.desk, SHARE)
    look(rig)
    set_prices(rig.desk, ALPHA="104")
    look(rig)
    assert day_result(rig.desk) <= 0
    set_prices(rig.desk, ALPHA="103.40")
    look(rig)
    assert set(halted(rig.desk)) == {ACCOUNT, Scope("trend")}


def test_a_strategys_first_price_moves_only_what_it_is_measured_against(rig: EngineRig) -> None:
    hold(rig.desk, str(TRADED), strategy="trend")
    for scope in ("trend", "other"):
        limits.change(rig.desk, Scope(scope), {"max_daily_loss": "500"}, CAUSE)
    forget_price(rig.desk, SHARE)
    look(rig)
    set_prices(rig.desk, ALPHA="104")
    look(rig)
    day = rig.desk.calendar.trading_day(rig.desk.clock())
    with rig.desk.database.read() as connection:
        results = {
            name: daily_pnl.daily_pnl(connection, rig.desk.account, Scope(name), day, worth)
            for name, worth in (("trend", Decimal(4000)), ("other", Decimal(0)))
        }
    assert results["trend"] <= 100  # without the gain of 4,000; fees aside
    assert results["other"] == 0


def test_the_operator_hears_of_it_once_and_health_says_so_until_it_is_over(rig: EngineRig) -> None:
    hold(rig.desk, "10", symbol=SECOND)
    forget_price(rig.desk, SECOND)
    look(rig)
    look(rig)
    assert warnings(rig.desk) == [SECOND]
    heartbeat = EngineHeartbeat(rig.desk, rig.components)
    for expected in ([SECOND], []):
        heartbeat.write()
        with rig.desk.database.read() as connection:
            assert connection.execute(heartbeats.select()).one().data["unpriced"] == expected
        set_prices(rig.desk)
        look(rig)
    assert warnings(rig.desk) == [SECOND]


def test_an_order_on_a_symbol_without_price_alone_strands_nothing(rig: EngineRig) -> None:
    order = rig.sent(buy(rig.desk, symbol=SECOND))
    forget_price(rig.desk, SECOND)
    look(rig)
    assert order.status is Status.OPEN
    assert warnings(rig.desk) == []


def test_what_was_lost_today_before_the_first_look_counts(rig: EngineRig, clock: FakeClock) -> None:
    """As when the engine was away, and the broker's book shows on its return what was traded meanwhile."""
    hold(rig.desk, str(TRADED))
    look(rig)
    out = rig.sent(sell(rig.desk, str(TRADED), limit="99.40"))
    clock.forward(days=3)  # from Friday to Monday
    rig.exchange.fill(out, str(TRADED), "99.40")
    rig.look()
    set_prices(rig.desk)
    look(rig)
    assert halted(rig.desk) == [ACCOUNT]


def test_what_was_won_today_before_the_first_look_hides_no_loss(rig: EngineRig, clock: FakeClock) -> None:
    hold(rig.desk, str(TRADED))
    out = rig.sent(sell(rig.desk, str(TRADED), limit="101"))
    clock.forward(days=3)
    rig.exchange.fill(out, str(TRADED), "101")
    rig.look()
    set_prices(rig.desk)
    look(rig)
    assert day_result(rig.desk) == 0


def test_a_limit_set_at_noon_counts_what_the_strategy_lost_in_the_morning(rig: EngineRig) -> None:
    limits.change(rig.desk, ACCOUNT, {"max_daily_loss": "100000"}, CAUSE)
    hold(rig.desk, str(TRADED), strategy="trend")
    rig.sent(sold := sell(rig.desk, str(TRADED), limit="99.40", strategy="trend"))
    rig.exchange.fill(sold, str(TRADED), "99.40")
    rig.look()
    look(rig)
    limits.change(rig.desk, Scope("trend"), {"max_daily_loss": "500"}, CAUSE)
    look(rig)
    assert halted(rig.desk) == [Scope("trend")]
    halts.resume_trading(rig.desk, CAUSE, scope=Scope("trend"))
