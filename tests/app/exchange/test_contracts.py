"""Which contracts are listed on which day, and when they expire."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from algosat.domain.calendar import AlwaysOpen, Calendar, ExchangeCalendar
from algosat.domain.instruments import Instrument, InstrumentKind, OptionType, SettlementMethod
from algosat.domain.market_phases import packaged
from algosat.exchange import contracts, listings
from algosat.exchange.listings import Universe

CALENDAR = ExchangeCalendar(packaged())
CHAINS = contracts.packaged_chains()
CLOSES = {symbol: listing.price for symbol, listing in listings.packaged().items()}
FRIDAY = date(2026, 11, 20)


def listed(day: date, *, calendar: Calendar = CALENDAR, **differences: Decimal) -> Universe:
    closes = CLOSES | {name.replace("_", "-"): price for name, price in differences.items()}
    return contracts.listed_contracts(CHAINS, calendar, day, closes)


def expiries(day: date, chain: str, kind: InstrumentKind, calendar: Calendar = CALENDAR) -> list[date]:
    found = (each.instrument for symbol, each in listed(day, calendar=calendar).items() if chain in symbol)
    return sorted({each.expiry for each in found if each.kind is kind and each.expiry is not None})


@pytest.mark.parametrize(
    ("day", "of_options", "of_futures"),
    [
        # Tuesday 24 November 2026 is a holiday: the month's contracts and that week's expire on Monday.
        (date(2026, 11, 16), [date(2026, 11, 17), date(2026, 11, 23)], [date(2026, 11, 23)]),
        (FRIDAY, [date(2026, 11, 23), date(2026, 12, 29)], [date(2026, 11, 23), date(2026, 12, 29)]),
        (date(2026, 11, 25), [date(2026, 12, 1), date(2026, 12, 29)], [date(2026, 12, 29)]),
        # Tuesday 20 October is a holiday too, and no last one of its month.
        (date(2026, 10, 19), [date(2026, 10, 19), date(2026, 10, 27)], [date(2026, 10, 27)]),
        (
            date(2026, 10, 21),
            [date(2026, 10, 27), date(2026, 11, 23)],
            [date(2026, 10, 27), date(2026, 11, 23)],
        ),
    ],
)
def test_contracts_expire_on_tuesday_or_the_trading_day_before(
    day: date, of_options: list[date], of_futures: list[date]
) -> None:
    assert expiries(day, "BREADTH", InstrumentKind.OPTION) == of_options
    assert expiries(day, "NOVA", InstrumentKind.FUTURE) == of_futures


@pytest.mark.parametrize("calendar", [CALENDAR, CALENDAR.assuming_weekdays()])
def test_contracts_beyond_the_calendar_are_not_listed(calendar: Calendar) -> None:
    assert expiries(date(2026, 12, 30), "BREADTH", InstrumentKind.OPTION, calendar) == []
    assert expiries(date(2026, 12, 28), "NOVA", InstrumentKind.OPTION, calendar) == [date(2026, 12, 29)]


def test_market_that_never_closes_lists_contracts_without_an_end() -> None:
    calendar = AlwaysOpen()
    assert expiries(date(2026, 12, 30), "NOVA", InstrumentKind.OPTION, calendar) == [date(2027, 1, 26)]
    assert expiries(date(2026, 11, 24), "NOVA", InstrumentKind.OPTION, calendar)[0] == date(2026, 11, 24)


def test_strikes_lie_around_the_price_of_the_underlying() -> None:
    strikes = {each.instrument.strike for each in listed(FRIDAY).values() if "NOVA" in each.symbol}
    assert strikes - {None} == {Decimal(1480), Decimal(1500), Decimal(1520), Decimal(1540), Decimal(1560)}


def test_strikes_stay_listed_when_the_price_moves_away() -> None:
    before = listed(FRIDAY)
    closes = CLOSES | {"NOVA-EQ": Decimal(1600)}
    after = contracts.listed_contracts(CHAINS, CALENDAR, FRIDAY + timedelta(days=3), closes, before)
    assert before.keys() < after.keys()
    assert "NOVA-261123-1640-CE" in after


def test_expired_contracts_leave_the_list() -> None:
    before = listed(FRIDAY)
    after = contracts.listed_contracts(CHAINS, CALENDAR, date(2026, 11, 25), CLOSES, before)
    assert "BREADTH-261123-24800-CE" in before
    assert all((each.instrument.expiry or FRIDAY) >= date(2026, 11, 25) for each in after.values())


def test_few_instruments_are_listed_on_every_day_of_the_year() -> None:
    for number in range(0, 360, 9):
        day = CALENDAR.trading_day(datetime(2026, 1, 2, 6, tzinfo=UTC) + timedelta(days=number))
        assert 13 + len(listed(day)) <= 80


def test_symbol_says_what_the_contract_is() -> None:
    option = listed(FRIDAY)["BREADTH-261123-24800-PE"].instrument
    assert option == Instrument(
        symbol="BREADTH-261123-24800-PE",
        name="Ten shares 23 Nov 2026 24800 put",
        kind=InstrumentKind.OPTION,
        segment="derivatives",
        tick=Decimal("0.05"),
        lot=Decimal(65),
        freeze_quantity=Decimal(1755),
        expiry=date(2026, 11, 23),
        underlying="BREADTH-FUT",
        strike=Decimal(24800),
        option_type=OptionType.PUT,
        settlement=SettlementMethod.CASH,
    )
    assert listed(FRIDAY)["NOVA-261123-FUT"].instrument.settlement is SettlementMethod.PHYSICAL


def test_contracts_are_rebuilt_from_their_symbols() -> None:
    before = listed(FRIDAY)
    rebuilt = contracts.rebuild_contracts(CHAINS, [*before, *CLOSES, "X-261123-FUT", "NOVA-FUT"], CLOSES)
    assert {each.instrument for each in rebuilt.values()} == {each.instrument for each in before.values()}


def test_contract_is_settled_when_its_trading_ends() -> None:
    option = listed(FRIDAY)["BREADTH-261123-24800-PE"].instrument
    assert contracts.settles_at(CALENDAR, option) == datetime(2026, 11, 23, 10, 10, tzinfo=UTC)  # 15:40
    assert contracts.settles_at(AlwaysOpen(), option) == datetime(2026, 11, 23, 18, 29, 59, tzinfo=UTC)
    assert contracts.settles_at(CALENDAR, listings.packaged()["NOVA-FUT"].instrument) is None


@pytest.mark.parametrize(
    ("symbol", "close", "value"),
    [
        ("BREADTH-261123-24800-CE", "24812.30", "12.30"),
        ("BREADTH-261123-24800-CE", "24800", "0"),
        ("BREADTH-261123-24800-PE", "24812.30", "0"),
        ("BREADTH-261123-24800-PE", "24700.10", "99.90"),
        ("BREADTH-261123-FUT", "24700.10", "24700.10"),
    ],
)
def test_value_at_expiry_is_the_intrinsic_value(symbol: str, close: str, value: str) -> None:
    assert listed(FRIDAY)[symbol].instrument.value_at_expiry(Decimal(close)) == Decimal(value)
