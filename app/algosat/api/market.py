"""The market: what can be traded, at what price, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from typing_extensions import TypedDict

from algosat.api.access import Access
from algosat.api.context import services
from algosat.api.pages import Everything, page
from algosat.api.routes import Routes
from algosat.domain.instruments import InstrumentKind
from algosat.domain.market_phases import Phase
from algosat.errors import CalendarUnknown, NotFound
from algosat.store import queries

routes = Routes("market")

Answer = TypeVar("Answer")


class InstrumentView(TypedDict):
    symbol: str
    name: str
    kind: InstrumentKind
    segment: str
    tick: Decimal
    lot: Decimal
    freeze_quantity: Decimal
    has_derivatives: bool
    expiry: date | None


class QuoteView(TypedDict):
    symbol: str
    at: datetime
    last: Decimal
    bid: Decimal
    ask: Decimal
    bid_quantity: Decimal
    ask_quantity: Decimal
    volume: Decimal
    open: Decimal
    high: Decimal
    low: Decimal
    lower_circuit: Decimal
    upper_circuit: Decimal


class SegmentView(TypedDict):
    segment: str
    has_derivatives: bool  # of a stock: some have a closing auction for it
    phase: Phase | None
    is_open: bool
    closes_at: datetime | None
    next_open: datetime | None


class MarketView(TypedDict):
    timestamp: datetime
    trading_day: date | None
    is_open: bool
    segments: list[SegmentView]
    warning: str | None


@routes.get("/instruments", access=Access.VIEWER, answer=Everything[InstrumentView])
def list_instruments() -> dict[str, Any]:
    """Everything that can be traded"""
    with services().database.read() as connection:
        return page((asdict(each) for each in queries.all_instruments(connection)), None)


@routes.get("/quotes/<symbol:symbol>", access=Access.VIEWER, answer=QuoteView, errors=(NotFound,))
def show_quote(symbol: str) -> dict[str, Any]:
    """The latest price of a symbol"""
    with services().database.read() as connection:
        found = queries.quote(connection, symbol)
    if found is None:
        raise NotFound(f"there is no quote of {symbol}; GET /instruments lists what is known")
    return asdict(found)


@routes.get("/market/status", access=Access.VIEWER, answer=MarketView)
def market_status() -> MarketView:
    """Which segments trade now, and when those that do not will"""
    desk = services().desk
    now = services().clock()
    with services().database.read() as connection:
        instruments = queries.all_instruments(connection)
    kinds = sorted({(each.segment, each.has_derivatives) for each in instruments})
    segments = [_segment(segment, has_derivatives, now) for segment, has_derivatives in kinds]
    return {
        "timestamp": now,
        "trading_day": _known(lambda: desk.calendar.trading_day(now)),
        "is_open": any(each["is_open"] for each in segments),
        "segments": segments,
        "warning": desk.calendar.warning(now),
    }


def _segment(segment: str, has_derivatives: bool, now: datetime) -> SegmentView:
    calendar = services().desk.calendar
    phase = _known(lambda: calendar.phase(segment, has_derivatives, now))
    return {
        "segment": segment,
        "has_derivatives": has_derivatives,
        "phase": phase,
        "is_open": phase is Phase.CONTINUOUS,
        "closes_at": _known(lambda: calendar.closes_at(segment, has_derivatives, now)),
        "next_open": _known(lambda: calendar.next_open(segment, has_derivatives, now)),
    }


def _known(ask: Callable[[], Answer]) -> Answer | None:
    """What the calendar says, or None where it does not reach: trading is refused there."""
    try:
        return ask()
    except CalendarUnknown:
        return None
