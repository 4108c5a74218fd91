"""The stored instruments of a venue follow the broker's list, in pieces, while orders go on.

A list may have 100,000 rows, and the gate and the ledger wait for each write. So the list is checked first,
then compared with the stored one row by row, and only differences are written, few in a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select, text

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.decimals import ZERO, to_store_places
from algosat.domain.instruments import Instrument
from algosat.monitoring import correlation
from algosat.store.audit import Cause
from algosat.store.prepared import Prepared
from algosat.store.row_writes import replace_rows
from algosat.store.rows import instrument_data, instrument_from
from algosat.store.tables import WORKING_STATUS, former_instruments, instruments, orders, positions
from algosat.trading import alerts
from algosat.trading.desk import Desk

_CHECKED: Final = 1000  # rows in a piece that only checks, about 5 ms
_PIECE: Final = 250  # rows in a piece that reads and writes, about 5 ms
_LEAST_SHARE: Final = Decimal("0.5")  # of the stored rows; a shorter list removes nothing
_SMALL: Final = 200  # a list of no more rows may change as a whole, but not become empty
_NAMED: Final = 3  # rows in the text of an alert
_LARGEST: Final = Decimal(90_000_000_000)  # what a column holds

_NUMBERS: Final = ("tick", "lot", "freeze_quantity", "strike", "minimum_quantity", "minimum_notional")
_POSITIVE: Final = ("tick", "lot", "freeze_quantity")
_TEXTS: Final = {
    "symbol": 64, "name": 128, "segment": 32, "underlying": 64, "currency": 10, "base_currency": 10,
}  # fmt: skip

_NUMBER = Prepared(select(func.count()).where(instruments.c.venue == bindparam("venue")))
_PAGE = Prepared(
    select(instruments)
    .where(instruments.c.venue == bindparam("venue"), instruments.c.symbol > bindparam("after"))
    .order_by(instruments.c.symbol)
    .limit(_PIECE)
)
_FORMER = Prepared(
    select(former_instruments.c.symbol).where(former_instruments.c.venue == bindparam("venue"))
)
_REMOVE, _REMOVE_FORMER = (
    Prepared(delete(table).where(*(column == bindparam(column.name) for column in table.primary_key)))
    for table in (instruments, former_instruments)
)
# Of all accounts: several may trade at one venue.
_HELD = Prepared(select(positions.c.symbol).where(positions.c.quantity != ZERO))
_WORKING = Prepared(select(orders.c.symbol).where(text(WORKING_STATUS)))


class InstrumentSwap:
    """The change from the stored instruments to those that the broker lists.

    A row that cannot be used is skipped, and its stored predecessor stays. An instrument with an open
    position or a working order is kept as a former one when the list lacks it. A list of less than half the
    stored rows, or of none, is taken for a damaged one: it adds and changes rows, and removes none.
    """

    def __init__(self, desk: Desk, listed: Sequence[Instrument]) -> None:
        self._desk, self._listed = desk, listed
        self._usable: dict[str, Instrument] = {}
        self._skipped: dict[str, str] = {}  # the reason by symbol
        self._stored = 0
        self._removes = True

    def pieces(self) -> Iterator[None]:
        """Check, compare and write. Yields after each piece: a list of 250 rows or fewer is done at once."""
        yield from self._check()
        with self._desk.database.read() as connection:
            self._stored = _NUMBER.scalar(connection, venue=self._desk.venue)
        self._removes = self._is_whole()
        new = dict(self._usable)
        yield from self._compare(new)
        added = list(new.values())
        for start in range(0, len(added), _PIECE):
            if start:
                yield
            self._write(added[start : start + _PIECE], ())
        self._conclude()

    def _is_whole(self) -> bool:
        if self._stored <= _SMALL:
            return bool(self._usable) or not self._stored
        return len(self._usable) >= self._stored * _LEAST_SHARE

    def _check(self) -> Iterator[None]:
        for number, each in enumerate(self._listed, start=1):
            reason = "it is listed twice" if each.symbol in self._usable else _unusable(each)
            if reason is None:
                self._usable[each.symbol] = each
            else:
                self._skipped[each.symbol] = reason
            if number % _CHECKED == 0:
                yield

    def _compare(self, new: dict[str, Instrument]) -> Iterator[None]:
        """Write the rows that differ, and remove those that are not listed. Leaves only new ones in `new`."""
        after = ""
        while stored := self._page(after):
            after = stored[-1].symbol
            changed = [
                listed
                for each in stored
                if (listed := new.pop(each.symbol, None)) is not None and listed != each
            ]
            removed = [each for each in stored if self._is_gone(each.symbol)]
            if changed or removed:
                self._write(changed, removed)
            if len(stored) == _PIECE:
                yield

    def _is_gone(self, symbol: str) -> bool:
        return self._removes and symbol not in self._usable and symbol not in self._skipped

    def _page(self, after: str) -> list[Instrument]:
        with self._desk.database.read() as connection:
            rows = _PAGE.all(connection, venue=self._desk.venue, after=after)
        return [instrument_from(row) for row in rows]

    def _write(self, changed: Iterable[Instrument], removed: Sequence[Instrument]) -> None:
        venue = self._desk.venue
        rows = [
            {"venue": venue, **{name: getattr(each, name) for name in Instrument.__slots__}}
            for each in changed
        ]

        def unit(connection: Connection) -> None:
            replace_rows(instruments).run_each(connection, rows)
            if removed:
                in_use = _in_use(connection)
                former = [
                    {"venue": venue, "symbol": each.symbol, "data": instrument_data(each)}
                    for each in removed
                    if each.symbol in in_use
                ]
                replace_rows(former_instruments).run_each(connection, former)
                _REMOVE.run_each(connection, [{"venue": venue, "symbol": each.symbol} for each in removed])

        self._desk.writer.run(unit)

    def _conclude(self) -> None:
        """Drop former instruments that are listed again or no longer in use, and alert of a bad list."""
        cause, venue = Cause("engine", correlation.new()), self._desk.venue

        def unit(connection: Connection) -> None:
            kept = _in_use(connection) - self._usable.keys()
            former = {row.symbol for row in _FORMER.each(connection, venue=venue)}
            _REMOVE_FORMER.run_each(
                connection, [{"venue": venue, "symbol": symbol} for symbol in former - kept]
            )
            for kind, detail in self._problems():
                if detail is None:
                    alerts.close_alert(connection, self._desk, kind, venue, cause)
                else:
                    alerts.open_alert(connection, self._desk, kind, venue, cause, detail)

        self._desk.writer.run(unit)

    def _problems(self) -> Iterator[tuple[AlertKind, str | None]]:
        named = [f"{symbol} ({reason})" for symbol, reason in list(self._skipped.items())[:_NAMED]]
        skipped = f"{len(self._skipped)} rows skipped: {', '.join(named)}" if named else None
        yield AlertKind.INSTRUMENTS_SKIPPED, skipped
        short = f"{len(self._usable)} instruments are listed, {self._stored} were before; none is removed"
        yield AlertKind.INSTRUMENTS_MISSING, None if self._removes else short


def _in_use(connection: Connection) -> set[str]:
    return {row.symbol for statement in (_HELD, _WORKING) for row in statement.each(connection)}


def _unusable(instrument: Instrument) -> str | None:
    """Return why the store cannot hold the instrument, or the gate not use it; None if both can."""
    for name in _NUMBERS:
        value: Decimal | None = getattr(instrument, name)
        if value is None:
            continue
        if not value.is_finite() or abs(value) > _LARGEST:
            return f"{name} {value} is not a number that can be stored"
        if to_store_places(value) != value:
            return f"{name} {value} has more than eight decimal places"
        if value <= 0 and name in _POSITIVE:
            return f"{name} {value} is not positive"
    for name, longest in _TEXTS.items():
        words: Any = getattr(instrument, name)
        if words is not None and len(words) > longest:
            return f"{name} is longer than {longest} characters"
    return None if instrument.symbol else "it has no symbol"
