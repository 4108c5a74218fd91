from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from algosat.domain.alert_kinds import AlertKind
from algosat.domain.closing import CloseReason, CloseState, LineState
from algosat.domain.orders import (
    EventKind,
    Order,
    OrderEvent,
    OrderType,
    PendingRequest,
    Product,
    Side,
    Status,
    create,
)
from algosat.domain.reason_codes import EngineCode
from algosat.errors import Conflict, InvalidBody, NothingToClose
from algosat.store import ledger, queries
from algosat.trading import alerts, cancel, close, close_follow, close_records, halts
from algosat.trading.close import CloseTerms, Closing, PositionFilter
from algosat.trading.close_follow import Followed
from algosat.trading.close_records import Close, CloseLine
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import (
    CAUSE,
    FUTURE,
    SECOND,
    SHARE,
    accepted,
    advance,
    buy,
    hold,
    instruments,
    order_now,
    replace_instruments,
    sell,
    set_prices,
    terms_of,
)
from tests.app.fakes import FakeClock


def follow(desk: Desk) -> Followed:
    """Take the next steps as the engine does, and check that no further step is due then."""
    followed = desk.writer.run(lambda connection: close_follow.follow(connection, desk))
    with desk.database.read() as connection:
        assert not close_follow.is_due(connection, desk)
    return followed


def now(desk: Desk, closing: Closing) -> Close:
    with desk.database.read() as connection:
        return close_records.get(connection, closing.close.id)


def line_of(desk: Desk, closing: Closing) -> CloseLine:
    """Return the only line of a close, as it is now."""
    (line,) = now(desk, closing).lines
    return line


def fill(desk: Desk, order: Order) -> None:
    """Fill an order completely."""
    if order.status is Status.CREATED:
        accepted(desk, order)
    advance(desk, order, fill=str(order.remaining_quantity))


def reject(desk: Desk, order: Order, code: str) -> None:
    event = OrderEvent(EventKind.REJECTED, desk.clock(), code=code)
    desk.writer.run(lambda connection: ledger.record(connection, order, event, CAUSE, desk.books))


def ledger_held(desk: Desk, *, strategy: str = "") -> Decimal:
    with desk.database.read() as connection:
        return queries.held(connection, desk.account, strategy, SHARE, "delivery")


def list_share(desk: Desk, **differences: Decimal) -> None:
    """Replace the share in the instrument list by one with other properties."""
    share, *others = instruments()
    replace_instruments(desk, [replace(share, **differences), *others])  # type: ignore[arg-type]


def open_alerts(desk: Desk) -> set[str]:
    """Return the subjects of the alerts that a person is needed."""
    with desk.database.read() as connection:
        return alerts.open_subjects(connection, desk, AlertKind.CLOSE_NEEDS_PERSON)


def at_limit(price: str) -> CloseTerms:
    return CloseTerms(type=OrderType.LIMIT, limit_price=Decimal(price))


def test_long_position_is_closed_by_a_market_sell(desk: Desk) -> None:
    hold(desk, "30")
    order = close.close_position(desk, SHARE, CAUSE).order
    assert (order.status, order.terms.side, order.terms.quantity) == (
        Status.CREATED,
        Side.SELL,
        Decimal(30),
    )
    assert (order.terms.type, order.terms.reduce_only) == (OrderType.MARKET, True)


def test_short_position_is_closed_by_a_buy(desk: Desk) -> None:
    hold(desk, "30", side=Side.SELL, product=Product.INTRADAY)
    order = close.close_position(desk, SHARE, CAUSE).order
    assert (order.terms.side, order.terms.product) == (Side.BUY, Product.INTRADAY)


