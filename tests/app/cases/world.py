"""A world: a desk, the engine's components and the paper exchange on one clock, which the test sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

import yaml
from sqlalchemy import Row, select

from algosat.brokers.base import BookHint, BrokerSession, SessionState
from algosat.brokers.paper.broker import PaperBroker
from algosat.brokers.paper.build import paper_rules
from algosat.config.loader import load
from algosat.config.settings import AlgosatFile
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.instruments import Quote
from algosat.domain.orders import Order, OrderTerms, OrderType, Product, Side, Status
from algosat.domain.orders.report import OrderReport
from algosat.domain.scope import IN_HALTS
from algosat.engine.assembly import Components, assemble
from algosat.store import ledger, queries
from algosat.store.database import Database
from algosat.store.tables import alerts
from algosat.store.wakeup.unix_socket import SocketNotifier
from algosat.store.writer import Writer
from algosat.trading import desk as desks
from algosat.trading import halts, place
from algosat.trading.desk import Desk
from tests.app.builders import algosat_data, write_configuration
from tests.app.desks import CAUSE, order_now
from tests.app.engine.rig import source_of, step_duties
from tests.app.fakes import KEYRING, FakeClock, InlineWorkers
from tools.paths import ROOT

CASH: Final = Decimal(1_000_000)
_ROLE_DEFAULTS: Final = ROOT / "roles" / "algosat" / "defaults" / "main.yml"
_RISK: Final = "algosat_risk_"


class SetupFailed(RuntimeError):
    """A case could not be set up. Not an AssertionError, so that no expected failure hides it."""


class SteppedBroker(PaperBroker):
    """A paper exchange without its thread: it moves when the test calls `step`."""

    def session(self) -> BrokerSession:
        return BrokerSession(SessionState.ACTIVE, "the test steps the paper market")

    def reports(self) -> Sequence[OrderReport]:
        return self.read_book(BookHint()).reports

    def move_to(self, symbol: str, price: Decimal) -> None:
        """Let the price of a symbol walk on from this price, at the next step."""
        venue = self._venue
        paths = venue._current.paths  # noqa: SLF001 - no method moves a price
        moved = {**paths, symbol: replace(paths[symbol], fair=float(price))}
        venue._current = replace(venue._current, paths=moved)  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class World:
    clock: FakeClock
    desk: Desk
    broker: SteppedBroker
    components: Components
    settings: AlgosatFile

    def tick(self, seconds: float = 1, *, feed: bool = True) -> None:
        """Move the market and the engine by one step; without `feed`, prices do not reach the desk."""
        self.clock.forward(seconds=seconds)
        quotes = self.broker.step()
        if feed:
            self.receive(*quotes)
        self.send()
        self.components.instruments.step()
        step_duties(self.components)
        self.send()

    def send(self) -> None:
        """Send what is due, then read the broker's book."""
        self.components.send_due()
        self.components.reconciler.read_book()

    def receive(self, *quotes: Quote) -> None:
        self.components.quotes.update(quotes)
        self.components.quotes.flush()

    def run(self, ticks: int, *, feed: bool = True) -> None:
        for _ in range(ticks):
            self.tick(feed=feed)

    def move_to(self, symbol: str, price: Decimal, *, ticks: int = 4) -> None:
        """Move the price of a symbol, then market and engine."""
        for _ in range(ticks):
            self.broker.move_to(symbol, price)
            self.tick()

    def run_until(self, end: datetime, *, step: float = 30) -> None:
        while self.clock() < end:
            self.tick(min(step, (end - self.clock()).total_seconds()))

    def jump(self, at: datetime) -> Self:
        """Move the clock while the engine is stopped, then run one step."""
        self.clock.at = at
        self.tick()
        return self

    def place(self, symbol: str, side: Side, quantity: int | Decimal, **options: Any) -> Order:
        """Place an order, send it and return its stored state; a limit price makes it a limit order."""
        kind = OrderType.MARKET if options.get("limit_price") is None else OrderType.LIMIT
        terms = OrderTerms(self.desk.account, symbol, side, Decimal(quantity), kind, **options)
        placed = place.place_order(self.desk, terms, CAUSE).order
        self.send()
        return order_now(self.desk, placed)

    def hold(
        self,
        symbol: str,
        quantity: int,
        *,
        side: Side = Side.BUY,
        product: Product = Product.DELIVERY,
    ) -> Order:
        """Open a position at the market. Raises SetupFailed if the order is not filled."""
        order = self.place(symbol, side, quantity, product=product)
        self.tick()
        order = order_now(self.desk, order)
        if order.status is not Status.FILLED:
            raise SetupFailed(f"{symbol}: {order.status}, {order.code}, {order.reason}")
        return order

    def halt_and_flatten(self) -> None:
        halts.halt_trading(self.desk, CAUSE, "the test halts", flatten=True)

    def quote(self, symbol: str) -> Quote:
        with self.desk.database.read() as connection:
            found = queries.quote(connection, "paper", symbol)
        if found is None:
            raise SetupFailed(f"{symbol} has no price")
        return found

    def held(self) -> dict[str, Decimal]:
        """Return the quantity by symbol; negative: short."""
        with self.desk.database.read() as connection:
            positions = queries.open_positions(connection, self.desk.account)
        return {position.symbol: position.quantity for position in positions}

    def working(self) -> list[Order]:
        with self.desk.database.read() as connection:
            return queries.working(connection, self.desk.account)

    def halts(self) -> list[tuple[str, str]]:
        """Return scope and reason of each halt in force."""
        with self.desk.database.read() as connection:
            return [(each.scope.name(IN_HALTS), each.reason) for each in halts.all_in_force(connection)]

    def alerts(self) -> list[Row[Any]]:
        """Return the alerts, closed ones included, oldest first."""
        with self.desk.database.read() as connection:
            return list(connection.execute(select(alerts).order_by(alerts.c.id)))


