"""The thread that moves the paper market, four steps a second, and pushes quotes and order reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from algosat.brokers.base import Feed, FeedChange, FeedListener, FeedState, QuoteListener, ReportListener
from algosat.domain.instruments import Quote
from algosat.errors import AlgosatError, BrokerNotReached
from algosat.exchange.order_book import BookOrder

STEP_SECONDS: Final = 0.25  # of real time between two steps of the market

_log = structlog.get_logger(__name__)


class MarketThread:
    """Calls `step` at a fixed interval, and pushes announced orders in between."""

    def __init__(self, step: Callable[[], Sequence[Quote]]) -> None:
        self._step = step
        self._announced: SimpleQueue[BookOrder | None] = SimpleQueue()  # None wakes the thread to stop
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def announce(self, order: BookOrder) -> None:
        """Queue an order to be pushed as a report."""
        self._announced.put(order)

    def start(self, on_report: ReportListener, on_quotes: QuoteListener, on_feed: FeedListener) -> None:
        self._stopping.clear()
        on_quotes(self._step())  # prices must exist before the first order arrives
        self._thread = threading.Thread(
            target=self._run, args=(on_report, on_quotes, on_feed), name="paper-market", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._announced.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, on_report: ReportListener, on_quotes: QuoteListener, on_feed: FeedListener) -> None:
        _announce_feeds(on_feed, FeedState.UP)
        try:
            self._move_until_stopped(on_report, on_quotes)
        finally:
            _announce_feeds(on_feed, FeedState.DOWN)

    def _move_until_stopped(self, on_report: ReportListener, on_quotes: QuoteListener) -> None:
        due = time.monotonic() + STEP_SECONDS
        while not self._stopping.is_set():
            self._push_until(due, on_report)
            if time.monotonic() >= due:
                due = time.monotonic() + STEP_SECONDS
                self._move(on_quotes)

    def _move(self, on_quotes: QuoteListener) -> None:
        try:
            quotes = self._step()
        except BrokerNotReached as error:
            _log.error("paper_market_lost", detail=error.detail)
            self._stopping.set()
            return
        except (AlgosatError, SQLAlchemyError) as error:
            # The store is busy or full. The next step writes the changes of this one, too.
            _log.warning("paper_market_step_not_written", detail=str(error))
            return
        if quotes:
            on_quotes(quotes)

    def _push_until(self, due: float, on_report: ReportListener) -> None:
        try:
            order = self._announced.get(timeout=max(due - time.monotonic(), 0.0))
        except Empty:
            return
        if order is not None:
            on_report(order.report())


def _announce_feeds(on_feed: FeedListener, state: FeedState) -> None:
    for feed in Feed:
        on_feed(FeedChange(feed, state))
