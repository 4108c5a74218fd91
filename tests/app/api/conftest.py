"""Fixtures for the API's tests: a market with prices, and a broker that answers on request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from algosat.api.context import Services
from algosat.domain.orders import EventKind, Order
from algosat.store import ledger, queries
from algosat.trading.desk import Desk
from tests.app.desks import advance, instruments, replace_instruments, set_prices
from tests.app.events import PATIENCE


@pytest.fixture
def desk(services: Services) -> Desk:
    """The desk of the API, with instruments, prices and a million in cash."""
    desk = services.desk
    replace_instruments(desk, instruments())
    desk.writer.run(lambda connection: ledger.deposit(connection, desk.account, Decimal(1_000_000)))
    set_prices(desk)
    return desk


@pytest.fixture
def broker(desk: Desk) -> Iterator[Callable[[], None]]:
    """A function after whose call the next order is accepted and filled, and the API notified."""
    with ThreadPoolExecutor(1) as pool:

        def fill_next() -> None:
            pool.submit(_fill_next, desk)

        yield fill_next


def _fill_next(desk: Desk) -> None:
    order = _next_order(desk)
    quantity = str(order.terms.quantity)
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill=quantity)
    desk.notify_web(order.id)


def _next_order(desk: Desk) -> Order:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with desk.database.read() as connection:
            working = queries.working(connection, desk.account)
        if working:
            return working[0]
        time.sleep(0.005)
    raise AssertionError("no order was placed")
