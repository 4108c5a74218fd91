"""Routes for instruments, quotes and market hours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any, TypeVar

from pydantic import Field

from algosat.api.access import Access
from algosat.api.amounts import Amount
from algosat.api.context import desk_of, services
from algosat.api.fields import InstrumentSymbol, Price, Quantity, Timestamp
from algosat.api.pages import Everything, OfAccount, Symbol, page
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.domain.calendar import Calendar
from algosat.domain.instruments import InstrumentKind, OptionType, SettlementMethod
from algosat.domain.market_phases import Phase
from algosat.errors import CalendarUnknown, NotFound
from algosat.store import queries

routes = Routes("market", "Instruments, quotes and market hours.")

Answer = TypeVar("Answer")


class InstrumentView(Output):
    """A share or contract that can be traded."""

    symbol: InstrumentSymbol
    name: Annotated[str, Field(examples=["Alpha Industries"])]
    """Name of the share or contract."""
    kind: InstrumentKind
    """Share, future or option."""
    segment: Annotated[str, Field(examples=["equity"])]
    """Market segment, which sets the trading hours."""
    tick: Annotated[Price, Field(examples=["0.05"])]
    """Tick size: prices are multiples of this number."""
    lot: Annotated[Quantity, Field(examples=["1"])]
    """Lot size: quantities are multiples of this number."""
    freeze_quantity: Annotated[Quantity, Field(examples=["10000"])]
    """Largest quantity that the exchange accepts in one order."""
    has_derivatives: bool
    """Whether futures or options of this share are listed."""
    expiry: date | None
    """Last trading day; null for shares and continuous futures."""
    underlying: Annotated[InstrumentSymbol | None, Field(examples=["NOVA-EQ"])]
    """Instrument whose closing price settles the contract at expiry; null without an expiry."""
    strike: Annotated[Price | None, Field(examples=["1520"])]
    """Strike price of an option; null for all others."""
    option_type: OptionType | None
    """Call or put; null if it is not an option."""
    settlement: SettlementMethod | None
    """Whether the contract is settled in cash or by delivery of shares; null without an expiry."""
    minimum_quantity: Annotated[Quantity | None, Field(examples=["10"])]
    """Smallest quantity that the exchange accepts in one order; null: one lot."""
    minimum_notional: Annotated[Price | None, Field(examples=["5"])]
    """Smallest value of one order, quantity times price; null: any."""
    currency: Annotated[str | None, Field(examples=["USDT"])]
    """Currency of the prices; null: the account's."""
    base_currency: Annotated[str | None, Field(examples=["BTC"])]
    """What is bought and sold of a currency pair; null: not a pair."""


class QuoteView(Output):
    """Latest prices of an instrument."""

    symbol: InstrumentSymbol
    at: Timestamp
    """Time of the quote."""
    last: Annotated[Price, Field(examples=["103"])]
    """Last traded price."""
    bid: Annotated[Price, Field(examples=["102.95"])]
    """Best price to sell at."""
    ask: Annotated[Price, Field(examples=["103.05"])]
    """Best price to buy at."""
    bid_quantity: Annotated[Quantity, Field(examples=["500"])]
    """Quantity wanted at the bid."""
    ask_quantity: Annotated[Quantity, Field(examples=["420"])]
    """Quantity offered at the ask."""
    volume: Annotated[Quantity, Field(examples=["125000"])]
    """Quantity traded in this session."""
    open: Annotated[Price, Field(examples=["101"])]
    """First price of the session."""
    high: Annotated[Price, Field(examples=["103.5"])]
    """Highest price of the session."""
    low: Annotated[Price, Field(examples=["100.8"])]
    """Lowest price of the session."""
    lower_circuit: Annotated[Price, Field(examples=["80"])]
    """Lowest price the exchange accepts today."""
    upper_circuit: Annotated[Price, Field(examples=["120"])]
    """Highest price the exchange accepts today."""


