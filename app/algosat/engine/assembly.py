"""The engine's components, assembled around one broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection

from algosat.brokers.base import FeedChange
from algosat.config import settings
from algosat.engine.book_check import BookCheck
from algosat.engine.broker_requests import BrokerRequests
from algosat.engine.budget import Budget, quotas_of
from algosat.engine.conversions import Conversions
from algosat.engine.emergency_cancels import EmergencyCancels
from algosat.engine.guarded_broker import BrokerSource, GuardedBroker
from algosat.engine.pending_requests import CancelModifySender, PendingRequests
from algosat.engine.quotes import FeedWatch, InstrumentList, QuoteBoard
from algosat.engine.reconciler import Reconciler
from algosat.engine.report_processor import ReportProcessor
from algosat.engine.router import Fence, Router
from algosat.engine.schedule import PeriodicDuties, Sweeper, watch_key
from algosat.engine.sender import HUNG_AFTER, Sender
from algosat.engine.workers import Workers
from algosat.security.keyring import Keyring
from algosat.store import broker_calls
from algosat.trading.desk import Desk


@dataclass(frozen=True, slots=True)
class Components:
    desk: Desk
    guarded_broker: GuardedBroker
    budget: Budget
    report_processor: ReportProcessor
    quotes: QuoteBoard
    feeds: FeedWatch
    instruments: InstrumentList
    router: Router
    pending_requests: PendingRequests
    reconciler: Reconciler
    book_check: BookCheck
    conversions: Conversions
    duties: PeriodicDuties
    sweeper: Sweeper
    emergency_cancels: EmergencyCancels
    requests: BrokerRequests
    workers: tuple[Workers, ...]
    fence: Fence  # raises NotLeading unless this engine leads

    def feed_changed(self, change: FeedChange) -> None:
        """Read the order book, the quotes and the books if something may have been missed."""
        self.feeds.changed(change)
        self.reconciler.feed_changed(change)
        self.book_check.feed_changed(change)

    def write_calls(self, connection: Connection) -> None:
        """Write the numbers of today's calls to the broker, so that a restart does not reset them."""
        now = self.desk.clock()
        broker_calls.write(connection, self.desk.account, *self.budget.counts(now), now)

    def send_due(self) -> float | None:
        """Send the pending requests that are due, then the created orders that may be sent.

        Returns the seconds to wait before the next round, or None if nothing waits.
        """
        with self.desk.database.read() as connection:
            pending, created = self.pending_requests.pending(connection), self.router.created(connection)
        waits = (self.pending_requests.step(pending), self.router.step(created))
        return min((wait for wait in waits if wait is not None), default=None)


def assemble(
    desk: Desk,
    source: BrokerSource,
    rules: settings.EngineSettings,
    *,
    order_workers: Workers,
    cancel_workers: Workers,
    request_workers: Workers,
    keyring: Keyring,
    key_rotation_days: int,
    fence: Fence,
) -> Components:
    """Build the components.

    The adapter is built when the broker is started. `order_workers` place orders; `cancel_workers` cancel
    and modify; `request_workers` convert positions, and answer what API and command line ask of the broker,
    encrypted with `keyring`.
    """
    budget = _budget(desk, rules)
    guarded_broker = GuardedBroker(source, desk.clock, budget)
    report_processor = ReportProcessor(desk, lambda: not guarded_broker.capabilities.replace_keeps_number)
    deadline = timedelta(seconds=rules.send_deadline_seconds)
    cancel_modify = CancelModifySender(desk, guarded_broker, report_processor, budget)
    sender = Sender(desk, guarded_broker, report_processor, deadline)
    reconciler = Reconciler(
        desk,
        guarded_broker,
        report_processor,
        cancel_modify,
        every=timedelta(seconds=rules.reconcile_seconds),
        window=timedelta(seconds=rules.unknown_window_seconds),
        forgotten_after=deadline + 2 * HUNG_AFTER,
    )
    router = Router(
        desk,
        guarded_broker,
        sender,
        budget,
        order_workers,
        deadline,
        fence,
        lambda: reconciler.read_at is not None,
    )
    quotes, book_check = QuoteBoard(desk), BookCheck(desk, guarded_broker, reconciler)
    conversions = Conversions(
        desk,
        guarded_broker,
        book_check,
        budget,
        request_workers,
        fence,
        deadline=deadline,
        window=timedelta(seconds=rules.unknown_window_seconds),
    )
    return Components(
        desk=desk,
        guarded_broker=guarded_broker,
        budget=budget,
        report_processor=report_processor,
        quotes=quotes,
        feeds=FeedWatch(desk, guarded_broker, quotes),
        instruments=InstrumentList(desk, guarded_broker),
        router=router,
        pending_requests=PendingRequests(desk, cancel_modify, budget, cancel_workers),
        reconciler=reconciler,
        book_check=book_check,
        conversions=conversions,
        duties=PeriodicDuties(
            desk,
            guarded_broker,
            report_processor,
            lambda: reconciler.read_at,
            partial(watch_key, fingerprint=keyring.fingerprint(), rotation_days=key_rotation_days),
        ),
        sweeper=Sweeper(desk),
        emergency_cancels=EmergencyCancels(desk, cancel_modify, budget, cancel_workers),
        requests=BrokerRequests(desk, guarded_broker, keyring, request_workers, fence),
        workers=(order_workers, cancel_workers, request_workers),
        fence=fence,
    )


def _budget(desk: Desk, rules: settings.EngineSettings) -> Budget:
    """Return the budget with what was called today before the engine started."""
    midnight = desk.clock().replace(hour=0, minute=0, second=0, microsecond=0)
    with desk.database.read() as connection:
        sent = broker_calls.orders_sent_since(connection, desk.account, midnight)
        numbers = broker_calls.read(connection, desk.account, midnight.date())
    return Budget(quotas_of(rules), sent=sent, counted=(midnight.date(), numbers))
