"""The day's loss where something that is held has no price, and where losses came before the first look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import delete

from algosat.config.settings import Settings
from algosat.domain import sessions
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.orders import Status
from algosat.domain.risk import DenialCode
from algosat.engine.pulse import Pulse
from algosat.engine.quotes import list_instruments
from algosat.store import audit
from algosat.store.tables import heartbeats, quotes
from algosat.trading import book, halt, halts, limits, openings
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SECOND, SHARE, buy, hold, instruments, open_desk, sell, set_prices
from tests.app.engine.floor import Floor
from tests.app.fakes import FakeClock

TRADED = 1000  # at 100 each: a rupee of price is 1,000 of loss


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock, stale_quote_seconds=60.0, max_daily_loss=Decimal(500)) as desk:
        yield replace(desk, calendar=ExchangeCalendar(sessions.packaged()))


def look(floor: Floor) -> None:
    floor.parts.clock.losses.watch(floor.desk)


def halted(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return [each.scope for each in halts.in_force(connection)]


def forget_price(desk: Desk, symbol: str) -> None:
    desk.writer.run(lambda connection: connection.execute(delete(quotes).where(quotes.c.symbol == symbol)))


def unlist(desk: Desk, symbol: str) -> None:
    list_instruments(desk, [each for each in instruments() if each.symbol != symbol])


def warnings(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        return [each.subject for each in audit.all_events(connection) if each.kind == "risk.unpriced"]


def day_result(desk: Desk) -> Decimal:
    with desk.database.read() as connection:
        worth = book.worth(connection, desk.account, book.read(connection, desk.account))
        day = desk.calendar.trading_day(desk.clock())
        return openings.day_result(connection, desk.account, openings.WHOLE, day, worth)


def test_a_symbol_without_a_price_keeps_no_loss_of_another_from_halting(floor: Floor) -> None:
    hold(floor.desk, str(TRADED))
    hold(floor.desk, "10", symbol=SECOND)
    look(floor)
    forget_price(floor.desk, SECOND)
    look(floor)
    assert halted(floor.desk) == []
    set_prices(floor.desk, ALPHA="99.40")
    forget_price(floor.desk, SECOND)
    look(floor)
    assert halted(floor.desk) == [halts.ALL]


def test_what_was_lost_for_good_counts_whatever_has_no_price(floor: Floor) -> None:
    hold(floor.desk, "10", symbol=SECOND)
    hold(floor.desk, str(TRADED))
    look(floor)
    forget_price(floor.desk, SECOND)
    sold = sell(floor.desk, str(TRADED), limit="99.40", reduce_only=True)
    floor.route()
    floor.exchange.fill(sold, str(TRADED), "99.40")
    floor.look()
    look(floor)
    assert halted(floor.desk) == [halts.ALL]


def test_what_is_listed_no_more_counts_at_its_last_known_price(floor: Floor) -> None:
    hold(floor.desk, str(TRADED))
    look(floor)
    set_prices(floor.desk, ALPHA="99.40")
    unlist(floor.desk, SHARE)
    look(floor)
    assert halted(floor.desk) == [halts.ALL]


def test_what_never_had_a_price_has_won_and_lost_nothing_yet(floor: Floor) -> None:
    hold(floor.desk, str(TRADED), at="97")
    look(floor)
    forget_price(floor.desk, SHARE)
    look(floor)
    with floor.desk.database.read() as connection:
        seen = book.read(connection, floor.desk.account)
        (stranded,) = seen.stranded
        assert seen.unrealised() == seen.unrealised("") == stranded.unrealised == 0
        assert seen.unrealised("trend") == 0


def test_nothing_is_opened_while_something_held_has_no_price(floor: Floor) -> None:
    hold(floor.desk, "10", symbol=SECOND)
    forget_price(floor.desk, SECOND)
    look(floor)
    assert buy(floor.desk).code == DenialCode.NO_QUOTE


def test_a_loss_that_the_first_price_shows_counts(floor: Floor) -> None:
    hold(floor.desk, str(TRADED))
    forget_price(floor.desk, SHARE)
    look(floor)
    set_prices(floor.desk, ALPHA="99.40")
    look(floor)
    assert halted(floor.desk) == [halts.ALL]


def test_a_gain_that_the_first_price_shows_hides_no_loss_of_today(floor: Floor) -> None:
    hold(floor.desk, str(TRADED), strategy="trend")
    limits.change(floor.desk, "trend", {"max_daily_loss": "500"}, CAUSE)
    forget_price(floor.desk, SHARE)
    look(floor)
    set_prices(floor.desk, ALPHA="104")
    look(floor)
    assert day_result(floor.desk) <= 0
    set_prices(floor.desk, ALPHA="103.40")
    look(floor)
    assert sorted(halted(floor.desk)) == [halts.ALL, "trend"]


def test_a_strategys_first_price_moves_only_what_it_is_measured_against(floor: Floor) -> None:
    hold(floor.desk, str(TRADED), strategy="trend")
    for scope in ("trend", "other"):
        limits.change(floor.desk, scope, {"max_daily_loss": "500"}, CAUSE)
    forget_price(floor.desk, SHARE)
    look(floor)
    set_prices(floor.desk, ALPHA="104")
    look(floor)
    day = floor.desk.calendar.trading_day(floor.desk.clock())
    with floor.desk.database.read() as connection:
        results = {
            name: openings.day_result(connection, floor.desk.account, name, day, worth)
            for name, worth in (("trend", Decimal(4000)), ("other", Decimal(0)))
        }
    assert results["trend"] <= 100  # without the gain of 4,000; fees aside
    assert results["other"] == 0


def test_the_operator_hears_of_it_once_and_health_says_so_until_it_is_over(floor: Floor) -> None:
    hold(floor.desk, "10", symbol=SECOND)
    forget_price(floor.desk, SECOND)
    look(floor)
    look(floor)
    assert warnings(floor.desk) == [SECOND]
    pulse = Pulse(floor.desk, floor.parts)
    for expected in ([SECOND], []):
        pulse.beat()
        with floor.desk.database.read() as connection:
            assert connection.execute(heartbeats.select()).one().data["unpriced"] == expected
        set_prices(floor.desk)
        look(floor)
    assert warnings(floor.desk) == [SECOND]


def test_an_order_on_a_symbol_without_price_alone_strands_nothing(floor: Floor) -> None:
    order = floor.sent(buy(floor.desk, symbol=SECOND))
    forget_price(floor.desk, SECOND)
    look(floor)
    assert order.status is Status.OPEN
    assert warnings(floor.desk) == []


def test_what_was_lost_today_before_the_first_look_counts(floor: Floor, clock: FakeClock) -> None:
    """As when the engine was away, and the broker's book shows on its return what was traded meanwhile."""
    hold(floor.desk, str(TRADED))
    look(floor)
    out = floor.sent(sell(floor.desk, str(TRADED), limit="99.40"))
    clock.forward(days=3)  # from Friday to Monday
    floor.exchange.fill(out, str(TRADED), "99.40")
    floor.look()
    set_prices(floor.desk)
    look(floor)
    assert halted(floor.desk) == [halts.ALL]


def test_what_was_won_today_before_the_first_look_hides_no_loss(floor: Floor, clock: FakeClock) -> None:
    hold(floor.desk, str(TRADED))
    out = floor.sent(sell(floor.desk, str(TRADED), limit="101"))
    clock.forward(days=3)
    floor.exchange.fill(out, str(TRADED), "101")
    floor.look()
    set_prices(floor.desk)
    look(floor)
    assert day_result(floor.desk) == 0


def test_a_limit_set_at_noon_counts_what_the_strategy_lost_in_the_morning(floor: Floor) -> None:
    limits.change(floor.desk, limits.ACCOUNT, {"max_daily_loss": "100000"}, CAUSE)
    hold(floor.desk, str(TRADED), strategy="trend")
    floor.sent(sold := sell(floor.desk, str(TRADED), limit="99.40", strategy="trend"))
    floor.exchange.fill(sold, str(TRADED), "99.40")
    floor.look()
    look(floor)
    limits.change(floor.desk, "trend", {"max_daily_loss": "500"}, CAUSE)
    look(floor)
    assert halted(floor.desk) == ["trend"]
    halt.resume(floor.desk, CAUSE, scope="trend")