def test_part_without_working_exits_is_sold_at_once_and_the_rest_when_they_have_ended(desk: Desk) -> None:
    hold(desk, "30")
    stop = accepted(desk, sell(desk, "20", limit="104", reduce_only=True))
    closing = close.close_position(desk, SHARE, CAUSE)
    assert closing.order.terms.quantity == 10
    assert order_now(desk, stop).pending is PendingRequest.PENDING_CANCEL
    assert line_of(desk, closing).state is LineState.CANCELLING
    assert stop.id in line_of(desk, closing).detail
    advance(desk, stop, EventKind.CANCELLED)
    (rest,) = follow(desk).placed
    assert (rest.terms.quantity, rest.terms.reduce_only) == (Decimal(20), True)
    assert line_of(desk, closing).order_ids == (closing.order.id, rest.id)


def test_exit_that_was_not_sent_yet_is_replaced_at_once(desk: Desk) -> None:
    hold(desk, "30")
    target = sell(desk, "20", limit="104", reduce_only=True)
    closing = close.close_position(desk, SHARE, CAUSE)
    assert order_now(desk, target).status is Status.CANCELLED
    assert sum(order.terms.quantity for order in closing.orders) == 30


def test_working_entry_is_no_position_and_the_answer_says_so(desk: Desk) -> None:
    buy(desk)
    with pytest.raises(NothingToClose, match=f"nothing of {SHARE} is held"):
        close.close_position(desk, SHARE, CAUSE)


def test_holder_of_the_position_is_named(desk: Desk) -> None:
    hold(desk, "30", strategy="trend")
    with pytest.raises(NothingToClose, match="held by strategy 'trend': name it"):
        close.close_position(desk, SHARE, CAUSE)
    with pytest.raises(NothingToClose, match="not held as intraday, but as delivery"):
        close.close_position(desk, SHARE, CAUSE, strategy="trend", product=Product.INTRADAY)


def test_position_held_by_hand_is_named_too(desk: Desk) -> None:
    hold(desk, "30")
    with pytest.raises(NothingToClose, match="held by orders placed by hand: leave `strategy` out"):
        close.close_position(desk, SHARE, CAUSE, strategy="trend")


def test_close_is_flat_once_its_exits_are_filled(desk: Desk) -> None:
    hold(desk, "30")
    closing = close.close_position(desk, SHARE, CAUSE)
    assert (closing.close.state, line_of(desk, closing).state) == (CloseState.CLOSING, LineState.SENDING)
    fill(desk, closing.order)
    follow(desk)
    assert line_of(desk, closing).state is LineState.FLAT
    assert now(desk, closing).state is CloseState.FINISHED
    assert now(desk, closing).finished_at == desk.clock()


def test_entry_that_fills_while_it_is_cancelled_is_closed_too(desk: Desk) -> None:
    hold(desk, "30")
    entry = accepted(desk, buy(desk, "10"))
    closing = close.close_position(desk, SHARE, CAUSE)
    fill(desk, closing.order)
    follow(desk)
    assert line_of(desk, closing).state is LineState.CANCELLING
    fill(desk, entry)
    (rest,) = follow(desk).placed
    assert rest.terms.quantity == 10
    fill(desk, rest)
    follow(desk)
    assert now(desk, closing).state is CloseState.FINISHED


def test_stop_that_fills_while_it_is_cancelled_does_not_flip_the_position(desk: Desk) -> None:
    hold(desk, "30")
    stop = accepted(desk, sell(desk, "30", limit="104", reduce_only=True))
    closing = close.close_position(desk, SHARE, CAUSE)
    assert closing.orders == ()
    fill(desk, stop)
    assert follow(desk).placed == []
    assert now(desk, closing).state is CloseState.FINISHED


def test_stop_that_fills_partly_before_its_cancel_leaves_the_rest_to_the_close(desk: Desk) -> None:
    hold(desk, "30")
    stop = accepted(desk, sell(desk, "30", limit="104", reduce_only=True))
    close.close_position(desk, SHARE, CAUSE)
    advance(desk, stop, fill="12")
    advance(desk, stop, EventKind.CANCELLED)
    (rest,) = follow(desk).placed
    assert rest.terms.quantity == 18


