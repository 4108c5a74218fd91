"""What time asks for, once a second: losses watched, positions closed that must be, day orders expired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

import structlog

from algosat.clock import has_come
from algosat.engine import auto_close, expiry, halt_cancels, oversized_exits
from algosat.engine.daily_loss import DailyLossWatch
from algosat.engine.denials import DeniedExits
from algosat.engine.report_processor import ReportProcessor
from algosat.errors import CalendarUnknown
from algosat.trading.desk import Desk

_EVERY: Final = timedelta(seconds=1)
_EXIT_EVERY: Final = timedelta(seconds=5)  # a closing that was denied is not tried again sooner

Duty = Callable[[Desk], None]

_log = structlog.get_logger(__name__)


class PeriodicDuties:
    def __init__(self, desk: Desk, report_processor: ReportProcessor) -> None:
        self._desk, self._intake = desk, report_processor
        self._next = self._next_exit = desk.clock()
        self.daily_loss, self._denials = DailyLossWatch(), DeniedExits()

    def step(self, book_read_at: datetime | None) -> None:
        """Do what is due. `book_read_at`: when the last good reading of the broker's book began."""
        now = self._desk.clock()
        if not has_come(self._next, now, within=_EVERY):
            return
        self._next = now + _EVERY
        unknown = [error for duty in self._due(now, book_read_at) if (error := self._do(duty)) is not None]
        if unknown:  # nothing new passes the gate either; health tells the operator
            _log.error("calendar_unknown", detail=unknown[0].detail)

    def _due(self, now: datetime, book_read_at: datetime | None) -> Iterator[Duty]:
        yield self.daily_loss.watch
        yield oversized_exits.cancel_oversized
        if has_come(self._next_exit, now, within=_EXIT_EVERY):
            self._next_exit = now + _EXIT_EVERY
            yield halt_cancels.cancel_halted
            yield lambda desk: auto_close.flatten_halted(desk, self._denials)
            yield lambda desk: auto_close.square_off(desk, self._denials)
        if book_read_at is not None:
            yield lambda desk: expiry.expire(desk, self._intake, book_read_at)

    def _do(self, duty: Duty) -> CalendarUnknown | None:
        """What the calendar does not cover keeps only that from being done which needs it."""
        try:
            duty(self._desk)
        except CalendarUnknown as error:
            return error
        return None
