"""What a restart of the processes would cut into now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from algosat.domain.calendar import EXCHANGE_TIME, Calendar
from algosat.domain.instruments import Instrument
from algosat.domain.orders import UNSENT, Order, Status
from algosat.errors import CalendarUnknown

# Of these the broker has not said yet what became of them; the others rest in his book, whoever restarts.
_ON_THEIR_WAY = UNSENT | {Status.UNKNOWN}


def open_markets(instruments: Sequence[Instrument], calendar: Calendar, now: datetime) -> Iterator[str]:
    """The segments that trade now, in words. A market that never closes is a trial, and counts as none."""
    for segment, has_derivatives in sorted({(each.segment, each.has_derivatives) for each in instruments}):
        try:
            window = calendar.window(segment, has_derivatives, now)
        except CalendarUnknown:
            continue  # all trading is refused there
        if window is not None:
            kind = " with derivatives" if has_derivatives else ""
            yield f"{segment}{kind} is in {window.phase.value} until {window.end:%H:%M} {EXCHANGE_TIME}"


def on_their_way(orders: Sequence[Order]) -> Iterator[str]:
    """The orders with a request under way, in words."""
    for order in orders:
        if order.status in _ON_THEIR_WAY:
            yield f"order {order.id} is {order.status.value}"
        elif order.overlay is not None:
            yield f"order {order.id} is {order.overlay.value}"