def test_unknown_order_stands_in_the_way_and_needs_a_person_after_a_minute(
    desk: Desk, clock: FakeClock
) -> None:
    hold(desk, "30")
    stop = advance(
        desk, sell(desk, "30", limit="104", reduce_only=True), EventKind.SUBMITTING, EventKind.UNCERTAIN
    )
    closing = close.close_position(desk, SHARE, CAUSE)
    assert (closing.orders, line_of(desk, closing).state) == ((), LineState.CANCELLING)
    clock.forward(seconds=61)
    follow(desk)
    assert line_of(desk, closing).state is LineState.NEEDS_PERSON
    assert open_alerts(desk) == {f"{SHARE}/delivery"}
    advance(desk, stop, EventKind.ACCEPTED, EventKind.CANCELLED)
    set_prices(desk)
    (exit_order,) = follow(desk).placed
    assert exit_order.terms.quantity == 30
    assert line_of(desk, closing).state is LineState.SENDING
    assert open_alerts(desk) == set()


def test_order_that_the_broker_does_not_have_is_left_to_a_person(desk: Desk) -> None:
    hold(desk, "30")
    stop = sell(desk, "30", limit="104", reduce_only=True)
    advance(desk, stop, EventKind.SUBMITTING, EventKind.UNCERTAIN, EventKind.NOT_FOUND)
    closing = close.close_position(desk, SHARE, CAUSE)
    assert (line_of(desk, closing).state, closing.orders) == (LineState.NEEDS_PERSON, ())
    assert stop.id in line_of(desk, closing).detail
    cancel.cancel_order(desk, stop.id, CAUSE)
    (exit_order,) = follow(desk).placed
    assert exit_order.terms.quantity == 30


def test_rest_too_small_for_an_order_ends_the_close_as_dust_and_is_not_tried_again(
    desk: Desk, clock: FakeClock
) -> None:
    list_share(desk, lot=Decimal("0.1"))
    hold(desk, "0.4")
    list_share(desk, lot=Decimal("0.1"), minimum_quantity=Decimal(1))
    closing = close.close_all(desk, CAUSE)
    line = line_of(desk, closing)
    assert (line.state, now(desk, closing).state) == (LineState.DUST, CloseState.FINISHED)
    assert "0.4 is less than the smallest quantity of one order, 1" in line.detail
    assert open_alerts(desk) == set()
    with desk.database.read() as connection:
        assert close.uncovered(connection, desk, PositionFilter()) == {}
    clock.forward(seconds=1)
    list_share(desk, lot=Decimal("0.1"))
    hold(desk, "0.7")
    list_share(desk, lot=Decimal("0.1"), minimum_quantity=Decimal(1))
    with desk.database.read() as connection:
        assert close.uncovered(connection, desk, PositionFilter()) == {
            ("", SHARE, "delivery"): Decimal("1.1")
        }
    (exit_order,) = close.close_all(desk, CAUSE).orders
    assert (exit_order.status, exit_order.terms.quantity) == (Status.CREATED, Decimal("1.1"))


def test_part_too_small_for_an_order_needs_a_person_and_leaves_the_position(desk: Desk) -> None:
    hold(desk, "10")
    list_share(desk, minimum_quantity=Decimal(5))
    part = close.close_position(desk, SHARE, CAUSE, terms=CloseTerms(quantity=Decimal(3)))
    assert line_of(desk, part).state is LineState.NEEDS_PERSON
    close.withdraw(desk, part.close.id, CAUSE)
    with desk.database.read() as connection:
        assert close.uncovered(connection, desk, PositionFilter()) == {("", SHARE, "delivery"): Decimal(10)}


def test_second_close_of_a_position_shares_the_exits_of_the_first(desk: Desk) -> None:
    hold(desk, "30")
    first, second = close.close_position(desk, SHARE, CAUSE), close.close_all(desk, CAUSE)
    assert second.orders == ()
    assert line_of(desk, second).state is LineState.SENDING
    fill(desk, first.order)
    follow(desk)
    assert (now(desk, first).state, now(desk, second).state) == (CloseState.FINISHED, CloseState.FINISHED)


