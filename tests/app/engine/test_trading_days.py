"""After each of many trading days the books agree with the broker's, and the charges with its notes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, time, timedelta
from decimal import Decimal

import pytest

from algosat.config.settings import ChargesSettings, Settings
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.market_phases import Phase, SpecialSession, Window, packaged
from algosat.store.ledger import Bookkeeping
from algosat.trading.desk import Charging, Desk
from tests.app import thorough
from tests.app.desks import open_desk
from tests.app.engine.trading_days import TradingDays
from tests.app.fakes import FakeClock

# A Sunday on which the market trades for an hour; 10 and 24 November are holidays.
SPECIAL = SpecialSession("Muhurat", (Window(Phase.CONTINUOUS, time(13, 45), time(14, 45)),))
CALENDAR = ExchangeCalendar(packaged().extended(special={date(2026, 11, 8): SPECIAL}))
WEEK, MONTH = (date(2026, 11, 5), date(2026, 11, 12)), (date(2026, 11, 2), date(2026, 11, 30))


@pytest.fixture
def desk(settings: Settings, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, clock, max_daily_loss=Decimal(10**8), max_orders_per_day=10_000) as desk:
        settings_of = ChargesSettings(brokerage="zerodha", exchange="nse")
        charging = Charging(desk.database, desk.venue, settings_of, desk.currency)
        books = Bookkeeping(CALENDAR.trading_day, charging.note, charging.fees_without_note)
        yield replace(desk, calendar=CALENDAR, books=books, square_off_before_close=timedelta(minutes=15))


@pytest.mark.parametrize("seed", range(thorough.FACTOR))
def test_books_agree_and_charges_equal_the_note_every_evening(
    seed: int, desk: Desk, clock: FakeClock, settings: Settings
) -> None:
    life = TradingDays(seed, desk, clock, settings.algosat.engine, CALENDAR)
    first, last = WEEK if thorough.FACTOR == 1 else MONTH
    life.live_through(first, last)
    assert len(life.evenings) == (6 if thorough.FACTOR == 1 else 20)
    assert date(2026, 11, 8) in life.evenings
    assert date(2026, 11, 10) not in life.evenings
    assert life.adjusted > 0
    # Each trade that no engine saw is a difference of shares and of cash. Nothing else ever was.
    assert life.differences() == {"holding": life.adjusted, "cash": life.adjusted}
    assert all(life.traded(strategy) for strategy in ("", "trend", "swing", "external"))
