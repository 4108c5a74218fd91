"""What a restart of the processes would cut into now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from algosat.clock import now
from algosat.domain.calendar import EXCHANGE_TIME, Calendar
from algosat.domain.instruments import Instrument
from algosat.domain.orders import UNSENT, Order, Status
from algosat.errors import CalendarUnknown
from algosat.store import queries
from algosat.store.database import Database

# Of these the broker has not said yet what became of them; the others rest in his book, whoever restarts.
_ON_THEIR_WAY = UNSENT | {Status.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Interruption:
    """What is going on, in words: nothing when a restart would cut into nothing."""

    markets: list[str]
    under_way: list[str]


def interruption(database: Database, account: str, calendar: Calendar) -> Interruption:
    """What a restart at this moment would cut into."""
    with database.read() as connection:
        instruments = queries.all_instruments(connection)
        orders = queries.working(connection, account)
    return Interruption(list(open_markets(instruments, calendar, now())), list(on_their_way(orders)))


def open_markets(instruments: Sequence[Instrument], calendar: Calendar, at: datetime) -> Iterator[str]:
    """The segments that trade now, in words. A market that never closes is a trial, and counts as none."""
    for segment, has_derivatives in sorted({(each.segment, each.has_derivatives) for each in instruments}):
        try:
            window = calendar.window(segment, has_derivatives, at)
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
        elif order.pending is not None:
            yield f"order {order.id} is {order.pending.value}"
