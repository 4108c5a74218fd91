"""Activity that a restart of the processes would interrupt: open markets and requests under way."""

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
from algosat.trading import conversion_records

# The broker has not acknowledged these yet. All others rest in the broker's book during a restart.
_UNACKNOWLEDGED = UNSENT | {Status.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Interruption:
    """What a restart would interrupt, in words; both lists are empty if it would interrupt nothing."""

    markets: list[str]
    under_way: list[str]


def interruption(database: Database, accounts: Sequence[tuple[str, str, Calendar]]) -> Interruption:
    """Return what a restart would interrupt now, given the name, venue and calendar of each account."""
    markets: dict[str, None] = {}  # in their order; accounts may trade the same ones
    under_way: list[str] = []
    for account, venue, calendar in accounts:
        with database.read() as connection:
            instruments = queries.all_instruments(connection, venue)
            orders = queries.working(connection, account)
            conversions = conversion_records.under_way(connection, account)
        markets |= dict.fromkeys(open_markets(instruments, calendar, now()))
        under_way += requests_under_way(orders, now())
        under_way += [f"conversion {each.id} is {each.state.value}" for each in conversions]
    return Interruption(list(markets), under_way)


def open_markets(instruments: Sequence[Instrument], calendar: Calendar, at: datetime) -> Iterator[str]:
    """Yield the segments that trade now, in words. A market that never closes is not counted."""
    for segment, has_derivatives in sorted({(each.segment, each.has_derivatives) for each in instruments}):
        try:
            window = calendar.window(segment, has_derivatives, at)
        except CalendarUnknown:
            continue  # the gate denies all orders there
        if window is not None:
            kind = " with derivatives" if has_derivatives else ""
            yield f"{segment}{kind} is in {window.phase.value} until {window.end:%H:%M} {EXCHANGE_TIME}"


def requests_under_way(orders: Sequence[Order], at: datetime) -> Iterator[str]:
    """Yield a description of each order with a request under way. After-market orders may wait."""
    for order in orders:
        if order.waits(at):
            continue
        if order.status in _UNACKNOWLEDGED:
            yield f"order {order.id} is {order.status.value}"
        elif order.pending is not None:
            yield f"order {order.id} is {order.pending.value}"
