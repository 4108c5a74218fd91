"""Conversions: what is stored and refused, what other orders may take meanwhile, and what is booked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from algosat.brokers.paper.capabilities import CAPABILITIES
from algosat.domain.closing import LineState
from algosat.domain.conversion import ConversionCode, ConversionState, Excess
from algosat.domain.linked_requests import ExitRequest
from algosat.domain.orders import (
    EventKind,
    Order,
    OrderEvent,
    OrderTerms,
    OrderType,
    Product,
    Side,
    Status,
    Trade,
    create,
)
from algosat.domain.positions import Position
from algosat.domain.risk import DenialCode
from algosat.domain.scope import ACCOUNT
from algosat.engine.schedule import cancel_oversized
from algosat.errors import Conflict, ConversionRefused, InvalidBody, NotFound
from algosat.store import audit, ledger, queries
from algosat.store.tables import trades
from algosat.store.verify.verify import verify
from algosat.trading import (
    account_book,
    activity,
    close,
    close_follow,
    close_records,
    conversion_records,
    conversions,
    daily_pnl,
    funds,
    halts,
    linked_exits,
    target_position,
)
from algosat.trading.close import CloseTerms, Closing
from algosat.trading.conversion_records import ConversionRecord
from algosat.trading.conversions import ConversionRequest
from algosat.trading.desk import Desk
from algosat.trading.idempotency import IdempotencyKey
from tests.app.desks import (
    CAUSE,
    FUTURE,
    SECOND,
    SHARE,
    accepted,
    advance,
    hold,
    instruments,
    order_now,
    replace_instruments,
    sell,
    set_prices,
    terms_of,
)
from tests.app.fakes import FakeClock

AS_BEFORE = Excess(Decimal(0), Decimal(0))


def convert(
    desk: Desk,
    quantity: str | None = "10",
    source: Product | None = Product.INTRADAY,
    target: Product = Product.DELIVERY,
    **differences: Any,
) -> ConversionRecord:
    amount = None if quantity is None else Decimal(quantity)
    wanted = ConversionRequest(SHARE, target, source=source, quantity=amount)
    return conversions.request_conversion(desk, replace(wanted, **differences), CAUSE).record


def sent(desk: Desk, record: ConversionRecord) -> ConversionRecord:
    """Record that a conversion is being sent."""
    return desk.writer.run(lambda connection: conversions.record_sending(connection, desk, record, AS_BEFORE))


def booked(desk: Desk, record: ConversionRecord) -> ConversionRecord:
    return desk.writer.run(
        lambda connection: conversions.record_converted(connection, desk, record.id, CAUSE)
    )


def rejected(desk: Desk, record: ConversionRecord) -> ConversionRecord:
    return desk.writer.run(
        lambda connection: conversions.record_rejected(
            connection, desk, record.id, "refused", "the broker refuses", CAUSE
        )
    )


def now(desk: Desk, record: ConversionRecord) -> ConversionRecord:
    with desk.database.read() as connection:
        return conversion_records.get(connection, record.id)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ConversionRefused) as caught:
        call()
    return caught.value.reported_code


def lines(desk: Desk) -> dict[str, Position]:
    with desk.database.read() as connection:
        return {each.product: each for each in queries.all_positions(connection, desk.account)}


def quantities(desk: Desk) -> dict[str, Decimal]:
    return {product: line.quantity for product, line in lines(desk).items()}


def result(desk: Desk) -> tuple[Decimal, Decimal]:
    """Return the day's profit or loss, and the cash."""
    day = desk.books.trading_day(desk.clock())
    with desk.database.read() as connection:
        book = account_book.read_book(connection, desk.account, desk.venue)
        cash = funds.funds(connection, desk).cash
        return daily_pnl.daily_pnl(connection, desk, ACCOUNT, day, book), cash


# --- the ledger ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize("quantity", ["3", "10"])
def test_conversion_moves_quantity_and_cost(desk: Desk, side: Side, quantity: str) -> None:
    hold(desk, "500", side=side, product=Product.INTRADAY, symbol=FUTURE)
    record = convert(desk, str(int(quantity) * 50), target=Product.CARRY, symbol=FUTURE)
    booked(desk, sent(desk, record))
    found, moved = lines(desk), side.sign * Decimal(quantity) * 50
    assert found["intraday"].quantity == side.sign * 500 - moved
    assert found["carry"].quantity == moved
    assert found["carry"].cost == moved * 100
    assert found["intraday"].realised == found["carry"].realised == 0


