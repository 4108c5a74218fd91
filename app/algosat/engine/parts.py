"""The engine's parts, put together around one broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from algosat.brokers.base import Broker
from algosat.config import settings
from algosat.domain.orders import Status
from algosat.engine.amender import Amender
from algosat.engine.clock import MarketClock
from algosat.engine.guard import Guard
from algosat.engine.intake import Intake
from algosat.engine.lanes import Lane
from algosat.engine.limiter import Limiter
from algosat.engine.quotes import QuoteBoard
from algosat.engine.reconciler import Reconciler
from algosat.engine.router import Fence, Router
from algosat.engine.sender import HUNG_AFTER, Sender
from algosat.engine.sweeper import Sweeper
from algosat.engine.wishes import Wishes
from algosat.store.tables import orders
from algosat.trading.desk import Desk


@dataclass(frozen=True, slots=True)
class Parts:
    desk: Desk
    broker: Broker
    guard: Guard
    intake: Intake
    quotes: QuoteBoard
    router: Router
    wishes: Wishes
    reconciler: Reconciler
    clock: MarketClock
    sweeper: Sweeper
    lanes: tuple[Lane, ...]
    fence: Fence  # raises when this engine does not lead any more

    def send(self) -> float | None:
        """One round: begin with every wish, then send every order that may be.

        The seconds until another one is worth it, when some wait.
        """
        with self.desk.database.read() as connection:
            pending, some_created = self.wishes.pending(connection), self.router.has_created(connection)
        waits = (self.wishes.step(pending), self.router.step(decide=some_created))
        return min((wait for wait in waits if wait is not None), default=None)


def assemble(
    desk: Desk,
    broker: Broker,
    rules: settings.Engine,
    *,
    places: Lane,
    exits: Lane,
    fence: Fence,
) -> Parts:
    """`places` and `exits` are where broker calls run."""
    guard, intake = Guard(broker, desk.clock), Intake(desk)
    limiter = Limiter(
        rules.orders_per_second, rules.orders_per_minute, rules.orders_per_day, sent=_sent_today(desk)
    )
    deadline = timedelta(seconds=rules.send_deadline_seconds)
    amender = Amender(desk, guard, intake, limiter)
    sender = Sender(desk, guard, intake, limiter, deadline)
    reconciler = Reconciler(
        desk,
        guard,
        intake,
        amender,
        every=timedelta(seconds=rules.reconcile_seconds),
        window=timedelta(seconds=rules.unknown_window_seconds),
        forgotten_after=deadline + 2 * HUNG_AFTER,
    )
    return Parts(
        desk=desk,
        broker=broker,
        guard=guard,
        intake=intake,
        quotes=QuoteBoard(desk),
        router=Router(
            desk, guard, sender, limiter, places, deadline, fence, lambda: reconciler.read_at is not None
        ),
        wishes=Wishes(desk, amender, limiter, exits),
        reconciler=reconciler,
        clock=MarketClock(desk, intake),
        sweeper=Sweeper(desk),
        lanes=(places, exits),
        fence=fence,
    )


def _sent_today(desk: Desk) -> list[datetime]:
    """When orders left since midnight UTC: what a broker who counts has counted already."""
    midnight = desk.clock().replace(hour=0, minute=0, second=0, microsecond=0)
    statement = select(orders.c.created_at).where(
        orders.c.created_at >= midnight,
        orders.c.account == desk.account,
        orders.c.status.not_in((Status.CREATED.value, Status.DENIED.value)),
        ~orders.c.external,
    )
    with desk.database.read() as connection:
        return list(connection.execute(statement).scalars())
