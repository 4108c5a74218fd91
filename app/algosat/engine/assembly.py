"""The engine's parts, put together around one broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from algosat.brokers.base import Broker
from algosat.config import settings
from algosat.domain.orders import Status
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.pending_requests import CancelModifySender, PendingRequests
from algosat.engine.quotes import QuoteBoard
from algosat.engine.reconciler import Reconciler
from algosat.engine.report_processor import ReportProcessor
from algosat.engine.router import Fence, Router
from algosat.engine.schedule import PeriodicDuties, Sweeper
from algosat.engine.sender import HUNG_AFTER, Sender
from algosat.engine.throttle import Throttle
from algosat.engine.workers import Workers
from algosat.store.tables import orders
from algosat.trading.desk import Desk


@dataclass(frozen=True, slots=True)
class Parts:
    desk: Desk
    broker: Broker
    guard: GuardedBroker
    report_processor: ReportProcessor
    quotes: QuoteBoard
    router: Router
    pending_requests: PendingRequests
    reconciler: Reconciler
    clock: PeriodicDuties
    sweeper: Sweeper
    workers: tuple[Workers, ...]
    fence: Fence  # raises when this engine does not lead any more

    def send(self) -> float | None:
        """One round: begin with every wish, then send every order that may be.

        The seconds until another one is worth it, when some wait.
        """
        with self.desk.database.read() as connection:
            pending, some_created = (
                self.pending_requests.pending(connection),
                self.router.has_created(connection),
            )
        waits = (self.pending_requests.step(pending), self.router.step(decide=some_created))
        return min((wait for wait in waits if wait is not None), default=None)


def assemble(
    desk: Desk,
    broker: Broker,
    rules: settings.EngineSettings,
    *,
    places: Workers,
    exits: Workers,
    fence: Fence,
) -> Parts:
    """`places` and `exits` are where broker calls run."""
    guard, report_processor = GuardedBroker(broker, desk.clock), ReportProcessor(desk)
    throttle = Throttle(
        rules.orders_per_second, rules.orders_per_minute, rules.orders_per_day, sent=_sent_today(desk)
    )
    deadline = timedelta(seconds=rules.send_deadline_seconds)
    cancel_modify = CancelModifySender(desk, guard, report_processor, throttle)
    sender = Sender(desk, guard, report_processor, throttle, deadline)
    reconciler = Reconciler(
        desk,
        guard,
        report_processor,
        cancel_modify,
        every=timedelta(seconds=rules.reconcile_seconds),
        window=timedelta(seconds=rules.unknown_window_seconds),
        forgotten_after=deadline + 2 * HUNG_AFTER,
    )
    return Parts(
        desk=desk,
        broker=broker,
        guard=guard,
        report_processor=report_processor,
        quotes=QuoteBoard(desk),
        router=Router(
            desk, guard, sender, throttle, places, deadline, fence, lambda: reconciler.read_at is not None
        ),
        pending_requests=PendingRequests(desk, cancel_modify, throttle, exits),
        reconciler=reconciler,
        clock=PeriodicDuties(desk, report_processor),
        sweeper=Sweeper(desk),
        workers=(places, exits),
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
