"""Once an hour the store is rid of what is too old, a handful at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from algosat.clock import has_come
from algosat.store import retention
from algosat.trading.desk import Desk

_EVERY: Final = timedelta(hours=1)
_MORE: Final = timedelta(seconds=1)

_log = structlog.get_logger(__name__)


class Sweeper:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._next = desk.clock()

    def step(self) -> None:
        """Sweep if it is time to."""
        now = self._desk.clock()
        if not has_come(self._next, now, within=_EVERY):
            return
        removed = self._desk.writer.run(lambda connection: retention.sweep(connection, now))
        self._next = now + (_MORE if removed else _EVERY)
        if removed:
            _log.info("swept", rows=removed)
