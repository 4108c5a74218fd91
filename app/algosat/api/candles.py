"""Route that reads candles from an account's broker, through the engine."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, Field

from algosat.api.access import Access
from algosat.api.context import receive_answer, send_request, services
from algosat.api.fields import Price, Quantity, Timestamp
from algosat.api.pages import Everything, OfAccount, page
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.errors import InvalidQuery, NotFound
from algosat.store import queries
from algosat.trading.engine_requests import ERRORS, CandlesWanted, RequestKind

routes = Routes("market")

_MOST: Final = 1000  # candles in one answer


class Interval(StrEnum):
    ONE_MINUTE = "1m"
    THREE_MINUTES = "3m"
    FIVE_MINUTES = "5m"
    TEN_MINUTES = "10m"
    FIFTEEN_MINUTES = "15m"
    THIRTY_MINUTES = "30m"
    ONE_HOUR = "1h"
    ONE_DAY = "1d"

    @property
    def length(self) -> timedelta:
        number, unit = int(self[:-1]), self[-1]
        return {"m": timedelta(minutes=number), "h": timedelta(hours=number), "d": timedelta(days=number)}[
            unit
        ]


class CandlesQuery(OfAccount):
    interval: Interval = Interval.ONE_MINUTE
    """Length of a candle."""
    since: Annotated[AwareDatetime, Field(examples=["2026-11-30T03:45:00Z"])]
    """Earliest start of a candle, with its UTC offset."""
    until: AwareDatetime | None = None
    """Candles start before this time, with its UTC offset; by default the current time."""


class CandleView(Output):
    """Prices and volume in a time window. Windows are counted from midnight, exchange time."""

    at: Timestamp
    """Start of the window."""
    open: Annotated[Price, Field(examples=["101"])]
    """First price."""
    high: Annotated[Price, Field(examples=["103.5"])]
    """Highest price."""
    low: Annotated[Price, Field(examples=["100.8"])]
    """Lowest price."""
    close: Annotated[Price, Field(examples=["103"])]
    """Last price."""
    volume: Annotated[Quantity, Field(examples=["12500"])]
    """Quantity traded."""


@routes.get(
    "/candles/<symbol:symbol>",
    access=Access.VIEWER,
    query=CandlesQuery,
    answer=Everything[CandleView],
    errors=(NotFound, *ERRORS),
)
def list_candles(symbol: str, query: CandlesQuery) -> dict[str, Any]:
    """List candles of an instrument, oldest first

    The candles are the broker's. A window that has not ended, or without a trade, has none. The paper market
    knows the last 400 minutes since the engine's start, and whole days since then.
    """
    desk = services().desks.of(query.account)
    wanted = _wanted(symbol, query)
    with services().database.read() as connection:
        if queries.instrument(connection, desk.venue, symbol) is None:
            raise NotFound(f"there is no instrument {symbol}; GET /instruments lists the instruments")
    answer = receive_answer(send_request(RequestKind.CANDLES, desk.account, wanted.to_data()))
    return page((_view(each) for each in answer), None)


def _wanted(symbol: str, query: CandlesQuery) -> CandlesWanted:
    """Return the arguments of the request. Raises InvalidQuery."""
    until, length = query.until or services().clock(), query.interval.length
    if until <= query.since:
        raise InvalidQuery("`until` must be after `since`")
    if until - query.since > _MOST * length:
        raise InvalidQuery(f"{_MOST} candles of {query.interval} at most: set `since` and `until` closer")
    return CandlesWanted(symbol, length, query.since, until)


def _view(data: dict[str, Any]) -> CandleView:
    return {
        "at": datetime.fromisoformat(data["at"]),
        "open": Decimal(data["open"]),
        "high": Decimal(data["high"]),
        "low": Decimal(data["low"]),
        "close": Decimal(data["close"]),
        "volume": Decimal(data["volume"]),
    }
