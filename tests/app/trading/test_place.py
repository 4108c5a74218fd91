from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from algosat.brokers.paper.capabilities import CAPABILITIES
from algosat.config.settings import Settings
from algosat.domain.orders import OrderType, Product, Side, Status
from algosat.domain.risk import DenialCode
from algosat.errors import KeyReused
from algosat.store import audit, queries
from algosat.store.verify.verify import verify
from algosat.store.wakeup import channels, unix_socket
from algosat.trading import place
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import (
    CAUSE,
    SECOND,
    accepted,
    buy,
    hold,
    open_desk,
    order_now,
    sell,
    set_prices,
    terms_of,
)
from tests.app.events import PATIENCE
from tests.app.fakes import FakeClock

KEY = IdempotencyKey("user:trader", "key-1", "body-1")


def test_order_within_all_limits_is_created_and_stored(desk: Desk) -> None:
    placed = buy(desk)
    assert placed.status is Status.CREATED
    assert order_now(desk, placed) == placed


def test_order_id_fits_every_brokers_tag(desk: Desk) -> None:
    assert re.fullmatch(r"a[a-z0-9]{17}", buy(desk).id)


def test_engine_is_woken_after_the_commit(desk: Desk, settings: Settings) -> None:
    listener = unix_socket.SocketListener(settings.algosat.runtime_directory, channels.ENGINE)
    try:
        buy(desk)
        assert listener.wait(PATIENCE) == [""]
    finally:
        listener.close()


def test_denied_order_is_stored_with_its_code_and_is_not_working(desk: Desk) -> None:
    denied = buy(desk, limit="100.03")
    assert (denied.status, denied.code) == (Status.DENIED, DenialCode.OFF_TICK)
    assert "0.05" in str(denied.reason)
    with desk.database.read() as connection:
        assert queries.working(connection, desk.account) == []
        kinds = [event.kind for event in audit.events_of(connection, denied.id)]
    assert kinds == ["order.created", "order.denied"]


def test_unknown_symbol_is_denied(desk: Desk) -> None:
    assert buy(desk, symbol="NOBODY-EQ").code == DenialCode.UNKNOWN_SYMBOL


def test_symbol_without_a_price_is_denied(desk: Desk) -> None:
    desk.writer.run(
        lambda connection: connection.exec_driver_sql("DELETE FROM venue_quotes WHERE symbol = 'ALPHA-EQ'")
    )
    assert buy(desk).code == DenialCode.NO_QUOTE


def test_position_without_a_price_cannot_be_increased_and_denies_no_other_order(desk: Desk) -> None:
    hold(desk, symbol=SECOND)
    desk.writer.run(
        lambda connection: connection.exec_driver_sql("DELETE FROM venue_quotes WHERE symbol = 'BRAVO-EQ'")
    )
    assert buy(desk, symbol=SECOND).code == DenialCode.NO_QUOTE
    assert buy(desk).status is Status.CREATED


def test_market_order_gets_a_protection_price(desk: Desk) -> None:
    assert buy(desk, limit=None).terms.protection_price == Decimal(102)
    hold(desk)
    assert sell(desk, limit=None).terms.protection_price == Decimal(98)


def test_protection_price_of_a_stop_starts_at_its_trigger(desk: Desk) -> None:
    order = buy(desk, limit=None, type=OrderType.STOP, trigger_price=Decimal(104))
    assert order.terms.protection_price == Decimal("105.0")


def test_funds_must_cover_a_market_order_at_its_protection_price(
    settings: Settings, clock: FakeClock
) -> None:
    with open_desk(
        settings, clock, max_order_quantity=Decimal(100_000), max_order_value=Decimal(10**9)
    ) as desk:
        desk.writer.run(
            lambda connection: connection.exec_driver_sql(
                "UPDATE venue_instruments SET freeze_quantity = 10000000000000"
            )
        )
        assert buy(desk, "9900", limit=None).code == DenialCode.INSUFFICIENT_FUNDS
        assert buy(desk, "9800", limit=None).status is Status.CREATED


