"""An engine that was away from any moment to any other ends as one that was there, or says what it missed.

Each example runs twice on one market, which goes on without the engine: once with the engine there all the
time, once with the engine away between two moments.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from algosat.config.loader import load
from algosat.config.settings import EngineSettings
from algosat.domain import market_phases
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import EXCHANGE_TIME, ExchangeCalendar
from algosat.domain.orders import LIVE, Order, OrderType, Product, Side, Status, Trade
from algosat.domain.orders.report import OrderReport
from algosat.engine.heartbeat import alert_of_absence
from algosat.store import queries
from algosat.store.tables import alerts
from algosat.store.verify.verify import verify
from algosat.trading import halts
from algosat.trading.desk import Desk
from algosat.trading.halts import Halt
from algosat.trading.place import place_order
from tests.app.builders import algosat_data, write_configuration
from tests.app.cases.world import ist
from tests.app.desks import CAUSE, SHARE, open_desk, order_now, quote_of, terms_of
from tests.app.engine.rig import EngineRig, build_rig, heartbeat_of, step_duties
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import FakeClock
from tests.app.thorough import examples

pytestmark = pytest.mark.sqlite

DAYS: Final = (25, 26, 27)  # of November 2026: three trading days
NIGHT, OPENS, CLOSES, EVENING = time(0, 5), time(9, 15), time(15, 30), time(17, 0)
STEP: Final = timedelta(minutes=45)
MAX_LOSS: Final = Decimal(1_000)
CALENDAR: Final = ExchangeCalendar(market_phases.packaged())
RULES: Final = EngineSettings(
    poll_seconds=0.5,
    reconcile_seconds=1,
    unknown_window_seconds=30,
    orders_per_second=10,
    orders_per_minute=300,
    orders_per_day=5000,
    send_deadline_seconds=30,
    square_off_minutes=15,
    flatten_on_daily_loss=False,
)
# What an engine says that comes back too late to close an intraday position on its day.
NOT_FLAT: Final = frozenset({"close.square_off_missed"})


def on(day: int, at: time) -> datetime:
    return ist(2026, 11, day, at.hour, at.minute)


def moments() -> Iterator[datetime]:
    """Yield the moments at which the market moves, from the first opening to the last evening."""
    for day in DAYS:
        if day != DAYS[0]:
            yield on(day, NIGHT)
        at = on(day, OPENS)
        while at <= on(day, EVENING):
            yield at
            at += STEP


MOMENTS: Final = tuple(moments())
OPENINGS: Final = tuple(MOMENTS.index(on(day, OPENS)) for day in DAYS)


class Kind(StrEnum):
    """What the trader places on the first morning."""

    HOLD = "hold"  # buys for delivery
    LIMIT = "limit"  # buys below the market
    PROTECTED = "protected"  # buys for delivery, with a stop below the market
    LONG = "long"  # intraday
    SHORT = "short"  # intraday


@dataclass(frozen=True, slots=True)
class Scenario:
    prices: tuple[
        tuple[int, int], ...
    ]  # of each day, in percent: from the last close to the open, and from there
    orders: tuple[
        tuple[Kind, int, int], ...
    ]  # quantity, and distance of its price from the market in percent
    leaves: int  # number of the first moment without the engine
    returns: int  # number of the first moment with the engine again
    forgets: bool = False  # whether the broker forgets a day's orders with the day

    def is_away(self, number: int) -> bool:
        return self.leaves <= number < self.returns

    def is_away_at(self, at: datetime) -> bool:
        return MOMENTS[self.leaves] <= at < MOMENTS[self.returns]


class Market(FakeExchange):
    """An exchange with one share, whose price is a function of time alone."""

    def __init__(self, clock: FakeClock, scenario: Scenario) -> None:
        super().__init__(clock)
        self.scenario = scenario
        self.reports_of_today = self._of_today

    @property
    def is_open(self) -> bool:
        return OPENS <= self.clock().astimezone(EXCHANGE_TIME).time() < CLOSES

    def price(self) -> Decimal:
        """Return the price now; after the close, the last one of the day."""
        price, now = 100.0, self.clock()
        for day, (gap, change) in zip(DAYS, self.scenario.prices, strict=True):
            share = (now - on(day, OPENS)) / (on(day, CLOSES) - on(day, OPENS))
            if share < 0:
                break
            price *= (1 + gap / 100) * (1 + change / 100 * min(share, 1.0))
        return Decimal(round(price * 20)) / 20

    def go_on(self) -> None:
        """Fill what the price reaches, and expire what is left at the end of the day."""
        for number, report in list(self.book.items()):
            if report.status not in LIVE:
                continue
            if self.is_open and self._reaches(report):
                self._fill(number, report)
            elif not self.is_open or report.at.date() < self.clock().date():
                self.book[number] = replace(report, status=Status.EXPIRED, at=self.clock())

    def find(self, order: Order) -> OrderReport | None:
        found = super().find(order)
        return None if found is None or (self.scenario.forgets and found not in self._of_today()) else found

    def _of_today(self) -> list[OrderReport]:
        return [each for each in self.book.values() if each.at.date() == self.clock().date()]

    def _reaches(self, report: OrderReport) -> bool:
        terms, sign = report.terms, report.terms.side.sign
        if terms.trigger_price is not None:
            return (self.price() - terms.trigger_price) * sign >= 0
        limit = terms.limit_price or terms.protection_price
        return limit is None or (limit - self.price()) * sign >= 0

    def _fill(self, number: str, report: OrderReport) -> None:
        trade = Trade(f"{number}-1", report.terms.quantity, self.price(), self.clock())
        self.book[number] = replace(
            report,
            status=Status.FILLED,
            filled_quantity=trade.quantity,
            trades=(trade,),
            at=self.clock(),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    held: dict[str, Decimal]  # by product
    statuses: tuple[tuple[Status, Decimal], ...]  # with the filled quantity, of the orders placed
    halts: tuple[Halt, ...]
    alerts: frozenset[str]  # kinds of all alerts opened
    findings: list[str]


def run(directory: Path, store: Path, scenario: Scenario, *, away: bool) -> Outcome:
    """Run a scenario on a store of its own."""
    with open_site(directory, store) as (desk, clock):
        market = Market(clock, scenario)
        rig: EngineRig | None = None
        placed: list[Order] = []
        for number, at in enumerate(MOMENTS):
            clock.at = at
            market.go_on()
            if away and scenario.is_away(number):
                rig = None
                continue
            rig = rig or start(desk, market)
            work(rig, market)
            if number == 1:
                placed = [order for each in scenario.orders for order in place(rig, market, *each)]
            for _ in range(2):  # the cancels and exits of halts and square-offs follow each other
                clock.forward(seconds=6)
                work(rig, market)
        return outcome(desk, placed)


@contextmanager
def open_site(directory: Path, store: Path) -> Iterator[tuple[Desk, FakeClock]]:
    directory.mkdir()
    url = f"sqlite:///{shutil.copy(store, directory)}"
    file = load(write_configuration(directory, algosat_data(directory, database__url=url)))
    clock = FakeClock(MOMENTS[0])
    with open_desk(file, clock, stale_quote_seconds=60.0, max_daily_loss=MAX_LOSS) as desk:
        books = replace(desk.books, trading_day=CALENDAR.trading_day)
        yield replace(desk, calendar=CALENDAR, books=books), clock


def start(desk: Desk, market: Market) -> EngineRig:
    """Start an engine, in the order in which its process starts."""
    alert_of_absence(desk)
    return build_rig(desk, market, RULES)


def work(rig: EngineRig, market: Market) -> None:
    """Do what the engine's threads do in a moment."""
    if market.is_open:
        rig.components.quotes.update([quote_of(SHARE, market.clock(), str(market.price()))])
        rig.components.quotes.flush()
    rig.route()
    market.go_on()
    rig.reconcile()
    step_duties(rig.components)
    rig.route()
    heartbeat_of(rig.components).write()


