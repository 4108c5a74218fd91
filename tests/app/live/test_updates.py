from __future__ import annotations

from algosat.domain.orders import EventKind, Order
from algosat.live.updates import Orders, Quotes, Seen
from algosat.trading.desk import Desk
from tests.app.desks import SECOND, SHARE, accepted, advance, buy, set_prices
from tests.app.fakes import FakeClock


def seen_of(desk: Desk) -> Seen:
    with desk.database.read() as connection:
        return Seen.begin(connection, "trend", None)


def news(desk: Desk, orders: Orders) -> list[tuple[str, int]]:
    with desk.database.read() as connection:
        return [(order.id, order.version) for order in orders.read(connection)]


def place(desk: Desk) -> Order:
    return buy(desk, strategy="trend")


def test_a_quote_is_told_once_and_again_when_it_is_new(desk: Desk, clock: FakeClock) -> None:
    quotes, told = Quotes([SHARE, SECOND]), []
    for forward in (0, 0, 1):
        clock.forward(seconds=forward)
        if forward:
            set_prices(desk, ALPHA="101")
        with desk.database.read() as connection:
            told.append([(quote.symbol, int(quote.last)) for quote in quotes.read(connection)])
    assert told == [[(SHARE, 100), (SECOND, 100)], [], [(SHARE, 101), (SECOND, 100)]]


def test_orders_from_before_the_first_start_are_no_news(desk: Desk) -> None:
    place(desk)
    assert news(desk, Orders("trend", seen_of(desk), desk.clock)) == []


def test_a_change_is_told_once(desk: Desk) -> None:
    seen = seen_of(desk)
    orders = Orders("trend", seen, desk.clock)
    order = place(desk)
    assert news(desk, orders) == [(order.id, 1)]
    seen.note(order)
    assert news(desk, orders) == []
    assert news(desk, orders) == []
    changed = accepted(desk, order)
    assert news(desk, orders) == [(order.id, changed.version)]


def test_what_it_placed_itself_is_no_news_until_it_changes(desk: Desk) -> None:
    seen = seen_of(desk)
    orders = Orders("trend", seen, desk.clock)
    seen.note(place(desk))
    assert news(desk, orders) == []


def test_orders_of_others_are_no_news(desk: Desk) -> None:
    orders = Orders("trend", seen_of(desk), desk.clock)
    buy(desk, strategy="other")
    buy(desk)
    assert news(desk, orders) == []


def test_what_changed_while_no_process_ran_is_told_to_the_next_one(desk: Desk) -> None:
    seen = seen_of(desk)
    order = place(desk)
    news(desk, Orders("trend", seen, desk.clock))
    seen.note(order)
    kept = seen.data()
    accepted(desk, order)
    with desk.database.read() as connection:
        later = Seen.begin(connection, "trend", kept)
    assert news(desk, Orders("trend", later, desk.clock)) == [(order.id, 3)]


def test_what_was_read_but_not_told_when_the_process_died_is_told_again(desk: Desk) -> None:
    seen = seen_of(desk)
    order = place(desk)
    assert news(desk, Orders("trend", seen, desk.clock)) == [(order.id, 1)]
    with desk.database.read() as connection:
        later = Seen.begin(connection, "trend", seen.data())
    assert news(desk, Orders("trend", later, desk.clock)) == [(order.id, 1)]


def test_an_order_that_ended_is_looked_at_for_ten_more_minutes(desk: Desk, clock: FakeClock) -> None:
    seen = seen_of(desk)
    orders = Orders("trend", seen, desk.clock)
    order = place(desk)
    seen.note(advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10"))
    clock.forward(minutes=9)
    news(desk, orders)
    assert order.id in seen.versions
    clock.forward(minutes=2)
    news(desk, orders)
    assert seen.versions == {}
