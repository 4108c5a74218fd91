"""Round trips: the trades of a symbol from a flat position to the next flat position."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algosat.backtest.simulated_ledger import Fill
from algosat.domain.decimals import ZERO
from algosat.domain.orders import Side

_PAISA = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A position from its opening to its closing."""

    symbol: str
    side: Side  # buy for a long position
    opened_at: datetime
    closed_at: datetime
    quantity: Decimal  # the sum of all entries
    entry_price: Decimal  # average
    exit_price: Decimal
    realised: Decimal
    fees: Decimal

    @property
    def result(self) -> Decimal:
        return self.realised - self.fees


@dataclass(slots=True)
class _Open:
    side: Side
    since: datetime
    entry_quantity: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_quantity: Decimal = ZERO
    exit_value: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO


def round_trips(fills: Iterable[Fill]) -> list[RoundTrip]:
    """Return the completed round trips, in the order of their closing."""
    open_trips: dict[str, _Open] = {}
    completed: list[RoundTrip] = []
    for fill in fills:
        closing = min(abs(fill.before.quantity), fill.quantity) if _reduces(fill) else ZERO
        opening = fill.quantity - closing
        closing_fees = (fill.charges.total * closing / fill.quantity).quantize(_PAISA)
        if closing:
            trip = open_trips[fill.symbol]
            trip.exit_quantity += closing
            trip.exit_value += closing * fill.price
            trip.realised += fill.after.realised - fill.before.realised
            trip.fees += closing_fees
            if closing == abs(fill.before.quantity):
                completed.append(_closed(fill, open_trips.pop(fill.symbol)))
        if opening:
            trip = open_trips.setdefault(fill.symbol, _Open(fill.side, fill.at))
            trip.entry_quantity += opening
            trip.entry_value += opening * fill.price
            trip.fees += fill.charges.total - closing_fees
    return completed


def _reduces(fill: Fill) -> bool:
    return fill.before.quantity * fill.side.sign < 0


def _closed(fill: Fill, trip: _Open) -> RoundTrip:
    return RoundTrip(
        symbol=fill.symbol,
        side=trip.side,
        opened_at=trip.since,
        closed_at=fill.at,
        quantity=trip.entry_quantity,
        entry_price=trip.entry_value / trip.entry_quantity,
        exit_price=trip.exit_value / trip.exit_quantity,
        realised=trip.realised,
        fees=trip.fees,
    )
