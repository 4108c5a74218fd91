"""Signs of life: prices and the engine's own row to the store, about every second."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from algosat.clock import has_come
from algosat.engine.assembly import Parts
from algosat.monitoring import metrics
from algosat.store import heartbeats
from algosat.store.tables import WORKING_STATUS, orders, positions
from algosat.trading.desk import Desk

_BEAT_EVERY: Final = timedelta(seconds=1)


class Heartbeat:
    def __init__(self, desk: Desk, parts: Parts) -> None:
        self._desk, self._parts = desk, parts
        self._started = desk.clock()
        self._next_beat = desk.clock()
        self.last: datetime = desk.clock()  # when the store last took something

    def step(self) -> None:
        """Write what is due."""
        self._parts.quotes.flush()
        now = self._desk.clock()
        if has_come(self._next_beat, now, within=_BEAT_EVERY):
            self._next_beat = now + _BEAT_EVERY
            self.beat()
        self.last = now

    def beat(self, *, leading: bool = True) -> None:
        """Write the engine's row: the one that health and the operator look at.

        Raises NotLeading when it is another's by now: without orders to send, nobody else would notice.
        """
        data = self._data(leading=leading)
        metrics.POSITIONS.set(data["positions"])

        def unit(connection: Connection) -> None:
            self._parts.fence(connection)
            heartbeats.write(connection, heartbeats.ENGINE, self._desk.clock(), data)

        self._desk.writer.run(unit, durable=False)

    def _data(self, *, leading: bool) -> dict[str, Any]:
        session, reconciler = self._parts.guard.session(), self._parts.reconciler
        with self._desk.database.read() as connection:
            working, held = _counts(connection, self._desk.account)
        return {
            "pid": os.getpid(),
            "version": version("algosat"),
            "leading": leading,
            "started_at": self._started.isoformat(),
            "broker": {
                "name": self._parts.broker.name,
                "account": self._desk.account,
                "active": session.active,
                "detail": session.detail,
                "expires_at": session.expires_at.isoformat() if session.expires_at else None,
            },
            "book_read_at": reconciler.read_at.isoformat() if reconciler.read_at else None,
            "unknown": reconciler.unknown,
            "working": working,
            "positions": held,
            "unpriced": self._parts.clock.daily_loss.unpriced,
        }


def _counts(connection: Connection, account: str) -> tuple[int, int]:
    working = (
        select(func.count()).select_from(orders).where(orders.c.account == account, text(WORKING_STATUS))
    )
    held = (
        select(func.count())
        .select_from(positions)
        .where(positions.c.account == account, positions.c.quantity != 0)
    )
    return connection.execute(working).scalar_one(), connection.execute(held).scalar_one()