def test_close_at_the_market_replaces_the_exit_of_a_close_at_a_limit(desk: Desk) -> None:
    hold(desk, "30")
    patient = close.close_position(desk, SHARE, CAUSE, terms=at_limit("103"))
    accepted(desk, patient.order)
    urgent = close.close_position(desk, SHARE, CAUSE)
    assert order_now(desk, patient.order).pending is PendingRequest.PENDING_CANCEL
    advance(desk, patient.order, EventKind.CANCELLED)
    (exit_order,) = follow(desk).placed
    assert exit_order.terms.type is OrderType.MARKET
    fill(desk, exit_order)
    follow(desk)
    assert {now(desk, each).state for each in (patient, urgent)} == {CloseState.FINISHED}


def test_entries_are_denied_while_the_position_is_being_closed(desk: Desk) -> None:
    hold(desk, "30")
    closing = close.close_position(desk, SHARE, CAUSE)
    denied = buy(desk, "1")
    assert (denied.status, denied.code) == (Status.DENIED, "being_closed")
    assert closing.close.id in (denied.reason or "")
    assert buy(desk, "1", strategy="trend").status is Status.CREATED
    assert buy(desk, "1", product=Product.INTRADAY).status is Status.CREATED
    fill(desk, closing.order)
    follow(desk)
    assert buy(desk, "2").status is Status.CREATED


def test_part_of_a_position_is_closed_and_the_rest_stays(desk: Desk) -> None:
    hold(desk, "30")
    closing = close.close_position(desk, SHARE, CAUSE, terms=CloseTerms(quantity=Decimal(10)))
    assert closing.order.terms.quantity == 10
    assert buy(desk, "1").status is Status.CREATED
    fill(desk, closing.order)
    follow(desk)
    assert line_of(desk, closing).state is LineState.REDUCED
    assert ledger_held(desk) == 20


def test_part_cancels_no_more_exits_than_keep_its_quantity_bound(desk: Desk) -> None:
    hold(desk, "30")
    exits = [
        accepted(desk, sell(desk, quantity, limit=limit, reduce_only=True))
        for quantity, limit in (("10", "104"), ("15", "103"))
    ]
    closing = close.close_position(desk, SHARE, CAUSE, terms=CloseTerms(quantity=Decimal(12)))
    assert closing.order.terms.quantity == 5
    pending = [order_now(desk, each).pending for each in exits]
    assert pending == [None, PendingRequest.PENDING_CANCEL]
    advance(desk, exits[1], EventKind.CANCELLED)
    (rest,) = follow(desk).placed
    assert rest.terms.quantity == 7


def test_part_that_a_stop_closes_meanwhile_is_not_closed_twice(desk: Desk) -> None:
    hold(desk, "30")
    stop = accepted(desk, sell(desk, "30", limit="104", reduce_only=True))
    closing = close.close_position(desk, SHARE, CAUSE, terms=CloseTerms(quantity=Decimal(10)))
    advance(desk, stop, fill="10")
    advance(desk, stop, EventKind.CANCELLED)
    assert follow(desk).placed == []
    assert (line_of(desk, closing).state, ledger_held(desk)) == (LineState.REDUCED, Decimal(20))


def test_share_is_rounded_down_to_whole_lots(desk: Desk) -> None:
    for _ in range(3):
        hold(desk, "50", symbol=FUTURE, product=Product.CARRY)
    closing = close.close_position(desk, FUTURE, CAUSE, terms=CloseTerms(share=Decimal(70)))
    assert closing.order.terms.quantity == 100


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (CloseTerms(quantity=Decimal(31)), "quantity 31 is more than the 30 held"),
        (CloseTerms(quantity=Decimal("1.5")), "quantity 1.5 is not a multiple of the lot 1"),
        (CloseTerms(share=Decimal(1)), "less than one lot"),
        (
            CloseTerms(type=OrderType.LIMIT, limit_price=Decimal("100.01")),
            "limit_price 100.01 is not a multiple of the tick",
        ),
    ],
)
def test_terms_that_do_not_fit_change_nothing(desk: Desk, terms: CloseTerms, message: str) -> None:
    hold(desk, "30")
    stop = accepted(desk, sell(desk, "20", limit="104", reduce_only=True))
    with pytest.raises(InvalidBody, match=message):
        close.close_position(desk, SHARE, CAUSE, terms=terms)
    assert order_now(desk, stop).pending is None
    with desk.database.read() as connection:
        assert close_records.unfinished(connection, desk.account) == []