def place(rig: EngineRig, market: Market, kind: Kind, quantity: int, distance: int) -> list[Order]:
    """Place what the trader wants, and wait for fills at the market."""
    below = (market.price() * (100 - distance) / 100).quantize(Decimal("0.1"))
    product = Product.INTRADAY if kind in (Kind.LONG, Kind.SHORT) else Product.DELIVERY
    terms = terms_of(str(quantity), limit=None, product=product)
    match kind:
        case Kind.SHORT:
            wanted = [replace(terms, side=Side.SELL)]
        case Kind.LIMIT:
            wanted = [replace(terms, type=OrderType.LIMIT, limit_price=below)]
        case Kind.PROTECTED:
            stop = replace(terms, side=Side.SELL, type=OrderType.STOP, trigger_price=below, reduce_only=True)
            wanted = [terms, stop]
        case _:
            wanted = [terms]
    placed = []
    for each in wanted:
        placed.append(place_order(rig.desk, each, CAUSE).order)
        market.clock.forward(seconds=6)
        work(rig, market)
    return placed


def outcome(desk: Desk, placed: list[Order]) -> Outcome:
    with desk.database.read() as connection:
        positions = queries.open_positions(connection, desk.account)
        opened = connection.execute(select(alerts.c.kind)).scalars()
        now = [order_now(desk, order) for order in placed]
        return Outcome(
            held={position.product: position.quantity for position in positions},
            statuses=tuple((order.status, order.filled_quantity) for order in now),
            halts=tuple(halts.all_in_force(connection)),
            alerts=frozenset(opened),
            findings=verify(connection).findings,
        )


