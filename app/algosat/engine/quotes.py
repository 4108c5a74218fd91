"""Prices from the broker to the store: the latest of each symbol, a few times a second, in one write."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, insert

from algosat.domain.instruments import Instrument, Quote
from algosat.store.row_writes import replace_rows
from algosat.store.tables import instruments, quotes
from algosat.trading.desk import Desk

FLUSH_EVERY: Final = timedelta(milliseconds=500)


class QuoteBoard:
    """Takes quotes as they come, from any thread; writes what is new when told to."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._latest: dict[str, Quote] = {}

    def take(self, arrived: Sequence[Quote]) -> None:
        with self._lock:
            self._latest.update({quote.symbol: quote for quote in arrived})

    def flush(self) -> int:
        """Write what came since the last time; how many symbols that were."""
        with self._lock:
            latest, self._latest = self._latest, {}
        if latest:
            rows = [_row(quote) for quote in latest.values()]
            self._desk.writer.run(
                lambda connection: replace_rows(quotes).run_each(connection, rows), durable=False
            )
        return len(latest)


def list_instruments(desk: Desk, listed: Sequence[Instrument]) -> None:
    """What the broker lists takes the place of what was listed before."""

    def unit(connection: Connection) -> None:
        connection.execute(instruments.delete())
        if listed:
            rows = [{name: getattr(each, name) for name in Instrument.__slots__} for each in listed]
            connection.execute(insert(instruments), rows)

    desk.writer.run(unit)


def _row(quote: Quote) -> dict[str, Any]:
    return {name: getattr(quote, name) for name in Quote.__slots__}