def test_rounded_average_price_leaves_the_profit_of_the_day_as_it_is(desk: Desk) -> None:
    hold(desk, "1", at="100", product=Product.INTRADAY)
    hold(desk, "2", at="100.05", product=Product.INTRADAY)
    set_prices(desk, ALPHA="103")
    profit, cash = result(desk)
    booked(desk, sent(desk, convert(desk, "2")))
    after_first, cash_after = result(desk)
    assert after_first == profit
    assert abs(cash_after - cash) <= Decimal("0.00000001")  # 2 shares, each half a place at most
    booked(desk, sent(desk, convert(desk, "1", Product.DELIVERY, Product.INTRADAY)))
    after_second, _ = result(desk)
    assert after_second == profit


def test_conversion_has_no_fees_and_verifies_clean(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = booked(desk, sent(desk, convert(desk, "4")))
    entries = [record.source_order_id, record.target_order_id]
    with desk.database.read() as connection:
        rows = connection.execute(select(trades).where(trades.c.order_id.in_(entries))).all()
        assert [(row.fees, row.note) for row in rows] == [(0, None), (0, None)]
        assert verify(connection).findings == []


def test_late_answer_is_booked_once_even_if_the_conversion_was_given_up(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = sent(desk, convert(desk, "4"))
    assert rejected(desk, record).state is ConversionState.REJECTED
    assert booked(desk, record).state is ConversionState.CONVERTED
    assert booked(desk, record) == now(desk, record)
    assert rejected(desk, record) == now(desk, record)
    assert quantities(desk) == {"intraday": 6, "delivery": 4}


def test_conversion_of_what_was_sold_at_the_broker_meanwhile_is_booked_as_the_broker_made_it(
    desk: Desk,
) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = sent(desk, convert(desk, "10"))
    exit_elsewhere = terms_of("4", side=Side.SELL, limit=None, product=Product.INTRADAY)
    _fill_elsewhere(desk, exit_elsewhere)
    booked(desk, record)
    assert quantities(desk) == {"intraday": -4, "delivery": 10}
    with desk.database.read() as connection:
        assert verify(connection).findings == []


def _fill_elsewhere(desk: Desk, terms: OrderTerms) -> None:
    def unit(connection: Any) -> None:
        at = desk.clock()
        order = ledger.add(connection, create("a" + "9" * 17, terms, at, external=True), CAUSE)
        trade = Trade("E1", terms.quantity, Decimal(100), at)
        events = (OrderEvent(EventKind.SUBMITTING, at), OrderEvent(EventKind.FILLED, at, trade=trade))
        ledger.record_all(connection, order, events, CAUSE, desk.books)

    desk.writer.run(unit)


# --- the request ---------------------------------------------------------------------------------------


def test_request_is_stored_with_its_event_and_finished_with_its_outcome(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = convert(desk, "4")
    assert (record.state, record.finished_at) == (ConversionState.CREATED, None)
    assert record.quantity == 4
    finished = booked(desk, sent(desk, record))
    assert now(desk, record) == finished
    with desk.database.read() as connection:
        kinds = [event.kind for event in audit.events_of(connection, record.id)]
        assert conversion_records.under_way(connection, desk.account) == []
    assert kinds == ["conversion.requested", "conversion.submitting", "conversion.converted"]


def test_whole_position_is_converted_from_the_only_product_by_default(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = convert(desk, None, None)
    assert (record.source, str(record.quantity)) == (Product.INTRADAY, "10")


def test_request_that_names_no_single_position_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidBody, match="hold no ALPHA-EQ that is not delivery already"):
        convert(desk, None, None)
    hold(desk, "100", product=Product.INTRADAY, symbol=FUTURE)
    hold(desk, "100", product=Product.CARRY, symbol=FUTURE)
    with pytest.raises(InvalidBody, match="NOVA-FUT is held as carry and intraday: name the `product`"):
        convert(desk, None, None, symbol=FUTURE)
    with pytest.raises(InvalidBody, match="70 is not a multiple of the lot 50"):
        convert(desk, "70", target=Product.CARRY, symbol=FUTURE)


@pytest.mark.parametrize("target", [Product.DELIVERY, Product.CARRY])
def test_repeated_key_returns_the_first_conversion(desk: Desk, target: Product) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    key = IdempotencyKey("tester", "k1", "hash")
    wanted = ConversionRequest(SHARE, Product.DELIVERY)
    first = conversions.request_conversion(desk, wanted, CAUSE, key=key)
    booked(desk, sent(desk, first.record))
    again = conversions.request_conversion(desk, replace(wanted, target=target), CAUSE, key=key)
    assert (again.replayed, again.record) == (True, now(desk, first.record))


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda desk: hold(desk, "1"), ConversionCode.MORE_THAN_HELD),
        (lambda desk: sell(desk, "1", limit="104", reduce_only=True, product=Product.INTRADAY),
         ConversionCode.QUANTITY_IN_EXITS),
        (lambda desk: convert(desk, "1"), ConversionCode.CONVERSION_UNDER_WAY),
        (lambda desk: close.close_position(desk, SHARE, CAUSE), ConversionCode.BEING_CLOSED),
        (lambda desk: halts.halt_trading(desk, CAUSE, "looks wrong"), ConversionCode.HALTED),
    ],
    ids=["other product", "exit", "another", "close", "halt"],
)  # fmt: skip
def test_position_is_not_converted(desk: Desk, prepare: Callable[[Desk], Any], code: ConversionCode) -> None:
    is_of_another_product = code is ConversionCode.MORE_THAN_HELD
    hold(desk, "10", product=Product.DELIVERY if is_of_another_product else Product.INTRADAY)
    prepare(desk)
    before = quantities(desk)
    assert refused(lambda: convert(desk)) == code
    assert quantities(desk) == before
    with desk.database.read() as connection:
        assert [each.kind for each in audit.events_of(connection, SHARE)] == ["conversion.refused"]