def test_repeated_key_returns_the_first_order(desk: Desk) -> None:
    first = place.place_order(desk, terms_of(), CAUSE, key=KEY)
    again = place.place_order(desk, terms_of(), CAUSE, key=KEY)
    assert not first.replayed
    assert again.replayed
    assert again.order == first.order


def test_replay_returns_the_order_as_first_answered(desk: Desk) -> None:
    first = place.place_order(desk, terms_of(), CAUSE, key=KEY).order
    accepted(desk, first)
    again = place.place_order(desk, terms_of(), CAUSE, key=KEY)
    assert (again.order, again.pinned) == (first, True)


def test_denial_is_replayed(desk: Desk) -> None:
    first = place.place_order(desk, terms_of(limit="100.03"), CAUSE, key=KEY).order
    assert place.place_order(desk, terms_of(limit="100.03"), CAUSE, key=KEY).order == first


def test_repeated_key_with_another_body_is_refused(desk: Desk) -> None:
    place.place_order(desk, terms_of(), CAUSE, key=KEY)
    with pytest.raises(KeyReused, match="key-1"):
        place.place_order(desk, terms_of("20"), CAUSE, key=replace(KEY, body_hash="body-2"))


def test_equal_keys_of_two_users_are_different_keys(desk: Desk) -> None:
    first = place.place_order(desk, terms_of(), CAUSE, key=KEY).order
    other = place.place_order(desk, terms_of(), CAUSE, key=replace(KEY, principal="user:other")).order
    assert other.id != first.id


def test_twenty_concurrent_requests_with_one_key_place_one_order(desk: Desk) -> None:
    barrier = threading.Barrier(20)

    def once(_: Any) -> str:
        barrier.wait()
        return place.place_order(desk, terms_of(), CAUSE, key=KEY).order.id

    with ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(once, range(20)))
    assert len(ids) == 1
    with desk.database.read() as connection:
        assert [order.id for order in queries.working(connection, desk.account)] == list(ids)


def test_one_of_fifty_concurrent_orders_gets_the_rest_of_a_limit(
    settings: Settings, clock: FakeClock
) -> None:
    with open_desk(settings, clock, max_position_value=Decimal(1000)) as desk:
        barrier = threading.Barrier(50)

        def once(_: Any) -> Status:
            barrier.wait()
            return buy(desk, "10").status

        with ThreadPoolExecutor(50) as pool:
            outcomes = list(pool.map(once, range(50)))
        assert outcomes.count(Status.CREATED) == 1
        assert outcomes.count(Status.DENIED) == 49
        with desk.database.read() as connection:
            assert verify(connection).clean


def test_basket_leg_is_judged_on_the_book_with_earlier_legs(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_gross_exposure=Decimal(1500)) as desk:
        placed = place.place_basket(desk, [terms_of(), terms_of(symbol=SECOND), terms_of("5")], CAUSE)
    assert [order.status for order in placed.orders] == [Status.CREATED, Status.DENIED, Status.CREATED]
    assert placed.orders[1].code == DenialCode.GROSS_EXPOSURE


def test_equal_order_within_the_window_is_denied_as_duplicate(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, duplicate_window_seconds=2.0) as desk:
        buy(desk)
        clock.forward(seconds=1)
        assert buy(desk).code == DenialCode.DUPLICATE
        assert buy(desk, limit="99.95").status is Status.CREATED
        assert buy(desk, strategy="other").status is Status.CREATED
        clock.forward(seconds=1.5)
        assert buy(desk).status is Status.CREATED


def test_order_equal_to_a_denied_one_is_no_duplicate(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, duplicate_window_seconds=2.0) as desk:
        clock.forward(seconds=60)
        assert buy(desk).code == DenialCode.STALE_QUOTE
        set_prices(desk)
        assert buy(desk).status is Status.CREATED


