"""Quotes and instruments from the broker to the store."""

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
    """Collects the latest quote of each symbol from any thread, and writes the new ones together."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._unwritten: dict[str, Quote] = {}

    def update(self, received: Sequence[Quote]) -> None:
        with self._lock:
            self._unwritten.update({quote.symbol: quote for quote in received})

    def flush(self) -> int:
        """Write the quotes received since the last flush. Return the number of symbols written."""
        with self._lock:
            unwritten, self._unwritten = self._unwritten, {}
        if unwritten:
            rows = [_row(quote) for quote in unwritten.values()]
            self._desk.writer.run(
                lambda connection: replace_rows(quotes).run_each(connection, rows), durable=False
            )
        return len(unwritten)


def replace_instruments(desk: Desk, listed: Sequence[Instrument]) -> None:
    """Replace the instruments in the store by those that the broker lists."""

    def unit(connection: Connection) -> None:
        connection.execute(instruments.delete())
        if listed:
            rows = [{name: getattr(each, name) for name in Instrument.__slots__} for each in listed]
            connection.execute(insert(instruments), rows)

    desk.writer.run(unit)


def _row(quote: Quote) -> dict[str, Any]:
    return {name: getattr(quote, name) for name in Quote.__slots__}