def test_part_of_a_position_held_under_two_products_needs_the_product(desk: Desk) -> None:
    hold(desk, "30")
    hold(desk, "5", product=Product.INTRADAY)
    part = CloseTerms(quantity=Decimal(5))
    with pytest.raises(InvalidBody, match="delivery and intraday: name the `product`"):
        close.close_position(desk, SHARE, CAUSE, terms=part)
    assert close.close_position(desk, SHARE, CAUSE, terms=part, product=Product.INTRADAY).order


def test_part_of_a_position_that_is_being_closed_is_refused(desk: Desk) -> None:
    hold(desk, "30")
    close.close_position(desk, SHARE, CAUSE)
    with pytest.raises(Conflict, match="under way"):
        close.close_position(desk, SHARE, CAUSE, terms=CloseTerms(quantity=Decimal(5)))


def test_exit_not_filled_in_30_seconds_is_priced_again_but_not_a_limit_order(
    desk: Desk, clock: FakeClock
) -> None:
    hold(desk, "30")
    hold(desk, "30", symbol=SECOND)
    market = accepted(desk, close.close_position(desk, SHARE, CAUSE).order)
    limit = accepted(desk, close.close_position(desk, SECOND, CAUSE, terms=at_limit("103")).order)
    clock.forward(seconds=29)
    follow(desk)
    assert order_now(desk, market).pending is None
    clock.forward(seconds=1)
    set_prices(desk)
    follow(desk)
    assert order_now(desk, market).pending is PendingRequest.PENDING_CANCEL
    assert order_now(desk, limit).pending is None
    advance(desk, market, EventKind.CANCELLED)
    (again,) = follow(desk).placed
    assert again.terms.quantity == 30


def test_refused_exit_is_repeated_with_growing_delays_and_needs_a_person_at_the_third(
    desk: Desk, clock: FakeClock
) -> None:
    hold(desk, "30")
    closing = close.close_position(desk, SHARE, CAUSE)
    order, delays, states = closing.order, [], []
    for _ in range(6):
        advance(desk, order, EventKind.SUBMITTING, EventKind.REJECTED)
        assert follow(desk).placed == []
        states.append(line_of(desk, closing).state)
        for second in range(1, 100):
            clock.forward(seconds=1)
            set_prices(desk)
            if placed := follow(desk).placed:
                (order,) = placed
                delays.append(second)
                break
    assert delays == [5, 10, 20, 40, 60, 60]
    assert states == [LineState.NEEDS_PERSON] * 6
    fill(desk, order)
    follow(desk)
    assert now(desk, closing).state is CloseState.FINISHED


def test_exit_that_a_person_cancels_is_placed_again_after_five_seconds(desk: Desk, clock: FakeClock) -> None:
    hold(desk, "30")
    closing = close.close_position(desk, SHARE, CAUSE)
    cancel.cancel_order(desk, closing.order.id, CAUSE)
    assert follow(desk).placed == []
    assert (line_of(desk, closing).state, open_alerts(desk)) == (LineState.SENDING, set())
    clock.forward(seconds=5)
    set_prices(desk)
    assert [order.terms.quantity for order in follow(desk).placed] == [30]


