"""What time asks for, once a second: losses watched, positions closed that must be, day orders expired."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog

from algosat.clock import has_come
from algosat.engine import exits, expiry, losses, overhang
from algosat.engine.intake import Intake
from algosat.errors import CalendarUnknown
from algosat.trading.desk import Desk

_EVERY: Final = timedelta(seconds=1)
_EXIT_EVERY: Final = timedelta(seconds=5)  # a closing that was denied is not tried again sooner

_log = structlog.get_logger(__name__)


class MarketClock:
    def __init__(self, desk: Desk, intake: Intake) -> None:
        self._desk, self._intake = desk, intake
        self._next = self._next_exit = desk.clock()

    def step(self, book_read_at: datetime | None) -> None:
        """Do what is due. `book_read_at`: when the last good reading of the broker's book began."""
        now = self._desk.clock()
        if not has_come(self._next, now, within=_EVERY):
            return
        self._next = now + _EVERY
        try:
            self._do_what_is_due(now, book_read_at)
        except CalendarUnknown as error:  # nothing new passes the gate either; health tells the operator
            _log.error("calendar_unknown", detail=error.detail)

    def _do_what_is_due(self, now: datetime, book_read_at: datetime | None) -> None:
        losses.watch(self._desk)
        overhang.trim(self._desk)
        if has_come(self._next_exit, now, within=_EXIT_EVERY):
            self._next_exit = now + _EXIT_EVERY
            exits.flatten_halted(self._desk)
            exits.square_off(self._desk)
        if book_read_at is not None:
            expiry.expire(self._desk, self._intake, book_read_at)
