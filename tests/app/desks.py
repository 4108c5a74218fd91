"""A trading desk on a real store, with two shares and a future whose prices the tests set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from algosat.config.settings import Settings
from algosat.domain.instruments import Instrument, InstrumentKind, Quote
from algosat.domain.orders import EventKind, Order, OrderEvent, OrderTerms, OrderType, Side, Trade
from algosat.engine.quotes import QuoteBoard
from algosat.store import ledger
from algosat.store.audit import Cause
from algosat.store.database import Database
from algosat.store.tables import alerts
from algosat.store.wakeup.unix_socket import SocketNotifier
from algosat.store.writer import Writer
from algosat.trading import desk as desks
from algosat.trading import place
from algosat.trading.desk import Desk
from algosat.trading.instrument_list import InstrumentSwap
from tests.app.fakes import FakeClock

CAUSE = Cause("tester", "correlation-1")
SHARE, SECOND, FUTURE = "ALPHA-EQ", "BRAVO-EQ", "NOVA-FUT"


def instruments() -> list[Instrument]:
    return [
        Instrument(
            SHARE, "Alpha", InstrumentKind.EQUITY, "equity", Decimal("0.05"), Decimal(1), Decimal(1000)
        ),
        Instrument(
            SECOND, "Bravo", InstrumentKind.EQUITY, "equity", Decimal("0.05"), Decimal(1), Decimal(1000)
        ),
        Instrument(
            FUTURE, "Nova", InstrumentKind.FUTURE, "derivatives", Decimal("0.05"), Decimal(50), Decimal(1000)
        ),
    ]


def replace_instruments(desk: Desk, listed: Sequence[Instrument]) -> None:
    """Store the instruments that a broker lists, in all pieces."""
    for _ in InstrumentSwap(desk, listed).pieces():
        pass


def quote_of(symbol: str, at: datetime, last: str = "100", **differences: Decimal | str) -> Quote:
    price = Decimal(last)
    quote = Quote(
        symbol=symbol,
        at=at,
        last=price,
        bid=price - Decimal("0.05"),
        ask=price + Decimal("0.05"),
        bid_quantity=Decimal(500),
        ask_quantity=Decimal(500),
        volume=Decimal(10_000),
        open=price,
        high=price,
        low=price,
        lower_circuit=(price * Decimal("0.8")).quantize(Decimal("0.1")),
        upper_circuit=(price * Decimal("1.2")).quantize(Decimal("0.1")),
    )
    return replace(quote, **{name: Decimal(value) for name, value in differences.items()})  # type: ignore[arg-type]


@contextmanager
def open_desk(settings: Settings, clock: FakeClock, **limits: Any) -> Iterator[Desk]:
    """Open a desk with a price for every instrument; `limits` change those of the settings."""
    database = Database(settings.algosat.database.url.get_secret_value())
    writer, notifier = Writer(database), SocketNotifier(settings.algosat.runtime_directory)
    desk = desks.build_all(settings, database, writer, notifier, clock).first
    desk = replace(desk, defaults=replace(desk.defaults, **limits))
    replace_instruments(desk, instruments())
    writer.run(lambda connection: ledger.deposit(connection, desk.account, Decimal(1_000_000)))
    set_prices(desk)
    try:
        yield desk
    finally:
        desk.errors.close()
        writer.close()
        notifier.close()
        database.close()


def other_account(desk: Desk, account: str = "dollars") -> Desk:
    """Open the desk of another account on the same store, with its own market and cash."""
    other = replace(
        desk,
        account=account,
        venue=account,
        currency="USD",
        is_first=False,
        is_only=False,
        engine_channel=f"engine.{account}",
    )
    replace_instruments(other, instruments())
    desk.writer.run(lambda connection: ledger.deposit(connection, account, Decimal(1_000_000)))
    set_prices(other)
    return other


def set_prices(desk: Desk, **last: str) -> None:
    """Set fresh prices: 100 for every instrument, unless named (ALPHA="101", NOVA="99")."""
    board = QuoteBoard(desk)
    at = desk.clock()
    board.update(
        [quote_of(each, at, last.get(each.split("-")[0], "100")) for each in (SHARE, SECOND, FUTURE)]
    )
    board.flush()


def terms_of(
    quantity: str = "10", *, side: Side = Side.BUY, limit: str | None = "100", **differences: Any
) -> OrderTerms:
    """Return the terms of a limit order for the first share; with `limit=None`, of a market order."""
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    price = None if limit is None else Decimal(limit)
    terms = OrderTerms("paper", SHARE, side, Decimal(quantity), kind, limit_price=price)
    return replace(terms, **differences)


def buy(desk: Desk, quantity: str = "10", **differences: Any) -> Order:
    return place.place_order(desk, terms_of(quantity, account=desk.account, **differences), CAUSE).order


def sell(desk: Desk, quantity: str = "10", **differences: Any) -> Order:
    terms = terms_of(quantity, account=desk.account, side=Side.SELL, **differences)
    return place.place_order(desk, terms, CAUSE).order


def advance(desk: Desk, order: Order, *kinds: EventKind, fill: str | None = None, at: str = "100") -> Order:
    """Record these events of an order, then a fill of the quantity `fill` if one is given."""
    now = desk.clock()

    def work(connection: Any) -> Order:
        current = ledger.get(connection, order.id)
        for kind in kinds:
            broker_id = f"B-{order.id[-6:]}" if kind is EventKind.ACCEPTED else None
            event = OrderEvent(kind, now, broker_order_id=broker_id)
            current = ledger.record(connection, current, event, CAUSE, desk.books)
        if fill is not None:
            trade = Trade(f"T-{order.id}-{current.version}", Decimal(fill), Decimal(at), now)
            event = OrderEvent(EventKind.FILLED, now, trade=trade)
            current = ledger.record(connection, current, event, CAUSE, desk.books)
        return current

    return desk.writer.run(work)


def accepted(desk: Desk, order: Order) -> Order:
    return advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED)


def hold(
    desk: Desk, quantity: str = "10", *, at: str = "100", side: Side = Side.BUY, **differences: Any
) -> Order:
    """Open a position by an order that is filled completely. Returns the order."""
    terms = terms_of(quantity, account=desk.account, side=side, limit=at, **differences)
    order = place.place_order(desk, terms, CAUSE).order
    return advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill=quantity, at=at)


def order_now(desk: Desk, order: Order | str) -> Order:
    with desk.database.read() as connection:
        return ledger.get(connection, order if isinstance(order, str) else order.id)


def open_alerts(desk: Desk, *, of_calendar: bool = False) -> set[tuple[str, str]]:
    """Return kind and subject of each open alert: those about the calendar (it ends soon), or all others."""
    with desk.database.read() as connection:
        rows = connection.execute(select(alerts).where(alerts.c.closed_at.is_(None)))
        found = {(row.kind, row.subject) for row in rows}
    return {(kind, subject) for kind, subject in found if (subject == "calendar") is of_calendar}
