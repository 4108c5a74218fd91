"""Paper brokers on a real store, with a market moved by the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from algosat.brokers.base import BookHint, Broker
from algosat.brokers.paper.broker import PaperBroker
from algosat.domain.instruments import Quote
from algosat.domain.orders import Order, create
from algosat.domain.orders.report import OrderReport
from algosat.errors import StoreBusy
from algosat.store.writer import Writer
from tests.app.exchange.manual_exchange import rules_of, terms_of

SYMBOL = "NOVA-EQ"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


def broker_on(store: Any, clock: Clock | None = None, *, account: str = "paper", **rules: Any) -> PaperBroker:
    """Return a broker whose market moves only by `step`."""
    broker = PaperBroker(rules_of(**rules), store, speed=60, account=account, now=clock or Clock())
    broker.open()
    broker.step()
    return broker


def reopened(store: Any, clock: Clock) -> PaperBroker:
    """Return a broker that has taken the exchange over from one that was killed. Its market has not moved."""
    broker = PaperBroker(rules_of(), store, speed=60, now=clock)
    broker.open()
    return broker


def order_of(number: int = 1, **differences: Any) -> Order:
    terms = terms_of(**{"quantity": 10, "symbol": SYMBOL, **differences})
    return create(f"a{number:017d}", terms, datetime(2026, 11, 20, 5, 0, tzinfo=UTC))


def book_of(broker: Broker) -> Sequence[OrderReport]:
    return broker.read_book(BookHint()).reports


def quote(broker: PaperBroker) -> Quote:
    return next(each for each in broker.quotes() if each.symbol == SYMBOL)


@contextmanager
def running(
    broker: PaperBroker, on_report: Callable[[OrderReport], None], on_quotes: Callable[[Any], None]
) -> Iterator[None]:
    broker.start(on_report, on_quotes, lambda _change: None)
    try:
        yield
    finally:
        broker.stop()


class BusyStore:
    """A store that is busy while `fails` is set."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.fails = False
        self.failed = 0

    def run(self, work: Callable[[Connection], Any], *, durable: bool = True) -> Any:
        if self.fails:
            self.failed += 1
            raise StoreBusy("busy")
        return self._writer.run(work, durable=durable)


class FastClock:
    """A clock on which a snapshot is due at every step."""

    def __init__(self) -> None:
        self._at = datetime.now(UTC)

    def __call__(self) -> datetime:
        self._at += timedelta(seconds=6)
        return self._at
