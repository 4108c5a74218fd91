"""Trades as a trader counts them: from flat, through whatever was added and taken off, to flat again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algosat.backtest.simulated_ledger import Fill
from algosat.domain.orders import Side

_NOTHING = Decimal(0)
_PAISA = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class RoundTrip:
    symbol: str
    side: Side  # buy: it was long
    opened_at: datetime
    closed_at: datetime
    quantity: Decimal  # entered in all
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
    entered: Decimal = _NOTHING
    entered_value: Decimal = _NOTHING
    left: Decimal = _NOTHING
    left_value: Decimal = _NOTHING
    realised: Decimal = _NOTHING
    fees: Decimal = _NOTHING


def round_trips(fills: Iterable[Fill]) -> list[RoundTrip]:
    """Those that are complete, in the order in which they were closed."""
    under_way: dict[str, _Open] = {}
    done: list[RoundTrip] = []
    for fill in fills:
        closing = min(abs(fill.before.quantity), fill.quantity) if _is_against(fill) else _NOTHING
        opening = fill.quantity - closing
        closing_fees = (fill.charges.total * closing / fill.quantity).quantize(_PAISA)
        if closing:
            trip = under_way[fill.symbol]
            trip.left += closing
            trip.left_value += closing * fill.price
            trip.realised += fill.after.realised - fill.before.realised
            trip.fees += closing_fees
            if closing == abs(fill.before.quantity):
                done.append(_closed(fill, under_way.pop(fill.symbol)))
        if opening:
            trip = under_way.setdefault(fill.symbol, _Open(fill.side, fill.at))
            trip.entered += opening
            trip.entered_value += opening * fill.price
            trip.fees += fill.charges.total - closing_fees
    return done


def _is_against(fill: Fill) -> bool:
    return fill.before.quantity * fill.side.sign < 0


def _closed(fill: Fill, trip: _Open) -> RoundTrip:
    return RoundTrip(
        symbol=fill.symbol,
        side=trip.side,
        opened_at=trip.since,
        closed_at=fill.at,
        quantity=trip.entered,
        entry_price=trip.entered_value / trip.entered,
        exit_price=trip.left_value / trip.left,
        realised=trip.realised,
        fees=trip.fees,
    )