def ist(year: int, month: int, day: int, hour: int, minute: int, second: int = 0) -> datetime:
    """Return a moment given in exchange time."""
    return datetime(year, month, day, hour, minute, second, tzinfo=EXCHANGE_TIME).astimezone(UTC)


def role_limits() -> dict[str, Any]:
    """Return the risk limits a server has unless its inventory sets others."""
    defaults = yaml.safe_load(_ROLE_DEFAULTS.read_text())
    return {name.removeprefix(_RISK): value for name, value in defaults.items() if name.startswith(_RISK)}


@contextmanager
def open_world(
    directory: Path, url: str, at: datetime, *, account: Mapping[str, Any] | None = None, **limits: Any
) -> Iterator[World]:
    """Open a world on an empty store, with the exchange's calendar and the role's limits or others.

    `account` changes settings of the account.
    """
    risk = role_limits() | limits
    changed = {"calendar": "exchange", **(account or {})}
    of_account = {f"accounts__0__{name}": value for name, value in changed.items()}
    data = algosat_data(directory, database__url=url, risk=risk, **of_account)
    settings = load(write_configuration(directory, data))
    clock = FakeClock(at)
    database = Database(url)
    writer, notifier = Writer(database), SocketNotifier(settings.algosat.runtime_directory)
    try:
        yield build(
            desks.build_all(settings, database, writer, notifier, clock).first, settings.algosat, clock
        )
    finally:
        writer.close()
        notifier.close()
        database.close()


def build(desk: Desk, settings: AlgosatFile, clock: FakeClock) -> World:
    """Put an engine and a paper exchange behind a desk, with cash, instruments and a first price."""
    desk = replace(desk, clock=clock)
    desk.writer.run(lambda connection: ledger.deposit(connection, desk.account, CASH))
    rules = paper_rules(settings.accounts[0].paper, desk.calendar)
    broker = SteppedBroker(rules, desk.writer, speed=1, now=clock)
    broker.open()
    components = assemble(
        desk,
        source_of(broker),
        settings.engine,
        order_workers=InlineWorkers(),
        cancel_workers=InlineWorkers(),
        request_workers=InlineWorkers(),
        keyring=KEYRING,
        key_rotation_days=90,
        fence=lambda _connection: None,
    )
    components.guarded_broker.build()
    world = World(clock, desk, broker, components, settings)
    components.reconciler.read_book()
    world.tick()
    return world


def restarted(world: World, *, at: datetime) -> World:
    """Return the world with a new engine and exchange on the same store, started at the given time."""
    world.clock.at = at
    return build(world.desk, world.settings, world.clock)