class SegmentView(Output):
    """Hours of one market segment."""

    segment: Annotated[str, Field(examples=["equity"])]
    """Market segment."""
    has_derivatives: bool
    """Whether the hours apply to shares with listed derivatives, which may have a closing auction."""
    phase: Annotated[Phase | None, Field(examples=["continuous"])]
    """Phase of the trading day; null if the calendar does not cover this moment."""
    is_open: Annotated[bool, Field(examples=[True])]
    """Whether the segment is in continuous trading."""
    closes_at: Annotated[Timestamp | None, Field(examples=["2026-11-30T10:00:00Z"])]
    """End of today's continuous trading; null without any, or if unknown."""
    next_open: Annotated[Timestamp | None, Field(examples=["2026-12-01T03:45:00Z"])]
    """Next start of continuous trading, or the current time during it; null if unknown."""


class MarketView(Output):
    """Hours of all market segments."""

    timestamp: Timestamp
    """Time of the server."""
    trading_day: Annotated[date | None, Field(examples=["2026-11-30"])]
    """Current trading day; null if the calendar does not cover this moment."""
    utc_offset: Annotated[str, Field(examples=["+05:30"])]
    """Time zone in which the days of this market begin and end, as an offset from UTC."""
    is_open: Annotated[bool, Field(examples=[True])]
    """Whether any segment is in continuous trading."""
    segments: list[SegmentView]
    """Every segment that has instruments."""
    warning: str | None
    """Warning that the trading calendar ends soon, or null."""


class InstrumentsQuery(OfAccount):
    kind: InstrumentKind | None = None
    """Only instruments of this kind."""
    underlying: Symbol | None = None
    """Only contracts on this instrument."""
    expiry: date | None = None
    """Only contracts that expire on this day."""
    strike: Amount | None = None
    """Only options with this strike price."""
    option_type: OptionType | None = None
    """Only calls or only puts."""


@routes.get("/instruments", access=Access.VIEWER, query=InstrumentsQuery, answer=Everything[InstrumentView])
def list_instruments(query: InstrumentsQuery) -> dict[str, Any]:
    """List instruments

    When a trading day begins, expired contracts are removed from the list and new ones are added. With
    `underlying`, `expiry` and `kind=option`, the list is an option chain.
    """
    venue = desk_of(query.account).venue
    wanted = {name: value for name, value in query if value is not None and name != "account"}
    with services().database.read() as connection:
        listed = queries.all_instruments(connection, venue)
    found = (each for each in listed if all(getattr(each, name) == wanted[name] for name in wanted))
    return page((asdict(each) for each in found), None)


@routes.get(
    "/quotes/<symbol:symbol>", access=Access.VIEWER, query=OfAccount, answer=QuoteView, errors=(NotFound,)
)
def show_quote(symbol: str, query: OfAccount) -> dict[str, Any]:
    """Show the latest quote of an instrument"""
    venue = desk_of(query.account).venue
    with services().database.read() as connection:
        found = queries.quote(connection, venue, symbol)
    if found is None:
        raise NotFound(f"there is no quote of {symbol}; GET /instruments lists the instruments")
    return asdict(found)


@routes.get("/market/status", access=Access.VIEWER, query=OfAccount, answer=MarketView)
def market_status(query: OfAccount) -> MarketView:
    """Show which segments are open, and when the others open next"""
    desk, now = desk_of(query.account), services().clock()
    with services().database.read() as connection:
        markets = queries.listed_markets(connection, desk.venue)
    segments = [
        _segment(desk.calendar, segment, has_derivatives, now) for segment, has_derivatives in markets
    ]
    return {
        "timestamp": now,
        "trading_day": _known(lambda: desk.calendar.trading_day(now)),
        "utc_offset": now.astimezone(desk.calendar.zone).isoformat()[-len("+00:00") :],
        "is_open": any(each["is_open"] for each in segments),
        "segments": segments,
        "warning": desk.calendar.warning(now),
    }


def _segment(calendar: Calendar, segment: str, has_derivatives: bool, now: datetime) -> SegmentView:
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
    """Return the calendar's answer, or None for a moment it does not cover, where trading is denied."""
    try:
        return ask()
    except CalendarUnknown:
        return None
