"""Case 05: the packaged calendar ends on 31 December 2026; the exchange goes on trading.

Like it: the broker's list of instruments, or a contract's expiry, says that nothing is to be traded.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from algosat.domain.calendar import Calendar, ExchangeCalendar
from algosat.domain.orders import ModifyRequest, Side, Status
from algosat.engine.schedule import watch_calendar
from algosat.store import queries
from algosat.trading import calendar_changes, close, modify
from tests.app.cases.conftest import WorldAt
from tests.app.cases.world import World, ist
from tests.app.desks import CAUSE, replace_instruments

SYMBOL = "ALPHA-EQ"


@pytest.fixture
def uncovered(world_at: WorldAt) -> World:
    """Hold 100 shares on 1 January 2027, a Friday, with a fresh price."""
    world = world_at(ist(2026, 12, 31, 15, 5))
    world.hold(SYMBOL, 100)
    world.run_until(ist(2026, 12, 31, 15, 30))
    world.jump(ist(2027, 1, 1, 9, 20))
    refresh(world)
    return world


def refresh(world: World) -> None:
    """Receive the last known price again, with the present time."""
    world.receive(replace(world.quote(SYMBOL), at=world.clock()))


def test_entry_is_denied(uncovered: World) -> None:
    order = uncovered.place(SYMBOL, Side.BUY, 1)
    assert (order.status, order.code) == (Status.DENIED, "calendar_unknown")


def test_reduce_only_order_passes(uncovered: World) -> None:
    order = uncovered.place(SYMBOL, Side.SELL, 100, reduce_only=True)
    assert order.status is not Status.DENIED, order.code


def test_close_all_passes(uncovered: World) -> None:
    (order,) = close.close_all(uncovered.desk, CAUSE).orders
    assert order.status is not Status.DENIED, order.code


def test_flattening_halt_closes_the_position(uncovered: World) -> None:
    uncovered.halt_and_flatten()
    for _ in range(30):
        refresh(uncovered)
        uncovered.tick()
    assert uncovered.held() == {}


def test_working_exit_is_repriced_after_the_end(uncovered: World) -> None:
    price = uncovered.quote(SYMBOL).last
    order = uncovered.place(SYMBOL, Side.SELL, 100, limit_price=price + 10, reduce_only=True)
    modify.modify_order(uncovered.desk, order.id, ModifyRequest(limit_price=price - 1), CAUSE)
    uncovered.run(2)
    assert uncovered.held() == {}


@pytest.fixture
def unlisted(world_at: WorldAt) -> World:
    """Hold 100 shares that the broker's list of instruments no longer has."""
    world = world_at(ist(2026, 11, 25, 11, 0))
    world.hold(SYMBOL, 100)
    listed = [each for each in world.broker.instruments() if each.symbol != SYMBOL]
    for _ in range(2):  # the engine has started twice since
        replace_instruments(world.desk, listed)
    return world


def test_entry_in_an_unlisted_instrument_is_denied(unlisted: World) -> None:
    assert unlisted.place(SYMBOL, Side.BUY, 1).code == "unknown_symbol"


def test_unlisted_position_can_be_sold_and_off_tick_prices_are_still_denied(unlisted: World) -> None:
    price = unlisted.quote(SYMBOL).last - 1
    off_tick = unlisted.place(SYMBOL, Side.SELL, 10, limit_price=price + Decimal("0.001"), reduce_only=True)
    assert off_tick.code == "off_tick"
    assert unlisted.place(SYMBOL, Side.SELL, 10, limit_price=price, reduce_only=True).status is Status.FILLED
    assert unlisted.place(SYMBOL, Side.SELL, 90, reduce_only=True).status is Status.FILLED
    unlisted.tick()
    assert unlisted.held() == {}
    with unlisted.desk.database.read() as connection:
        fees = [row.fees for row in queries.trades_page(connection, limit=10).rows]
    assert all(fees), fees


def test_close_all_includes_unlisted_positions(unlisted: World) -> None:
    (order,) = close.close_all(unlisted.desk, CAUSE).orders
    assert (order.terms.symbol, order.status) == (SYMBOL, Status.CREATED), order.code


def test_position_whose_contract_has_expired_by_our_reckoning_can_be_closed(world_at: WorldAt) -> None:
    world = world_at(ist(2026, 11, 25, 11, 0))
    world.hold(SYMBOL, 100)
    past = [replace(each, expiry=date(2026, 11, 24)) for each in world.broker.instruments()]
    replace_instruments(world.desk, past)
    assert world.place(SYMBOL, Side.BUY, 1).code == "contract_expired"
    assert world.place(SYMBOL, Side.SELL, 100, reduce_only=True).status is Status.FILLED


def test_exit_is_filled_beyond_the_end(uncovered: World) -> None:
    """Sibling: passing the gate is not enough, the simulated exchange must trade too."""
    uncovered.place(SYMBOL, Side.SELL, 100, reduce_only=True)
    uncovered.run(5)
    assert uncovered.held() == {}


def test_extension_at_run_time_lets_entries_pass(uncovered: World) -> None:
    """Sibling: nobody has to wait for a release."""
    calendar_changes.set_end(uncovered.desk, date(2027, 3, 31), CAUSE)
    world = replace(uncovered, desk=replace(uncovered.desk, calendar=calendar_now(uncovered)))
    order = world.place(SYMBOL, Side.BUY, 1)
    assert order.status is not Status.DENIED, order.code


def test_ended_calendar_raises_an_alert_that_an_extension_closes(uncovered: World) -> None:
    """Sibling: the operator is told, and told when it is over."""
    assert "calendar.ended" in {alert.kind for alert in uncovered.alerts() if alert.closed_at is None}
    calendar_changes.set_end(uncovered.desk, date(2027, 12, 31), CAUSE)
    watch_calendar(replace(uncovered.desk, calendar=calendar_now(uncovered)))
    assert [alert.kind for alert in uncovered.alerts() if alert.closed_at is None] == []


def calendar_now(world: World) -> Calendar:
    """Return the calendar as another process reads it: the world's own asks the store once a second."""
    with world.desk.database.read() as connection:
        return ExchangeCalendar(calendar_changes.sessions_now(connection, world.desk))
