"""Quotes and instruments from the broker to the store."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import structlog
from sqlalchemy import Connection, select

from algosat.brokers.base import Feed, FeedChange, FeedState
from algosat.clock import has_come
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.decimals import ZERO, to_store_places
from algosat.domain.instruments import Instrument, Quote
from algosat.domain.scope import ORIGINAL_ACCOUNT
from algosat.engine.guarded_broker import GuardedBroker
from algosat.errors import BrokerError
from algosat.monitoring import correlation
from algosat.store import gtt_orders, queries
from algosat.store.audit import Cause
from algosat.store.row_writes import replace_rows
from algosat.store.tables import closing_prices, quotes, strategies, strategy_versions
from algosat.trading import alerts
from algosat.trading.desk import Desk
from algosat.trading.instrument_list import InstrumentSwap

FLUSH_EVERY: Final = timedelta(milliseconds=500)
_LOOK_EVERY: Final = timedelta(seconds=5)
_ALERT_AFTER: Final = timedelta(minutes=1)  # a shorter interruption is a reconnect
_LIST_EVERY: Final = timedelta(seconds=5)
_LARGEST: Final = Decimal(90_000_000_000)  # what a column holds
_QUANTITIES: Final = ("bid_quantity", "ask_quantity", "volume")
_PRICES: Final = ("last", "bid", "ask", "open", "high", "low", "lower_circuit", "upper_circuit")

_log = structlog.get_logger(__name__)
_PARAMETERS_OF_RUNNING = (
    select(strategy_versions.c.parameters, strategies.c.account)
    .join(
        strategies,
        (strategies.c.name == strategy_versions.c.name)
        & (strategies.c.version == strategy_versions.c.version),
    )
    .where(strategies.c.wanted == "running")
)


class QuoteBoard:
    """Collects the latest quote of each symbol from any thread, and writes the new ones together.

    The first quote of a trading day moves the stored price of the day before to the closing prices. A quote
    with a price that the store cannot hold exactly is dropped: its symbol keeps the quote before.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._unwritten: dict[str, Quote] = {}
        self._days: dict[str, date] = {}  # the trading day of the quote in the store
        self._dropped: dict[str, date] = {}  # the day of the last log line about each symbol

    def update(self, received: Sequence[Quote]) -> None:
        with self._lock:
            self._unwritten.update({quote.symbol: quote for quote in received})

    def flush(self) -> int:
        """Write the quotes received since the last flush. Return the number of symbols written."""
        with self._lock:
            received, self._unwritten = self._unwritten, {}
        unwritten = {
            symbol: _rounded(quote) for symbol, quote in received.items() if self._is_storable(quote)
        }
        if unwritten:
            rows = [{"venue": self._desk.venue, **_row(quote)} for quote in unwritten.values()]
            day_at = {at: self._trading_day(at) for at in {quote.at for quote in unwritten.values()}}
            days = {symbol: day_at[quote.at] for symbol, quote in unwritten.items()}
            new = {symbol: day for symbol, day in days.items() if self._days.get(symbol) != day}

            def unit(connection: Connection) -> None:
                replace_rows(closing_prices).run_each(connection, self._closing_prices(connection, new))
                replace_rows(quotes).run_each(connection, rows)

            self._desk.writer.run(unit, durable=False)
            self._days.update(days)
        return len(unwritten)

    def _is_storable(self, quote: Quote) -> bool:
        """Return whether the store holds the prices of the quote exactly. If not, log it once a day."""
        prices = {name: getattr(quote, name) for name in _PRICES}
        unfit = {name: str(price) for name, price in prices.items() if not _fits(price)}
        if unfit and self._dropped.get(quote.symbol) != (day := self._trading_day(quote.at)):
            self._dropped[quote.symbol] = day
            _log.warning("quote_dropped", symbol=quote.symbol, venue=self._desk.venue, unfit=unfit)
        return not unfit

    def _closing_prices(self, connection: Connection, new: Mapping[str, date]) -> list[dict[str, Any]]:
        """Return the rows for the symbols whose stored quote is older than the day of their new one."""
        stored = ((day, queries.quote(connection, self._desk.venue, symbol)) for symbol, day in new.items())
        closed = (
            (quote, quoted_on)
            for day, quote in stored
            if quote is not None and (quoted_on := self._trading_day(quote.at)) < day
        )
        return [
            {"venue": self._desk.venue, "symbol": quote.symbol, "day": quoted_on, "price": quote.last}
            for quote, quoted_on in closed
        ]

    def _trading_day(self, at: datetime) -> date:
        return self._desk.books.trading_day(at)