def test_broker_that_cannot_convert_is_asked_nothing(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    cannot = replace(desk, capabilities=replace(CAPABILITIES, has_conversion=False))
    assert refused(lambda: convert(cannot)) == ConversionCode.NOT_SUPPORTED
    without = replace(desk, capabilities=replace(CAPABILITIES, products=frozenset({Product.INTRADAY})))
    assert refused(lambda: convert(without)) == ConversionCode.NOT_SUPPORTED


def test_live_account_that_is_not_armed_converts_nothing(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    live = replace(desk, capabilities=replace(CAPABILITIES, is_live=True))
    assert refused(lambda: convert(live)) == ConversionCode.ACCOUNT_NOT_ARMED


def test_margin_of_the_other_product_must_be_available(desk: Desk) -> None:
    hold(desk, "900", product=Product.INTRADAY)  # 18 000 of margin; 90 000 as delivery
    hold(desk, "900", product=Product.DELIVERY, symbol=SECOND)
    desk.writer.run(lambda connection: ledger.change_deposits(connection, desk.account, Decimal(-830_000)))
    assert refused(lambda: convert(desk, "900")) == ConversionCode.INSUFFICIENT_FUNDS
    assert convert(desk, "600").state is ConversionState.CREATED


def test_instrument_must_be_listed(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    replace_instruments(desk, [each for each in instruments() if each.symbol != SHARE])
    assert refused(lambda: convert(desk)) == ConversionCode.UNKNOWN_SYMBOL


def test_linked_exit_without_a_working_stop_keeps_its_quantity(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    stop = terms_of("6", side=Side.SELL, limit=None, type=OrderType.STOP, trigger_price=Decimal(95))
    stop = replace(stop, reduce_only=True, product=Product.INTRADAY)
    exits = ExitRequest(target_price=Decimal(110))
    order = accepted(desk, linked_exits.place_linked(desk, stop, exits, CAUSE).order)
    assert refused(lambda: convert(desk, "5")) == ConversionCode.QUANTITY_IN_EXITS
    advance(desk, order, EventKind.CANCELLED)  # the engine will place it again
    assert refused(lambda: convert(desk, "5")) == ConversionCode.QUANTITY_IN_EXITS
    assert convert(desk, "4").state is ConversionState.CREATED


# --- meanwhile -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_sent", [False, True])
def test_exits_of_a_quantity_that_is_being_converted_are_denied(desk: Desk, is_sent: bool) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = convert(desk, "6")
    if is_sent:
        sent(desk, record)
    reduce = {"product": Product.INTRADAY, "reduce_only": True}
    too_much = sell(desk, "5", **reduce)
    assert (too_much.status, too_much.code) == (Status.DENIED, DenialCode.MORE_THAN_HELD)
    assert sell(desk, "4", **reduce).status is Status.CREATED
    rejected(desk, record)
    assert sell(desk, "6", **reduce).status is Status.CREATED


def test_quantity_on_its_way_counts_under_the_other_product_but_cannot_be_sold_there(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    sent(desk, convert(desk, "10"))
    sale = sell(desk, "10", product=Product.DELIVERY)
    assert (sale.status, sale.code) == (Status.DENIED, DenialCode.NO_HOLDINGS)
    with desk.database.read() as connection:
        book = account_book.read_book(connection, desk.account, desk.venue)
    found = {
        line.product.value: [int(each) for each in (line.quantity, line.working_buys, line.working_sells)]
        for line in book.lines
    }
    assert found == {"intraday": [10, 0, 10], "delivery": [0, 10, 0]}


def test_exit_that_no_longer_fits_beside_a_conversion_is_cancelled(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    working = accepted(desk, sell(desk, "4", limit="104", product=Product.INTRADAY, reduce_only=True))
    sent(desk, convert(desk, "6"))
    cancel_oversized(desk)
    assert order_now(desk, working).pending is None
    _fill_elsewhere(desk, terms_of("3", side=Side.SELL, limit=None, product=Product.INTRADAY))
    cancel_oversized(desk)
    assert order_now(desk, working).pending is not None


def test_target_position_waits_for_a_conversion(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    convert(desk, "6")
    wanted = terms_of("0", limit=None, product=Product.INTRADAY)
    key = IdempotencyKey("tester", "k1", "hash")
    with pytest.raises(Conflict, match="of the position is under way"):
        target_position.reach_position(desk, wanted, CAUSE, key=key)


def test_conversion_under_way_counts_as_interrupted_by_a_restart(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = convert(desk, "6")
    found = activity.interruption(desk.database, [(desk.account, desk.venue, desk.calendar)])
    assert f"conversion {record.id} is created" in found.under_way


# --- closes --------------------------------------------------------------------------------------------


def follow(desk: Desk) -> None:
    desk.writer.run(lambda connection: close_follow.follow(connection, desk))


def states(desk: Desk, closing: Closing) -> dict[str, tuple[LineState, int]]:
    """Return the state of each line by product, with the quantity of its exits."""
    with desk.database.read() as connection:
        found = close_records.get(connection, closing.close.id)
    return {
        line.product.value: (line.state, sum(_exit(desk, each) for each in line.order_ids))
        for line in found.lines
    }


def _exit(desk: Desk, order_id: str) -> int:
    return int(order_now(desk, order_id).terms.quantity)


def test_close_cancels_a_conversion_that_was_not_sent(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = convert(desk, "6")
    closing = close.close_all(desk, CAUSE)
    assert now(desk, record).state is ConversionState.CANCELLED
    assert states(desk, closing) == {"intraday": (LineState.SENDING, 10)}


@pytest.mark.parametrize("quantity", ["6", "10"])
@pytest.mark.parametrize("is_converted", [True, False])
def test_close_of_everything_waits_for_the_outcome_and_then_ends_flat(
    desk: Desk, quantity: str, is_converted: bool
) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = sent(desk, convert(desk, quantity))
    left = 10 - int(quantity)
    closing = close.close_all(desk, CAUSE)
    assert states(desk, closing) == {
        "intraday": (LineState.SENDING, left),
        "delivery": (LineState.SENDING, 0),
    }
    (booked if is_converted else rejected)(desk, record)
    follow(desk)
    sold = {"intraday": left, "delivery": int(quantity)} if is_converted else {"intraday": 10}
    expected = {product: exits for product, exits in sold.items() if exits}
    assert {product: exits for product, (_, exits) in states(desk, closing).items() if exits} == expected
    _fill_exits(desk)
    follow(desk)
    assert {state for state, _ in states(desk, closing).values()} == {LineState.FLAT}
    assert not any(quantities(desk).values())


def _fill_exits(desk: Desk) -> None:
    with desk.database.read() as connection:
        working = queries.working(connection, desk.account)
    for order in working:
        advance(desk, accepted(desk, order), fill=str(order.terms.quantity))


def test_close_of_one_product_leaves_what_was_converted_to_another(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = sent(desk, convert(desk))
    closing = close.close_position(desk, SHARE, CAUSE, product=Product.INTRADAY)
    assert states(desk, closing) == {"intraday": (LineState.SENDING, 0)}
    booked(desk, record)
    follow(desk)
    assert states(desk, closing) == {"intraday": (LineState.FLAT, 0)}
    assert quantities(desk) == {"intraday": 0, "delivery": 10}


def test_close_of_the_other_product_sells_what_the_conversion_adds(desk: Desk) -> None:
    hold(desk, "3", product=Product.DELIVERY)
    hold(desk, "10", product=Product.INTRADAY)
    record = sent(desk, convert(desk))
    closing = close.close_position(desk, SHARE, CAUSE, product=Product.DELIVERY)
    assert states(desk, closing) == {"delivery": (LineState.SENDING, 3)}
    _fill_exits(desk)
    follow(desk)
    assert states(desk, closing) == {"delivery": (LineState.SENDING, 3)}
    booked(desk, record)
    follow(desk)
    assert states(desk, closing) == {"delivery": (LineState.SENDING, 13)}


def test_close_of_a_part_waits_for_no_conversion(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = sent(desk, convert(desk, "6"))
    with pytest.raises(Conflict, match="of this position is under way"):
        close.close_position(desk, SHARE, CAUSE, terms=CloseTerms(quantity=Decimal(2)))
    rejected(desk, record)
    close.close_position(desk, SHARE, CAUSE, terms=CloseTerms(quantity=Decimal(2)))


def test_close_needs_a_person_if_the_outcome_stays_unknown(desk: Desk, clock: FakeClock) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = sent(desk, convert(desk))
    closing = close.close_all(desk, CAUSE)
    clock.forward(seconds=61)
    follow(desk)
    assert {state for state, _ in states(desk, closing).values()} == {LineState.NEEDS_PERSON}
    rejected(desk, record)
    follow(desk)
    assert states(desk, closing)["intraday"] == (LineState.SENDING, 10)
    assert states(desk, closing)["delivery"] == (LineState.FLAT, 0)


def test_halt_that_flattens_covers_what_is_being_converted(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = sent(desk, convert(desk))
    halts.halt_trading(desk, CAUSE, "looks wrong", flatten=True)
    booked(desk, record)
    follow(desk)
    with desk.database.read() as connection:
        (order,) = queries.working(connection, desk.account)
    assert (order.terms.product, str(order.terms.quantity)) == (Product.DELIVERY, "10")


# --- cancelling and settling -----------------------------------------------------------------------------


def test_conversion_is_cancelled_until_it_is_sent(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = convert(desk, "4")
    assert conversions.cancel_conversion(desk, record.id, CAUSE).state is ConversionState.CANCELLED
    record = sent(desk, convert(desk, "4"))
    with pytest.raises(Conflict, match="is submitting"):
        conversions.cancel_conversion(desk, record.id, CAUSE)
    with pytest.raises(NotFound):
        conversions.cancel_conversion(desk, "v" + "0" * 17, CAUSE)


@pytest.mark.parametrize("is_converted", [True, False])
def test_person_settles_an_unknown_outcome_once(desk: Desk, is_converted: bool) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = sent(desk, convert(desk, "4"))
    with pytest.raises(Conflict, match="is submitting"):
        conversions.settle_conversion(desk, record.id, CAUSE, converted=is_converted)
    desk.writer.run(
        lambda connection: conversions.record_unknown(
            connection, desk, record.id, "broker_uncertain", "timed out", CAUSE
        )
    )
    settled = conversions.settle_conversion(desk, record.id, CAUSE, converted=is_converted)
    assert settled.code == ConversionCode.SETTLED_BY_PERSON
    moved = Decimal(4) if is_converted else Decimal(0)
    assert quantities(desk).get("delivery", 0) == moved
    with pytest.raises(Conflict):
        conversions.settle_conversion(desk, record.id, CAUSE, converted=is_converted)


def test_entries_are_external_orders_with_their_code(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    record = booked(desk, sent(desk, convert(desk, "4")))
    source, target = (
        order_now(desk, each or "") for each in (record.source_order_id, record.target_order_id)
    )
    assert [_shown(each) for each in (source, target)] == [
        ("sell", "intraday", 4, "position_converted"),
        ("buy", "delivery", 4, "position_converted"),
    ]


def _shown(order: Order) -> tuple[str, str, int, str | None]:
    assert order.external
    return order.terms.side.value, order.terms.product.value, int(order.filled_quantity), order.code