STILL: Final = (0, 0)
GAP_AT_NIGHT: Final = Scenario(
    prices=(STILL, (-4, 0), STILL), orders=((Kind.HOLD, 400, 1),), leaves=OPENINGS[1] - 2, returns=OPENINGS[1]
)
MISSED_FILL: Final = Scenario(
    prices=((0, -3), STILL, STILL), orders=((Kind.LIMIT, 50, 2),), leaves=3, returns=OPENINGS[1]
)
MISSED_SQUARE_OFF: Final = Scenario(
    prices=(STILL, STILL, STILL), orders=((Kind.LONG, 50, 1),), leaves=5, returns=OPENINGS[2]
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    last = len(MOMENTS) - 1
    leaves = draw(st.integers(2, last - 1))
    if draw(st.booleans()):  # back at an opening
        returns = draw(st.sampled_from([each for each in OPENINGS if each > leaves] or [last]))
    else:
        returns = draw(st.integers(leaves + 1, last))
    percent = st.tuples(st.sampled_from((-4, -2, 0, 2)), st.sampled_from((-3, -1, 0, 2)))
    order = st.tuples(st.sampled_from(Kind), st.sampled_from((50, 200, 400)), st.integers(1, 4))
    return Scenario(
        prices=tuple(draw(percent) for _ in DAYS),
        orders=tuple(draw(st.lists(order, min_size=1, max_size=3))),
        leaves=leaves,
        returns=returns,
        forgets=draw(st.booleans()),
    )


@settings(max_examples=examples(2))
@given(scenario=scenarios())
@example(scenario=GAP_AT_NIGHT)
@example(scenario=MISSED_FILL)
@example(scenario=replace(MISSED_FILL, forgets=True))
@example(scenario=MISSED_SQUARE_OFF)
def test_engine_that_was_away_ends_as_one_that_was_there(
    scenario: Scenario, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("absence")
    there = run(directory / "there", empty_store, scenario, away=False)
    away = run(directory / "away", empty_store, scenario, away=True)
    assert there.findings == away.findings == []
    assert is_flat(there)
    assert is_flat(away) or away.alerts & NOT_FLAT
    if scenario.forgets and AlertKind.BROKER_OUTCOME_MISSED in away.alerts:
        return
    if there.halts or away.halts:
        # Loss limits are not watched while the engine is away in trading hours, and exits have other prices.
        assert len(there.halts) == len(away.halts) or AlertKind.ENGINE_AWAY in away.alerts
        return
    assert away.statuses == there.statuses
    assert away.held.get(Product.DELIVERY) == there.held.get(Product.DELIVERY)


def is_flat(outcome: Outcome) -> bool:
    """Return whether no intraday position is left."""
    return Product.INTRADAY not in outcome.held
