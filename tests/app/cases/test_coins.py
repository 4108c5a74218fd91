"""An account of currency pairs: its books equal the paper market's, and what fees have taken is not sold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select

from algosat.domain.closing import LineState
from algosat.domain.orders import Order, Product, Side, Status, Validity
from algosat.store.tables import close_lines, days, openings, other_fees
from algosat.store.verify.verify import verify
from algosat.trading import close
from tests.app.cases.world import World, ist, open_world, restarted
from tests.app.desks import CAUSE, order_now

NIGHT = ist(2026, 11, 22, 2, 30)  # a Sunday
_COINS = {
    "currency": "USDT",
    "calendar": "always_open",
    "charges__brokerage": "none",
    "paper__listings": "coins",
}


@pytest.fixture
def world(tmp_path: Path, empty_url: str) -> Iterator[World]:
    limits = {"max_order_value": 10**6, "max_position_value": 10**6, "max_gross_exposure": 10**7}
    with open_world(tmp_path, empty_url, NIGHT, account=_COINS, **limits) as world:
        yield world


def traded(world: World, symbol: str, side: Side, quantity: str, **terms: object) -> Order:
    order = world.place(symbol, side, Decimal(quantity), product=Product.DELIVERY, **terms)
    assert order.code is None, order.reason
    world.run(4)
    return order_now(world.desk, order)


def assert_clean(world: World) -> None:
    with world.desk.database.read() as connection:
        assert verify(connection).findings == []


def test_everything_bought_can_be_sold_and_fees_of_a_third_currency_are_listed(world: World) -> None:
    for symbol, quantity in (("BTC-USDT", "0.01234"), ("SOL-USDT", "3.21"), ("DOGE-USDT", "500")):
        assert traded(world, symbol, Side.BUY, quantity).status is Status.FILLED
    held = world.held()
    assert {each.symbol: each.quantity for each in world.broker.positions()} == held
    assert held["BTC-USDT"] == Decimal("0.01234") * Decimal("0.999")
    assert (held["SOL-USDT"], held["DOGE-USDT"]) == (Decimal("3.21"), Decimal(500))
    assert_clean(world)
    close.close_all(world.desk, CAUSE)
    world.run(6)
    with world.desk.database.read() as connection:
        lines = connection.execute(select(close_lines)).all()
        states = {row.symbol: row.state_exact or row.state for row in lines}
        third = connection.execute(select(other_fees.c.currency)).scalars().all()
    assert states == {
        "BTC-USDT": LineState.DUST,
        "SOL-USDT": LineState.FLAT,
        "DOGE-USDT": LineState.FLAT,
    }
    assert world.held()["BTC-USDT"] < Decimal("0.00001")
    assert third == ["BNB"]
    assert_clean(world)


def test_gtc_order_and_its_fee_outlast_a_day_and_a_restart(world: World) -> None:
    low = (world.quote("ETH-USDT").bid * Decimal("0.97")).quantize(Decimal("0.01"))
    order = traded(world, "ETH-USDT", Side.BUY, "0.5", limit_price=low, validity=Validity.GTC)
    assert order.status is Status.OPEN
    world = restarted(world, at=ist(2026, 11, 24, 2, 30))
    world.run(4)
    assert order_now(world.desk, order).status is Status.OPEN
    world.broker.cross(order_now(world.desk, order), 1.0)
    world = restarted(world, at=ist(2026, 11, 24, 2, 31))
    world.run(4)
    assert order_now(world.desk, order).status is Status.FILLED
    assert world.held() == {"ETH-USDT": Decimal("0.4995")}
    assert_clean(world)


def test_day_of_the_account_begins_at_midnight_utc(world: World) -> None:
    def resting() -> Order:
        low = (world.quote("ETH-USDT").bid * Decimal("0.97")).quantize(Decimal("0.01"))
        return traded(world, "ETH-USDT", Side.BUY, "0.5", limit_price=low)

    first = resting()
    world = restarted(world, at=utc(21, 23, 55))
    world.run(2)
    assert order_now(world.desk, first).status is Status.OPEN
    world = restarted(world, at=utc(22, 0, 1))
    world.run(2)
    assert order_now(world.desk, first).status is Status.EXPIRED
    world = restarted(world, at=utc(22, 18, 0))
    second = resting()
    world = restarted(world, at=utc(22, 18, 40))  # past midnight, exchange time
    world.run(2)
    assert order_now(world.desk, second).status is Status.OPEN
    traded(world, "SOL-USDT", Side.BUY, "1")
    with world.desk.database.read() as connection:
        counted = connection.execute(select(days.c.day, days.c.orders).order_by(days.c.day)).all()
    assert [tuple(row) for row in counted] == [(date(2026, 11, 21), 1), (date(2026, 11, 22), 2)]
    assert_clean(world)


def test_loss_of_the_day_is_counted_from_midnight_utc(world: World) -> None:
    world = restarted(world, at=utc(22, 17, 0))
    traded(world, "SOL-USDT", Side.BUY, "10")
    for at, newest in ((utc(22, 19, 0), date(2026, 11, 22)), (utc(23, 0, 1), date(2026, 11, 23))):
        world = restarted(world, at=at)
        world.run(2)
        with world.desk.database.read() as connection:
            assert max(connection.execute(select(openings.c.day)).scalars()) == newest


def utc(day: int, hour: int, minute: int) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def test_order_below_the_smallest_value_is_denied(world: World) -> None:
    order = world.place("BTC-USDT", Side.BUY, Decimal("0.00002"), product=Product.DELIVERY)
    assert (order.status, order.code) == (Status.DENIED, "below_minimum")
