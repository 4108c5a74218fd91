"""Route that reads candles from an account's broker, through the engine."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from algosat.api.access import Access
from algosat.api.context import receive_answer, send_request, services
from algosat.api.fields import Price, Quantity, Timestamp
from algosat.api.pages import Everything, OfAccount, page
from algosat.api.responses import Output
from algosat.api.routes import Routes
from algosat.domain.bars import Interval
from algosat.errors import NotFound
from algosat.store import queries
from algosat.trading.engine_requests import ERRORS, CandlesWanted, RequestKind

routes = Routes("market")


class CandlesQuery(OfAccount):
    interval: Interval = Interval.ONE_MINUTE
    """Length of a candle."""
    since: Annotated[AwareDatetime, Field(examples=["2026-11-30T03:45:00Z"])]
    """Earliest start of a candle, with its UTC offset."""
    until: AwareDatetime | None = None
    """Candles start before this time, with its UTC offset; by default the current time."""


class CandleView(Output):
    """Prices and volume in a time window.

    Windows are counted from midnight in the time zone of the market: `utc_offset` of `GET /market/status`.
    """

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
    until = query.until or services().clock()
    wanted = CandlesWanted.between(symbol, query.interval, query.since, until)
    with services().database.read() as connection:
        if queries.instrument(connection, desk.venue, symbol) is None:
            raise NotFound(f"there is no instrument {symbol}; GET /instruments lists the instruments")
    answer = receive_answer(send_request(RequestKind.CANDLES, desk.account, wanted.to_data()))
    return page((_view(each) for each in answer), None)


def _view(data: dict[str, Any]) -> CandleView:
    return {
        "at": datetime.fromisoformat(data["at"]),
        "open": Decimal(data["open"]),
        "high": Decimal(data["high"]),
        "low": Decimal(data["low"]),
        "close": Decimal(data["close"]),
        "volume": Decimal(data["volume"]),
    }
