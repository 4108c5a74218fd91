"""Cancels of the emergency journal, sent while the store takes no writes.

They leave without a record in the ledger: the merge of the journal and the broker's order book catch up when
the store is back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from algosat.brokers.base import CallKind
from algosat.clock import has_come
from algosat.domain.orders import LIVE, Order, PendingRequest
from algosat.domain.scope import IN_HALTS, Scope
from algosat.engine.budget import Budget
from algosat.engine.pending_requests import CancelModifySender
from algosat.engine.workers import Workers
from algosat.store import queries
from algosat.store.emergency_journal import Record, RecordKind
from algosat.trading import cancel
from algosat.trading.desk import Desk

_FIRST_PAUSE: Final = timedelta(seconds=1)  # between two cancels of an order; it doubles
_LONGEST_PAUSE: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class _Attempt:
    next_at: datetime | None  # None: the broker has said that the order has ended
    pause: timedelta = _FIRST_PAUSE


class EmergencyCancels:
    def __init__(
        self, desk: Desk, cancel_modify: CancelModifySender, budget: Budget, workers: Workers
    ) -> None:
        self._desk, self._cancel_modify = desk, cancel_modify
        self._budget, self._workers = budget, workers
        self._attempts: dict[str, _Attempt] = {}

    def step(self) -> None:
        """Send the cancels that are due. Without a record in the journal this only opens its files."""
        journal = self._desk.journal
        if journal is None or not journal.records():
            self._attempts.clear()
            return
        with self._desk.database.read() as connection:
            records = journal.unmerged(connection)
            working = queries.working(connection, self._desk.account)
        for order in working:
            if _is_sendable(order) and any(_asks_for(each, order) for each in records):
                self._cancel_if_due(order)

    def _cancel_if_due(self, order: Order) -> None:
        now, last = self._desk.clock(), self._attempts.get(order.id)
        if last is not None and (last.next_at is None or not has_come(last.next_at, now, within=last.pause)):
            return
        if not self._budget.try_acquire(CallKind.CANCEL, now):
            return
        pause = _FIRST_PAUSE if last is None else min(2 * last.pause, _LONGEST_PAUSE)
        self._attempts[order.id] = _Attempt(now + pause, pause)
        self._workers.run(lambda: self._cancel(order))

    def _cancel(self, order: Order) -> None:
        if self._cancel_modify.cancel_unrecorded(order):
            self._attempts[order.id] = _Attempt(None)


def _is_sendable(order: Order) -> bool:
    """Return whether the broker works the order. `PendingRequests` sends a pending cancel without a write."""
    return order.status in LIVE and order.pending is not PendingRequest.PENDING_CANCEL and not order.external


def _asks_for(record: Record, order: Order) -> bool:
    """Return whether the record asks for the cancel of this working order."""
    data = record.data
    if record.kind is RecordKind.CANCEL:
        return bool(order.id == data["order"])
    if record.kind is RecordKind.CANCEL_ALL:
        chosen = cancel.selection(data["symbol"], data["strategy"])
        return order.terms.account == data["account"] and chosen(order)
    scope = Scope.named(data["scope"], IN_HALTS)
    is_covered = scope.is_of(order.terms.account) and scope.covers(order.terms.strategy)
    return is_covered and bool(data["cancel_orders"] or data["flatten"])