def test_refusal_that_may_pass_needs_a_person_only_at_the_third(desk: Desk, clock: FakeClock) -> None:
    hold(desk, "30")
    closing = close.close_position(desk, SHARE, CAUSE)
    order, states = closing.order, []
    for _ in range(3):
        reject(desk, order, EngineCode.BROKER_UNAVAILABLE)
        follow(desk)
        states.append(line_of(desk, closing).state)
        clock.forward(seconds=60)
        set_prices(desk)
        (order,) = follow(desk).placed
    assert states == [LineState.SENDING, LineState.SENDING, LineState.NEEDS_PERSON]


def test_order_placed_elsewhere_that_binds_the_quantity_needs_a_person(desk: Desk) -> None:
    hold(desk, "30")
    terms = terms_of("30", side=Side.SELL, limit="104")
    external = create("a00000000000000001", terms, desk.clock(), external=True)
    desk.writer.run(lambda connection: ledger.add(connection, external, CAUSE))
    closing = close.close_position(desk, SHARE, CAUSE)
    assert closing.orders == ()
    assert line_of(desk, closing).state is LineState.NEEDS_PERSON
    detail = f"cancel order {external.id} in the broker's terminal, where it was placed"
    assert line_of(desk, closing).detail == detail


def test_withdrawn_close_is_not_followed_and_permits_entries(desk: Desk) -> None:
    hold(desk, "30")
    stop = accepted(desk, sell(desk, "30", limit="104", reduce_only=True))
    closing = close.close_position(desk, SHARE, CAUSE)
    assert close.withdraw(desk, closing.close.id, CAUSE).state is CloseState.STOPPED
    advance(desk, stop, EventKind.CANCELLED)
    assert follow(desk).placed == []
    assert buy(desk, "1").status is Status.CREATED
    with pytest.raises(Conflict):
        close.withdraw(desk, closing.close.id, CAUSE)


def test_resumed_halt_ends_the_closes_that_it_asked_for(desk: Desk) -> None:
    hold(desk, "30")
    hold(desk, "10", symbol=SECOND)
    asked = close.close_position(desk, SECOND, CAUSE)
    accepted(desk, sell(desk, "30", limit="104", reduce_only=True))
    halts.halt_trading(desk, CAUSE, "stop", flatten=True)
    with desk.database.read() as connection:
        (of_halt,) = [
            each
            for each in close_records.unfinished(connection, desk.account)
            if each.reason is CloseReason.HALT
        ]
    assert [line.symbol for line in of_halt.lines] == [SHARE]
    halts.resume_trading(desk, CAUSE)
    assert not now(desk, asked).finished_at
    with desk.database.read() as connection:
        assert close_records.get(connection, of_halt.id).state is CloseState.STOPPED


def test_strategy_may_enter_again_before_its_close_is_flat(desk: Desk) -> None:
    hold(desk, "30", strategy="trend")
    key = IdempotencyKey("strategy:trend", "k", "b")
    (exit_order,) = close.close_for_strategy(
        desk, SHARE, CAUSE, strategy="trend", product=Product.DELIVERY, key=key
    )
    entry = accepted(desk, buy(desk, "10", strategy="trend"))
    follow(desk)
    assert order_now(desk, entry).pending is None
    fill(desk, entry)
    fill(desk, exit_order)
    assert follow(desk).placed == []
    assert ledger_held(desk, strategy="trend") == 10
    with desk.database.read() as connection:
        assert close_records.unfinished(connection, desk.account) == []


def test_strategy_that_holds_nothing_opens_no_close(desk: Desk) -> None:
    key = IdempotencyKey("strategy:trend", "k", "b")

    def placed() -> tuple[Order, ...]:
        return close.close_for_strategy(
            desk, SHARE, CAUSE, strategy="trend", product=Product.DELIVERY, key=key
        )

    assert placed() == ()
    hold(desk, "30", strategy="trend")
    assert placed() == ()  # repeated with its key
    with desk.database.read() as connection:
        assert close_records.unfinished(connection, desk.account) == []