class FeedWatch:
    """Whether the broker's feeds are up, whether or not anything trades.

    Quotes are read again after each reconnect, and those that the account needs stay subscribed.
    """

    def __init__(self, desk: Desk, broker: GuardedBroker, quotes: QuoteBoard) -> None:
        self._desk, self._broker, self._quotes = desk, broker, quotes
        self._lock = threading.Lock()
        self._down_since: dict[Feed, datetime] = {}
        self._reads_quotes = False
        self._subscribed: AbstractSet[str] = frozenset()
        self._next_look = desk.clock()

    def begin(self) -> None:
        """Count the broker's feeds as down: it is about to start."""
        feeds = [feed for feed in Feed if feed is Feed.QUOTES or self._broker.capabilities.pushes_reports]
        with self._lock:
            self._down_since = dict.fromkeys(feeds, self._desk.clock())
            self._subscribed = frozenset()

    def changed(self, change: FeedChange) -> None:
        """Take note of a change. It comes in the broker's thread, which must not wait."""
        _log.info("feed_changed", feed=change.feed.value, state=change.state.value, detail=change.detail)
        with self._lock:
            if change.state is FeedState.DOWN:
                self._down_since.setdefault(change.feed, self._desk.clock())
                return
            self._down_since.pop(change.feed, None)
            self._reads_quotes |= change.feed is Feed.QUOTES

    def states(self) -> dict[str, str]:
        """Return whether each feed is up or down, for the heartbeat."""
        down = self._down_since
        return {feed.value: (FeedState.DOWN if feed in down else FeedState.UP).value for feed in Feed}

    def step(self) -> None:
        """Read the quotes that were missed, subscribe what is needed, and alert while a feed is down."""
        if self._reads_quotes:
            self._reads_quotes = False
            self._read_quotes()
        now = self._desk.clock()
        if not has_come(self._next_look, now, within=_LOOK_EVERY):
            return
        self._next_look = now + _LOOK_EVERY
        with self._desk.database.read() as connection:
            needed = _needed_symbols(connection, self._desk)
            known = alerts.open_subjects(connection, self._desk, AlertKind.BROKER_FEED_DOWN)
        if needed != self._subscribed:
            self._subscribe(needed)
        self._alert(known, now)

    def _read_quotes(self) -> None:
        try:
            self._quotes.update(self._broker.quotes())
        except BrokerError as error:
            self._reads_quotes = True
            _log.warning("quotes_not_read", detail=error.detail)

    def _subscribe(self, symbols: AbstractSet[str]) -> None:
        try:
            self._broker.subscribe(symbols)
        except BrokerError as error:
            _log.warning("quotes_not_subscribed", detail=error.detail)
        else:
            self._subscribed = symbols

    def _alert(self, known: AbstractSet[str], now: datetime) -> None:
        down = {
            feed.value: since
            for feed, since in dict(self._down_since).items()
            if abs(now - since) > _ALERT_AFTER and self._broker.session().is_readable
        }
        if down.keys() == known:
            return
        cause = Cause("engine", correlation.new())

        def unit(connection: Connection) -> None:
            for feed in known - down.keys():
                alerts.close_alert(connection, self._desk, AlertKind.BROKER_FEED_DOWN, feed, cause)
            for feed, since in down.items():
                detail = f"the feed of {feed} has been down since {since:%H:%M:%S} UTC"
                alerts.open_alert(connection, self._desk, AlertKind.BROKER_FEED_DOWN, feed, cause, detail)

        self._desk.writer.run(unit)


def _needed_symbols(connection: Connection, desk: Desk) -> frozenset[str]:
    """Return the symbols of the account's open positions, working orders, GTT orders and running strategies.

    A broker may refuse a subscription that has a symbol of another account's broker.
    """
    account = desk.account
    held = {position.symbol for position in queries.open_positions(connection, account)}
    working = {order.terms.symbol for order in queries.working(connection, account)}
    waiting = {gtt.terms.symbol for gtt in gtt_orders.active(connection, account)}
    watched = {
        symbol
        for row in connection.execute(_PARAMETERS_OF_RUNNING)
        if (row.account or ORIGINAL_ACCOUNT) == account
        for symbol in row.parameters.get("symbols", ())
    }
    return frozenset(held | working | waiting | watched)


class InstrumentList:
    """Keeps the instruments in the store equal to the list of the broker, which changes from day to day."""

    def __init__(self, desk: Desk, broker: GuardedBroker) -> None:
        self._desk, self._broker = desk, broker
        self._next = desk.clock()
        self._stored: list[Instrument] = []
        self._pieces: Iterator[None] | None = None  # of the swap under way

    def step(self) -> None:
        """Read the broker's list if that is due. If it has changed, store it, one piece in each step."""
        self._pieces = self._pieces or self._begin()
        if self._pieces is None:
            return
        try:
            next(self._pieces)
        except StopIteration:
            self._pieces = None
        except Exception:
            self._pieces, self._stored = None, []  # it starts again
            raise

    def _begin(self) -> Iterator[None] | None:
        """Begin a swap. Return its pieces; None if none is due, or the list has not changed."""
        now = self._desk.clock()
        if not has_come(self._next, now, within=_LIST_EVERY):
            return None
        self._next = now + _LIST_EVERY
        try:
            listed = list(self._broker.instruments())
        except BrokerError as error:
            _log.warning("instruments_not_read", detail=error.detail)
            return None
        if listed == self._stored:
            return None
        self._stored = listed
        return InstrumentSwap(self._desk, listed).pieces()


def _fits(price: Decimal) -> bool:
    return price.is_finite() and abs(price) <= _LARGEST and to_store_places(price) == price


def _rounded(quote: Quote) -> Quote:
    """Return the quote with quantities of at most eight decimal places: no money is computed from them."""
    quantities = {name: getattr(quote, name) for name in _QUANTITIES}
    stored: dict[str, Any] = {name: _stored_quantity(value) for name, value in quantities.items()}
    return quote if stored == quantities else replace(quote, **stored)


def _stored_quantity(value: Decimal) -> Decimal:
    return to_store_places(min(value, _LARGEST)) if value.is_finite() else ZERO


def _row(quote: Quote) -> dict[str, Any]:
    return {name: getattr(quote, name) for name in Quote.__slots__}