def test_orders_above_the_limit_per_second_are_denied(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_orders_per_second=2) as desk:
        assert [buy(desk).status for _ in range(2)] == [Status.CREATED] * 2
        assert buy(desk).code == DenialCode.ORDERS_PER_SECOND
        clock.forward(seconds=1.1)
        assert buy(desk).status is Status.CREATED


def test_orders_above_the_limit_per_day_are_denied(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_orders_per_day=1) as desk:
        buy(desk)
        assert buy(desk).code == DenialCode.ORDERS_PER_DAY
        clock.forward(days=3)
        set_prices(desk)
        assert buy(desk).status is Status.CREATED


def test_holdings_can_be_sold_once_and_only_by_their_own_book(desk: Desk) -> None:
    hold(desk, "10", strategy="trend")
    assert sell(desk, "10").code == DenialCode.NO_HOLDINGS
    assert sell(desk, "10", strategy="trend").status is Status.CREATED
    assert sell(desk, "10", strategy="trend").code == DenialCode.NO_HOLDINGS


def test_loss_of_the_day_stops_entries_but_not_exits(settings: Settings, clock: FakeClock) -> None:
    with open_desk(settings, clock, max_daily_loss=Decimal(100)) as desk:
        hold(desk, "100")
        buy(desk, "1")
        set_prices(desk, ALPHA="98.50")
        assert buy(desk, "1", limit="98.50").code == DenialCode.DAILY_LOSS
        assert sell(desk, "100", limit="98.50").status is Status.CREATED
        clock.forward(days=3)
        set_prices(desk, ALPHA="98.50")
        assert buy(desk, "1", limit="98.50").status is Status.CREATED


def test_short_sale_is_allowed_for_intraday(desk: Desk) -> None:
    order = sell(desk, "1000", product=Product.INTRADAY)
    assert (order.status, order.terms.side) == (Status.CREATED, Side.SELL)


def test_orders_are_counted_by_exchange_date_without_denied_ones(desk: Desk, clock: FakeClock) -> None:
    for hours in (0, 14):  # 11:00 in exchange time, then 01:00 of the next date
        clock.forward(hours=hours)
        set_prices(desk)
        buy(desk)
        buy(desk, strategy="trend")
        assert buy(desk, "100000").status is Status.DENIED
    with desk.database.read() as connection:
        assert verify(connection).clean
        days = queries.days_of(connection, desk.account)
    assert [(row.day.day, row.strategy, row.orders) for row in days] == [
        (21, "", 1), (21, "trend", 1), (20, "", 1), (20, "trend", 1),
    ]  # fmt: skip


def test_orders_placed_before_the_clock_was_set_back_an_hour_are_ignored(
    settings: Settings, clock: FakeClock
) -> None:
    with open_desk(settings, clock, max_orders_per_second=2, duplicate_window_seconds=2.0) as desk:
        assert [buy(desk, quantity).status for quantity in ("10", "11")] == [Status.CREATED] * 2
        clock.forward(seconds=-0.5)  # after a step this small they still count
        assert buy(desk, "12").code == DenialCode.ORDERS_PER_SECOND
        assert buy(desk, "10").code == DenialCode.DUPLICATE
        clock.forward(hours=-1)
        set_prices(desk)
        assert buy(desk, "10").status is Status.CREATED


def test_order_that_the_broker_does_not_take_is_denied_exits_included(desk: Desk) -> None:
    limited = replace(desk, capabilities=replace(CAPABILITIES, order_types=frozenset({OrderType.LIMIT})))
    assert place.place_order(limited, terms_of(), CAUSE).order.status is Status.CREATED
    hold(limited)
    for terms in (
        terms_of(limit=None, symbol=SECOND),
        terms_of(limit=None, side=Side.SELL, reduce_only=True),
    ):
        denied = place.place_order(limited, terms, CAUSE).order
        assert (denied.status, denied.code) == (Status.DENIED, DenialCode.NOT_SUPPORTED)