def test_close_of_a_strategy_leaves_other_books(desk: Desk) -> None:
    hold(desk, "30", strategy="trend")
    hold(desk, "5")
    order = close.close_position(desk, SHARE, CAUSE, strategy="trend").order
    assert (order.terms.strategy, order.terms.quantity) == ("trend", Decimal(30))


def test_each_product_is_closed_by_its_own_order(desk: Desk) -> None:
    hold(desk, "30")
    hold(desk, "5", product=Product.INTRADAY)
    assert {order.terms.product for order in close.close_position(desk, SHARE, CAUSE).orders} == {
        Product.DELIVERY,
        Product.INTRADAY,
    }


def test_position_above_the_freeze_quantity_is_closed_in_slices(desk: Desk) -> None:
    hold(desk, "1000")
    hold(desk, "1000")
    hold(desk, "300")
    slices = close.close_position(desk, SHARE, CAUSE).orders
    assert [order.terms.quantity for order in slices] == [1000, 1000, 300]
    assert {order.status for order in slices} == {Status.CREATED}


def test_close_repeated_with_its_key_places_one_order(desk: Desk) -> None:
    hold(desk, "30")
    key = IdempotencyKey("user:trader", "k", "b")
    first = close.close_position(desk, SHARE, CAUSE, key=key)
    again = close.close_position(desk, SHARE, CAUSE, key=key)
    assert (again.order, again.close, again.replayed) == (first.order, first.close, True)


def test_close_all_closes_every_position(desk: Desk) -> None:
    hold(desk, "30", strategy="trend")
    hold(desk, "5", symbol=SECOND)
    hold(desk, "50", symbol=FUTURE, product=Product.CARRY)
    closed = close.close_all(desk, CAUSE).orders
    assert sorted(order.terms.symbol for order in closed) == [SHARE, SECOND, FUTURE]
    assert close.close_all(desk, CAUSE).orders == ()


def test_close_all_cancels_what_could_open_a_position(desk: Desk) -> None:
    entry = accepted(desk, buy(desk, "10"))
    closing = close.close_all(desk, CAUSE)
    assert order_now(desk, entry).pending is PendingRequest.PENDING_CANCEL
    advance(desk, entry, fill="4")
    (exit_order,) = follow(desk).placed
    assert exit_order.terms.quantity == 4
    fill(desk, exit_order)
    advance(desk, entry, EventKind.CANCELLED)
    follow(desk)
    assert now(desk, closing).state is CloseState.FINISHED


def test_close_all_of_nothing_is_finished_and_has_no_lines(desk: Desk) -> None:
    closing = close.close_all(desk, CAUSE)
    assert (closing.close.state, closing.close.lines) == (CloseState.FINISHED, ())
    assert closing.close.finished_at == desk.clock()


def test_close_all_of_a_strategy_leaves_other_positions(desk: Desk) -> None:
    hold(desk, "30", strategy="trend")
    hold(desk, "5")
    (order,) = close.close_all(desk, CAUSE, strategy="trend").orders
    assert order.terms.strategy == "trend"


def test_close_may_have_more_slices_than_an_entry(desk: Desk) -> None:
    replace_instruments(desk, [replace(each, freeze_quantity=Decimal(10)) for each in instruments()])
    for _ in range(11):
        hold(desk, "10")
    closing = close.close_position(desk, SHARE, CAUSE).orders
    assert [order.terms.quantity for order in closing] == [10] * 11
    assert {order.status for order in closing} == {Status.CREATED}


def test_repeated_request_is_answered_with_the_close_that_is_under_way(desk: Desk) -> None:
    hold(desk, "30")
    first = close.close_position(desk, SHARE, CAUSE)
    again = close.close_position(desk, SHARE, CAUSE)
    assert (again.close.id, again.orders) == (first.close.id, ())
    assert close.close_position(desk, SHARE, CAUSE, terms=at_limit("101")).close.id != first.close.id
    fill(desk, first.order)
    follow(desk)
    hold(desk, "10", symbol=SECOND)
    assert close.close_position(desk, SECOND, CAUSE).close.id != first.close.id
