"""Conversions of positions: when each is sent, sending it, and learning an outcome that is not known.

A conversion has no tag and no number at the broker, and a second request converts as much again. It is
therefore sent once. The broker's positions are read before it is sent; if its answer is lost, they are read
again until they show what the broker has done. Two readings must agree, with the order book read before each:
a fill that is not booked yet looks like a part of a conversion.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from algosat.brokers.base import CallKind
from algosat.clock import has_come
from algosat.domain.conversion import ConversionCode, ConversionState, Excess, excess_in, is_converted
from algosat.domain.reason_codes import EngineCode
from algosat.engine.book_check import BookCheck
from algosat.engine.budget import Budget
from algosat.engine.guarded_broker import GuardedBroker
from algosat.engine.router import Fence
from algosat.engine.sender import HUNG_AFTER
from algosat.engine.workers import Workers
from algosat.errors import BrokerError, BrokerNotReached, BrokerSessionExpired, BrokerUncertain
from algosat.store.audit import Cause
from algosat.trading import alerts, conversion_records, conversions, halts
from algosat.trading.conversion_records import ConversionRecord
from algosat.trading.desk import Desk

_ACTOR: Final = "engine"
_EVERY: Final = timedelta(milliseconds=200)
# Between readings of the positions.
_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 15, 30))

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Search:
    """The readings of the positions for one conversion."""

    next_at: datetime
    number: int = 0  # of readings
    seen: bool | None = None  # what the last reading showed


class Conversions:
    """Sends the conversions of one account, and settles those whose outcome is not known."""

    def __init__(
        self,
        desk: Desk,
        broker: GuardedBroker,
        books: BookCheck,
        budget: Budget,
        workers: Workers,
        fence: Fence,
        *,
        deadline: timedelta,
        window: timedelta,
    ) -> None:
        """Build the component.

        Args:
            books: Reads the broker's positions and ours.
            workers: Run the broker calls.
            fence: Raises NotLeading unless this engine leads.
            deadline: The greatest age at which a conversion is sent.
            window: How long a lost request may still arrive.
        """
        self._desk, self._broker, self._books = desk, broker, books
        self._budget, self._workers, self._fence = budget, workers, fence
        self._deadline, self._window = deadline, window
        self._next = desk.clock()
        self._lock = threading.Lock()
        self._in_flight: dict[str, datetime] = {}  # when each call began
        self._searches: dict[str, _Search] = {}

    def step(self) -> None:
        """Take the next step of each conversion under way."""
        now = self._desk.clock()
        if not has_come(self._next, now, within=_EVERY):
            return
        self._next = now + _EVERY
        with self._desk.database.read() as connection:
            under_way = conversion_records.under_way(connection, self._desk.account)
        known = {each.id for each in under_way}
        self._searches = {each: search for each, search in self._searches.items() if each in known}
        for record in under_way:
            match record.state:
                case ConversionState.CREATED:
                    self._send(record)
                case ConversionState.SUBMITTING:
                    self._watch(record)
                case _:
                    self._search(record)

    # --- sending -----------------------------------------------------------------------------------------

    def _send(self, record: ConversionRecord) -> None:
        """Send a conversion, unless it must wait. One that waits too long is rejected."""
        if not self._is_due(record):
            return
        try:
            before = self._excess(record)
        except BrokerError as error:
            self._reject_late(record, error.detail)
            return
        if not self._workers.free() or not self._budget.try_acquire(CallKind.MODIFY, self._desk.clock()):
            self._reject_late(record, "the rate limits left no room for it")
            return
        with self._lock:
            self._in_flight[record.id] = self._desk.clock()
        sent = self._desk.writer.run(partial(self._begin, record_id=record.id, before=before))
        if sent is None:
            with self._lock:
                self._in_flight.pop(record.id, None)
            self._desk.notify_web(record.id)
            return
        self._workers.run(lambda: self._call(sent))

    def _reject_late(self, record: ConversionRecord, why: str) -> None:
        if abs(self._desk.clock() - record.created_at) <= self._deadline:
            return
        detail = f"the conversion could not be sent within {self._deadline.total_seconds():g} s: {why}"
        self._end(record, EngineCode.SEND_DEADLINE, detail)

    def _begin(self, connection: Connection, record_id: str, before: Excess) -> ConversionRecord | None:
        """Record that a conversion is being sent. Returns None if it was cancelled or may not be sent."""
        self._fence(connection)
        record = conversion_records.get(connection, record_id)
        if record.state is not ConversionState.CREATED:
            return None
        in_force = halts.before_sending(connection, self._desk)
        covering = [halt for halt in in_force if halt.covers(record.strategy)]
        cause = Cause(_ACTOR, record.correlation_id)
        if covering:
            code = EngineCode.HALTED_BEFORE_SENDING
            conversions.record_rejected(connection, self._desk, record.id, code, covering[0].reason, cause)
            return None
        return conversions.record_sending(connection, self._desk, record, before)

    def _call(self, record: ConversionRecord) -> None:
        """Send the conversion once, and record the outcome."""
        try:
            self._broker.convert(record.symbol, record.quantity, record.source, record.target)
        except BrokerUncertain as error:
            self._write(record, conversions.record_unknown, error.reported_code, error.detail)
        except (BrokerNotReached, BrokerSessionExpired) as error:
            self._end(record, error.reported_code, f"certainly not sent: {error.detail}")
        except BrokerError as error:
            self._end(record, error.reported_code, error.detail)
        else:
            self._write(record, conversions.record_converted)
        finally:
            with self._lock:
                self._in_flight.pop(record.id, None)

    def _watch(self, record: ConversionRecord) -> None:
        """Mark a conversion `unknown` whose call hangs, or that an earlier engine was sending."""
        with self._lock:
            since = self._in_flight.get(record.id)
        if since is None:
            detail = "the outcome was not recorded when the conversion was sent"
            self._write(record, conversions.record_unknown, EngineCode.INTERRUPTED, detail)
        elif abs(self._desk.clock() - since) > HUNG_AFTER:
            detail = "the broker did not answer"
            self._write(record, conversions.record_unknown, BrokerUncertain.code, detail)

    # --- an outcome that is not known --------------------------------------------------------------------

    def _search(self, record: ConversionRecord) -> None:
        """Read the positions if that is due, and settle the conversion if they show its outcome."""
        if not self._is_due(record):
            return
        shown, detail = self._shown(record)
        search = self._searches[record.id]
        is_certain, search.seen = shown is not None and shown is search.seen, shown
        if is_certain and shown:
            self._write(record, conversions.record_converted)
        elif is_certain and self._cannot_arrive(record):
            self._end(record, ConversionCode.NOT_CONVERTED, detail)
        elif self._cannot_arrive(record):
            self._alert(record, detail)

    def _shown(self, record: ConversionRecord) -> tuple[bool | None, str]:
        """Return whether the broker's positions show the quantity converted, and what to tell a person."""
        try:
            now = self._excess(record)
        except BrokerError as error:
            return None, f"the broker's positions cannot be read: {error.detail}"
        if record.excess is None:
            return None, "the broker's positions were not read before it was sent"
        shown = is_converted(record.quantity, record.excess, now)
        if shown is None:
            return None, "the broker's positions show neither that it was made nor that it was not"
        return shown, ConversionCode.NOT_CONVERTED.help_text

    def _cannot_arrive(self, record: ConversionRecord) -> bool:
        """Return whether a request that was lost on the way can no longer be carried out by the broker."""
        if record.code == EngineCode.INTERRUPTED and self._broker.capabilities.fences:
            return True
        since = record.sent_at or record.created_at
        return abs(self._desk.clock() - since) > self._window

    def _alert(self, record: ConversionRecord, why: str) -> None:
        detail = (
            f"{abs(record.quantity):f} {record.symbol} from {record.source} to {record.target}: {why}. Look "
            f"in the broker's terminal, then settle it: algosat conversion settle {record.id}"
        )
        with self._desk.database.read() as connection:
            known = alerts.open_detail(connection, self._desk, conversions.UNKNOWN_ALERT, record.id)
        if known != detail:
            self._desk.writer.run(
                lambda connection: alerts.open_alert(
                    connection, self._desk, conversions.UNKNOWN_ALERT, record.id, record.cause, detail
                )
            )

    # --- helpers -----------------------------------------------------------------------------------------

    def _is_due(self, record: ConversionRecord) -> bool:
        """Return whether the positions are to be read for the conversion now, and schedule the next time."""
        now = self._desk.clock()
        search = self._searches.setdefault(record.id, _Search(now))
        if not has_come(search.next_at, now, within=_DELAYS[-1]):
            return False
        search.next_at = now + _DELAYS[min(search.number, len(_DELAYS) - 1)]
        if record.is_sent:
            search.number += 1
        return True

    def _excess(self, record: ConversionRecord) -> Excess:
        return excess_in(self._books.read(), record.symbol, record.source, record.target)

    def _end(self, record: ConversionRecord, code: str, detail: str) -> None:
        self._write(record, conversions.record_rejected, code, detail)

    def _write(self, record: ConversionRecord, work: Any, *arguments: Any) -> None:
        """Run a function that records an outcome, and wake the requests that wait for the conversion."""
        cause = Cause(_ACTOR, record.correlation_id)
        after: ConversionRecord = self._desk.writer.run(
            lambda connection: work(connection, self._desk, record.id, *arguments, cause)
        )
        _log.info("conversion", id=after.id, state=after.state.value, code=after.code, detail=after.detail)
        self._desk.notify_web(record.id)
