"""Merge the emergency journal into the store, before any other write that the store takes.

An order that was placed after a halt had been recorded would otherwise pass the gate, and one that was
cancelled before it was sent would be sent.
"""

from __future__ import annotations

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.scope import IN_HALTS, Scope
from algosat.store import audit, ledger
from algosat.store.emergency_journal import MERGED, EmergencyJournal, Record, RecordKind, is_merged
from algosat.store.writer import after_commit, part
from algosat.trading import alerts, cancel, halts
from algosat.trading.desk import Desks

_log = structlog.get_logger(__name__)


def merge_first(desks: Desks) -> None:
    """Let the writer of the desks merge the journal before each of its transactions."""
    if desks.first.journal is not None:
        desks.first.writer.run_first(EmergencyMerge(desks, desks.first.journal))


class EmergencyMerge:
    """Writes the records of the journal at the beginning of the next transaction."""

    def __init__(self, desks: Desks, journal: EmergencyJournal) -> None:
        self._desks, self._journal = desks, journal
        self._merged = set[str]()  # records that are merged, and may not be removable

    def is_due(self) -> bool:
        return any(record.id not in self._merged for record in self._journal.records())

    def write(self, connection: Connection) -> None:
        records = self._journal.records()
        for record in records:
            if not is_merged(connection, record):
                self._merge(connection, record)
        after_commit(connection, lambda: self._finish(records))

    def _merge(self, connection: Connection, record: Record) -> None:
        """Apply one record. One that no longer applies, as to a filled order, is only audited."""
        outcome = "applied"
        try:
            with part(connection):
                self._apply(connection, record)
        except (OperationalError, InterfaceError):  # the store refuses: the record stays
            raise
        except Exception as error:  # noqa: BLE001 - otherwise the store would never take a write again
            outcome = f"not applied: {error}"
            _log.error("emergency_record_not_applied", record=record.id, exc_info=error)
        first = self._desks.first
        data = {"kind": record.kind, "at": record.at.isoformat(), "outcome": outcome, **record.data}
        audit.append(connection, first.clock(), MERGED, record.id, record.cause, data)
        detail = f"{record.kind} by {record.cause.actor} at {record.at:%Y-%m-%d %H:%M:%S} UTC: {outcome}"
        kind = AlertKind.STORE_EMERGENCY
        alerts.open_alert(connection, first, kind, record.id, record.cause, detail)

    def _apply(self, connection: Connection, record: Record) -> None:
        data, cause = record.data, record.cause
        if record.kind is RecordKind.HALT:
            desks = self._desks.in_scope(Scope.named(data["scope"], IN_HALTS))
            halts.store_recorded(connection, desks, record)
        elif record.kind is RecordKind.CANCEL:
            order = ledger.get(connection, data["order"])
            cancel.request_of(connection, self._desks.of(order.terms.account), order.id, cause)
        else:
            chosen = cancel.selection(data["symbol"], data["strategy"])
            cancel.request_all(connection, self._desks.of(data["account"]), cause, chosen)

    def _finish(self, records: list[Record]) -> None:
        self._merged = {record.id for record in records}
        self._journal.remove(records)
        for desk in self._desks:
            desk.wake_engine()
        _log.warning("emergency_journal_merged", records=[record.id for record in records])
