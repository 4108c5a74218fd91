"""The engine's components on a desk and an exchange in memory, driven step by step in one thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from algosat.config.settings import EngineSettings
from algosat.domain.orders import Order
from algosat.engine.assembly import Components, assemble
from algosat.trading.desk import Desk
from tests.app.desks import order_now
from tests.app.fake_exchange import FakeExchange
from tests.app.fakes import InlineWorkers


@dataclass(frozen=True, slots=True)
class EngineRig:
    desk: Desk
    exchange: FakeExchange
    components: Components

    def route(self) -> bool:
        """Whether some orders or wishes wait."""
        return self.components.send_due() is not None

    def look(self) -> None:
        """Read the exchange's whole book, a moment after everything before."""
        self.exchange.clock.forward(milliseconds=1)
        self.components.reconciler.read_book()

    def sent(self, order: Order) -> Order:
        """The order once the engine has taken it."""
        self.route()
        return order_now(self.desk, order)


def build_rig(
    desk: Desk,
    exchange: FakeExchange,
    rules: EngineSettings,
    fence: Callable[[Connection], None] = lambda _connection: None,
) -> EngineRig:
    components = assemble(
        desk, exchange, rules, order_workers=InlineWorkers(), cancel_workers=InlineWorkers(), fence=fence
    )
    components.reconciler.read_book()
    return EngineRig(desk, exchange, components)


def failing(error: Exception, *requests: str) -> Callable[[str], None]:
    """Has these requests fail; for an exchange's `before` or `after`."""

    def fail(request: str) -> None:
        if request in requests:
            raise error

    return fail
