"""The contract notes of a back-test, in memory. They charge each fill as the store's ledger does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from algosat.domain import fee_table
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.contract_note import NoteLine, NoteTotals
from algosat.domain.fee_table import FeeTable
from algosat.domain.fees import Charges, ContractNote, note_for
from algosat.domain.instruments import InstrumentKind
from algosat.domain.orders import Order, Trade
from algosat.errors import FeesUnknown, InvalidRequest

_Key = tuple[date, str]  # day and name of a note
_NO_TOTALS: Final = NoteTotals()
_NO_LINE: Final = NoteLine()


@dataclass(slots=True)
class ContractNotes:
    """The notes of all days so far."""

    kind_of: Callable[[str], InstrumentKind]
    broker: str
    exchange: str
    rates_of: date | None = None  # the day whose rates apply to all trades; None: each trade's own day
    table: FeeTable = field(default_factory=fee_table.packaged)
    _totals: dict[_Key, NoteTotals] = field(default_factory=dict)
    _lines: dict[tuple[_Key, str], NoteLine] = field(default_factory=dict)  # by note and symbol

    def __post_init__(self) -> None:
        """Raise InvalidRequest for an unknown brokerage plan."""
        if self.broker not in self.table.plans:
            known = ", ".join(self.table.plans)
            raise InvalidRequest(f"no brokerage is known for {self.broker!r}: the table has {known}")

    def add_fill(self, order: Order, trade: Trade) -> Charges:
        """Add a trade that the order already includes. Returns by how much it raises the day's charges."""
        note = self._note(order, trade)
        key = (note.day, note.name)
        line_key = (key, order.terms.symbol)
        totals, before = self._totals.get(key, _NO_TOTALS), self._lines.get(line_key, _NO_LINE)
        after = self._lines[line_key] = note.add_fill(before, order, trade)
        self._totals[key] = totals + (after - before)
        return note.charges_of_fill(totals, before, after)

    def _note(self, order: Order, trade: Trade) -> ContractNote:
        try:
            return note_for(
                self.table,
                self.kind_of(order.terms.symbol),
                order.terms.product,
                trade.at.astimezone(EXCHANGE_TIME).date(),
                broker=self.broker,
                exchange=self.exchange,
                rates_of=self.rates_of,
            )
        except FeesUnknown as error:
            raise InvalidRequest(
                f"{error.detail}; give a day whose charges apply to all trades with --charges-of"
            ) from error
