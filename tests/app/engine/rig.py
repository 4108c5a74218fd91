"""The engine's components on a desk and an exchange in memory, driven step by step in one thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from algosat.brokers.base import Broker
from algosat.config.settings import EngineSettings
from algosat.domain.orders import Order
from algosat.engine.assembly import Components, assemble
from algosat.engine.guarded_broker import BrokerSource
from algosat.engine.heartbeat import AccountHeartbeat, EngineHeartbeat
from algosat.store import queries
from algosat.trading.desk import Desk
from tests.app.desks import order_now, set_prices
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import KEYRING, InlineWorkers


@dataclass(frozen=True, slots=True)
class EngineRig:
    desk: Desk
    exchange: FakeExchange
    components: Components

    def route(self) -> bool:
        """Send what is due. Return whether orders or pending requests wait."""
        return self.components.send_due() is not None

    def send(self, order: Order) -> Order:
        """Send what is due, and return the order as it is then."""
        self.route()
        return order_now(self.desk, order)

    def reconcile(self) -> None:
        """Read the exchange's order book, a millisecond later so that it is newer than all orders."""
        self.exchange.clock.forward(milliseconds=1)
        self.components.reconciler.read_book()

    def do_duties(self, moment: datetime) -> None:
        """Set the clock, renew the prices, and do the periodic duties that are due then."""
        self.exchange.clock.at = moment
        set_prices(self.desk)
        step_duties(self.components)

    def working(self) -> list[Order]:
        """Return the working orders of the account."""
        with self.desk.database.read() as connection:
            return queries.working(connection, self.desk.account)


def build_rig(
    desk: Desk,
    exchange: FakeExchange,
    rules: EngineSettings,
    fence: Callable[[Connection], None] = lambda _connection: None,
    broker: Broker | None = None,
) -> EngineRig:
    """Build a rig whose reconciler has read the order book.

    `broker`: stands between the engine and the exchange.
    """
    components = assemble(
        desk,
        source_of(broker or exchange),
        rules,
        order_workers=InlineWorkers(),
        cancel_workers=InlineWorkers(),
        request_workers=InlineWorkers(),
        keyring=KEYRING,
        key_rotation_days=90,
        fence=fence,
    )
    components.guarded_broker.build()
    components.reconciler.read_book()
    return EngineRig(desk, exchange, components)


def source_of(broker: Broker) -> BrokerSource:
    """Return the source of a broker whose adapter is built already."""
    return BrokerSource(broker.name, broker.capabilities, lambda: broker)


def step_duties(components: Components) -> None:
    """Do what is due of all periodic duties, one after another."""
    duties = components.duties
    duties.advance_exits()
    duties.settle()
    duties.watch_losses()
    duties.close()
    duties.expire()
    duties.renew_alerts()


def heartbeat_of(components: Components) -> EngineHeartbeat:
    """Return the heartbeat of an engine with one account, which has been looked at."""
    account = AccountHeartbeat(components)
    account.look()
    return EngineHeartbeat(components, [account])


def failing(error: Exception, *requests: str) -> Callable[[str], None]:
    """Return a hook for an exchange's `before` or `after` that makes these requests fail."""

    def fail(request: str) -> None:
        if request in requests:
            raise error

    return fail


def no_fault(_request: str) -> None:
    """Hook for an exchange's `before` or `after` that lets every request pass."""
