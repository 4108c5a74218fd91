"""The engine's heartbeat: its row in the store, about every second, and the quotes received meanwhile."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from algosat.clock import has_come
from algosat.engine.assembly import Components
from algosat.monitoring import metrics
from algosat.store import heartbeats
from algosat.store.tables import WORKING_STATUS, orders, positions
from algosat.trading import alerts
from algosat.trading.desk import Desk

_WRITE_EVERY: Final = timedelta(seconds=1)


class EngineHeartbeat:
    def __init__(self, desk: Desk, components: Components) -> None:
        self._desk, self._components = desk, components
        self._started = desk.clock()
        self._version = version("algosat")  # read once: the files may be replaced while the engine runs
        self._next_write = desk.clock()
        self.last_write: datetime = desk.clock()  # when the store last accepted a write

    def step(self) -> None:
        """Write new quotes, and the heartbeat if it is due."""
        self._components.quotes.flush()
        now = self._desk.clock()
        if has_come(self._next_write, now, within=_WRITE_EVERY):
            self._next_write = now + _WRITE_EVERY
            self.write()
        self.last_write = now

    def write(self, *, leading: bool = True) -> None:
        """Write the heartbeat, which health checks and operators read.

        Raises NotLeading when another engine leads, so that an engine without orders to send notices it too.
        """
        data = self._data(leading=leading)
        metrics.POSITIONS.set(data["positions"])
        self._count_alerts()

        def unit(connection: Connection) -> None:
            self._components.fence(connection)
            heartbeats.write(connection, heartbeats.ENGINE, self._desk.clock(), data)

        self._desk.writer.run(unit, durable=False)

    def _count_alerts(self) -> None:
        with self._desk.database.read() as connection:
            numbers = alerts.numbers_open(connection, self._desk.account)
        for kind, number in numbers.items():
            metrics.ALERTS.labels(kind.value, kind.severity.value).set(number)

    def _data(self, *, leading: bool) -> dict[str, Any]:
        session, reconciler = self._components.guarded_broker.session(), self._components.reconciler
        with self._desk.database.read() as connection:
            working, held = _counts(connection, self._desk.account)
        return {
            "pid": os.getpid(),
            "version": self._version,
            "leading": leading,
            "started_at": self._started.isoformat(),
            "broker": {
                "name": self._components.broker.name,
                "account": self._desk.account,
                "active": session.active,
                "detail": session.detail,
                "expires_at": session.expires_at.isoformat() if session.expires_at else None,
            },
            "book_read_at": reconciler.read_at.isoformat() if reconciler.read_at else None,
            "unknown": reconciler.unknown,
            "working": working,
            "positions": held,
            "unpriced": self._components.duties.daily_loss.unpriced,
        }


def _counts(connection: Connection, account: str) -> tuple[int, int]:
    """Return the number of working orders and of open positions."""
    working = (
        select(func.count()).select_from(orders).where(orders.c.account == account, text(WORKING_STATUS))
    )
    held = (
        select(func.count())
        .select_from(positions)
        .where(positions.c.account == account, positions.c.quantity != 0)
    )
    return connection.execute(working).scalar_one(), connection.execute(held).scalar_one()
