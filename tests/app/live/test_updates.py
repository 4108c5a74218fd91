from __future__ import annotations

from algosat.domain.orders import EventKind, Order
from algosat.live.updates import DeliveredOrders, OrderUpdates, QuoteUpdates
from algosat.trading.desk import Desk
from tests.app.desks import SECOND, SHARE, accepted, advance, buy, set_prices
from tests.app.fakes import FakeClock


def delivered_by(desk: Desk) -> DeliveredOrders:
    with desk.database.read() as connection:
        return DeliveredOrders.begin(connection, "trend", None)


def changes(desk: Desk, orders: OrderUpdates) -> list[tuple[str, int]]:
    with desk.database.read() as connection:
        return [(order.id, order.version) for order in orders.read(connection)]


def place(desk: Desk) -> Order:
    return buy(desk, strategy="trend")


def test_quote_is_returned_once_until_a_newer_one_arrives(desk: Desk, clock: FakeClock) -> None:
    quotes, reads = QuoteUpdates("paper", [SHARE, SECOND]), []
    for forward in (0, 0, 1):
        clock.forward(seconds=forward)
        if forward:
            set_prices(desk, ALPHA="101")
        with desk.database.read() as connection:
            reads.append([(quote.symbol, int(quote.last)) for quote in quotes.read(connection)])
    assert reads == [[(SHARE, 100), (SECOND, 100)], [], [(SHARE, 101), (SECOND, 100)]]


def test_orders_before_the_first_start_are_not_returned(desk: Desk) -> None:
    place(desk)
    assert changes(desk, OrderUpdates("trend", delivered_by(desk), desk.clock)) == []


def test_change_is_returned_once(desk: Desk) -> None:
    delivered = delivered_by(desk)
    orders = OrderUpdates("trend", delivered, desk.clock)
    order = place(desk)
    assert changes(desk, orders) == [(order.id, 1)]
    delivered.note(order)
    assert changes(desk, orders) == []
    assert changes(desk, orders) == []
    changed = accepted(desk, order)
    assert changes(desk, orders) == [(order.id, changed.version)]


def test_order_of_the_strategy_is_not_returned_until_it_changes(desk: Desk) -> None:
    delivered = delivered_by(desk)
    orders = OrderUpdates("trend", delivered, desk.clock)
    delivered.note(place(desk))
    assert changes(desk, orders) == []


def test_orders_of_others_are_not_returned(desk: Desk) -> None:
    orders = OrderUpdates("trend", delivered_by(desk), desk.clock)
    buy(desk, strategy="other")
    buy(desk)
    assert changes(desk, orders) == []


def test_change_while_no_process_ran_is_returned_to_the_next_one(desk: Desk) -> None:
    delivered = delivered_by(desk)
    order = place(desk)
    changes(desk, OrderUpdates("trend", delivered, desk.clock))
    delivered.note(order)
    stored = delivered.data()
    accepted(desk, order)
    with desk.database.read() as connection:
        later = DeliveredOrders.begin(connection, "trend", stored)
    assert changes(desk, OrderUpdates("trend", later, desk.clock)) == [(order.id, 3)]


def test_change_that_was_read_but_not_handled_is_returned_again(desk: Desk) -> None:
    delivered = delivered_by(desk)
    order = place(desk)
    assert changes(desk, OrderUpdates("trend", delivered, desk.clock)) == [(order.id, 1)]
    with desk.database.read() as connection:
        later = DeliveredOrders.begin(connection, "trend", delivered.data())
    assert changes(desk, OrderUpdates("trend", later, desk.clock)) == [(order.id, 1)]


def test_ended_order_is_watched_for_ten_more_minutes(desk: Desk, clock: FakeClock) -> None:
    delivered = delivered_by(desk)
    orders = OrderUpdates("trend", delivered, desk.clock)
    order = place(desk)
    delivered.note(advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10"))
    clock.forward(minutes=9)
    changes(desk, orders)
    assert order.id in delivered.versions
    clock.forward(minutes=2)
    changes(desk, orders)
    assert delivered.versions == {}
