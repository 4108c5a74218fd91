from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import orjson
import pytest

from algosat.domain import market_phases
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.orders import (
    EventKind,
    ModifyRequest,
    OrderTerms,
    OrderType,
    PendingRequest,
    Product,
    Side,
    Status,
)
from algosat.live import checkpoint
from algosat.live.live_context import LiveContext
from algosat.live.updates import Seen
from algosat.store import queries
from algosat.strategies.strategy_events import BarClosed, OrderUpdated, QuoteReceived, Started
from algosat.trading.desk import Desk
from tests.app.desks import SHARE, advance, buy, order_now, quote_of
from tests.app.fakes import FakeClock
from tests.app.strategies.fakes import MORNING, bar_of

BAR = BarClosed(bar_of("100"))
Reopen = Callable[[], LiveContext]


@pytest.fixture
def reopen(desk: Desk) -> Reopen:
    """A floor as a new process of the strategy has it."""

    def build() -> LiveContext:
        with desk.database.read() as connection:
            record = checkpoint.load(connection, "trend")
            seen = Seen.begin(connection, "trend", record.seen if record else None)
        state = orjson.dumps(record.state if record else {})
        return LiveContext(desk, "trend", 1, Product.INTRADAY, state, seen)

    return build


@pytest.fixture
def context(reopen: Reopen) -> LiveContext:
    return reopen()


def terms(quantity: str = "10", side: Side = Side.BUY) -> OrderTerms:
    return OrderTerms(
        "paper", SHARE, side, Decimal(quantity), OrderType.MARKET, product=Product.INTRADAY, strategy="trend"
    )


def test_an_order_carries_the_strategys_name_and_passes_the_gate(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    assert context.place(terms()).status is Status.CREATED
    denied = context.place(terms("100000"))
    assert (denied.status, denied.code) == (Status.DENIED, "above_freeze_quantity")
    assert [order.terms.strategy for order in context.working()] == ["trend"]


def test_the_opening_is_the_calendars_and_unknown_where_it_ends(desk: Desk) -> None:
    traded = replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))
    context = LiveContext(traded, "trend", 1, Product.INTRADAY, b"{}", Seen(0, {}))
    assert context.opens_at(SHARE, MORNING + timedelta(hours=3)) == MORNING
    assert context.opens_at(SHARE, MORNING.replace(year=2031)) is None


def test_an_occasion_lived_through_twice_places_its_orders_once(desk: Desk, reopen: Reopen) -> None:
    placed = []
    for context in (reopen(), reopen()):
        context.begin(BAR)
        placed.append([context.place(terms()).id, context.place(terms("5")).id])
    assert placed[0] == placed[1]
    with desk.database.read() as connection:
        assert len(queries.working(connection, desk.account)) == 2


def test_what_was_placed_before_stands_when_it_is_decided_otherwise_now(desk: Desk, reopen: Reopen) -> None:
    first, second = reopen(), reopen()
    first.begin(BAR)
    before = first.place(terms("10"))
    second.begin(BAR)
    assert second.place(terms("20", Side.SELL)).id == before.id
    assert len(second.working()) == 1


def test_what_was_not_held_when_it_was_to_be_closed_is_not_closed_the_second_time(
    desk: Desk, reopen: Reopen
) -> None:
    first, second = reopen(), reopen()
    first.begin(BAR)
    assert first.close(SHARE) == ()
    bought = first.place(terms())
    advance(desk, bought, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10")
    second.begin(BAR)
    assert second.close(SHARE) == ()
    assert second.place(terms()).id == bought.id
    with desk.database.read() as connection:
        assert queries.working(connection, desk.account) == []


def test_what_an_occasion_placed_before_is_not_working_until_it_is_placed_again(reopen: Reopen) -> None:
    first, second = reopen(), reopen()
    first.begin(QuoteReceived(quote_of(SHARE, BAR.bar.end)))
    resting = first.place(terms())
    first.begin(BAR)
    placed = [first.place(terms()).id, first.place(terms("5")).id]
    second.begin(BAR)
    seen = []
    for quantity in ("10", "5"):
        seen.append([order.id for order in second.working()])
        second.place(terms(quantity))
    assert seen == [[resting.id], [resting.id, placed[0]]]
    assert [order.id for order in second.working()] == [resting.id, *placed]


def test_another_occasion_places_another_order(context: LiveContext) -> None:
    ids = set()
    for event in (BAR, BarClosed(bar_of("101", BAR.bar.end)), QuoteReceived(quote_of(SHARE, BAR.bar.end))):
        context.begin(event)
        ids.add(context.place(terms()).id)
        context.end(event, {})
    assert len(ids) == 3


def test_orders_of_a_start_are_placed_once_for_all_restarts_of_a_run(
    reopen: Reopen, clock: FakeClock
) -> None:
    ids = []
    for run in ("1.1", "1.1", "2.1"):
        context = reopen()
        clock.forward(seconds=5)
        context.begin(Started(clock(), run))
        ids.append(context.place(terms()).id)
    assert ids[0] == ids[1] != ids[2]


def test_before_the_first_order_the_store_knows_the_occasion_and_the_state_it_began_with(
    desk: Desk, context: LiveContext
) -> None:
    context.begin(QuoteReceived(quote_of(SHARE, desk.clock())))
    context.end(QuoteReceived(quote_of(SHARE, desk.clock())), {"seen": 1})
    context.begin(BAR)
    context.place(terms())
    with desk.database.read() as connection:
        record = checkpoint.load(connection, "trend")
    assert record is not None
    assert [set(pending) for pending in record.pending] == [{"bar"}]
    assert record.state == {"seen": 1}


def test_once_it_is_lived_through_nothing_is_pending(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    context.place(terms())
    context.end(BAR, {"in": True})
    with desk.database.read() as connection:
        record = checkpoint.load(connection, "trend")
    assert record is not None
    assert (record.pending, record.state) == ([], {"in": True})


def test_nothing_is_written_for_an_occasion_that_changed_nothing(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    context.end(BAR, {})
    with desk.database.read() as connection:
        assert checkpoint.load(connection, "trend") is None


def test_outside_of_its_callbacks_a_strategy_cannot_act(context: LiveContext) -> None:
    with pytest.raises(RuntimeError, match="within its callbacks"):
        context.place(terms())


def test_the_position_is_its_own_and_of_its_product_alone(desk: Desk, context: LiveContext) -> None:
    for differences in ({"strategy": "trend", "product": Product.INTRADAY}, {"strategy": "other"}, {}):
        order = buy(desk, "10", **differences)
        advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10")
    assert context.position(SHARE) == 10
    assert context.position("BRAVO-EQ") == 0


def test_closing_sends_what_is_left_once(desk: Desk, context: LiveContext, reopen: Reopen) -> None:
    order = buy(desk, "10", strategy="trend", product=Product.INTRADAY)
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10")
    context.begin(BAR)
    (exit_order,) = context.close(SHARE)
    assert (exit_order.terms.side, exit_order.terms.quantity) == (Side.SELL, Decimal(10))
    again = reopen()
    again.begin(BAR)
    assert [order.id for order in again.close(SHARE)] == [exit_order.id]


def test_closing_what_is_not_held_sends_nothing(context: LiveContext) -> None:
    context.begin(BAR)
    assert context.close(SHARE) == ()


def test_cancelling_an_order_that_has_ended_gives_it_back_as_it_is(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    order = context.place(terms())
    assert context.cancel(order.id).status is Status.CANCELLED
    assert context.cancel(order.id).status is Status.CANCELLED


def test_an_order_is_changed_once_the_broker_has_it(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    order = context.place(replace(terms(), type=OrderType.LIMIT, limit_price=Decimal(100)))
    change = ModifyRequest(Decimal(20), Decimal("99.50"), None)
    assert context.modify(order.id, change) == order  # it has not left yet
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED)
    changed = context.modify(order.id, change)
    assert (changed.pending, changed.pending_change) == (
        PendingRequest.PENDING_MODIFY,
        change.of(order.terms),
    )


def test_a_change_the_gate_denies_leaves_the_order_as_it_is(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    order = context.place(replace(terms(), type=OrderType.LIMIT, limit_price=Decimal(100)))
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED)
    assert context.modify(order.id, ModifyRequest(Decimal(100_000), Decimal(100), None)) == order_now(
        desk, order
    )
    assert order_now(desk, order).pending_change is None


def test_a_change_of_an_order_told_again_keeps_the_name_it_had(
    desk: Desk, context: LiveContext, reopen: Reopen
) -> None:
    order = buy(desk, "10", strategy="trend", product=Product.INTRADAY)
    told = OrderUpdated(order, order.version)
    context.begin(told)
    first = context.place(terms("5"))
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10")
    again = reopen()
    again.begin(OrderUpdated(order_now(desk, order), told.version))
    assert again.place(terms("5")).id == first.id


def test_memory_alone_is_kept_once_a_second(
    desk: Desk, context: LiveContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("algosat.live.live_context.time.monotonic", lambda: now)
    kept = []
    for number, passed in enumerate((0.0, 0.4, 0.8), start=1):
        now += passed
        quoted = QuoteReceived(quote_of(SHARE, desk.clock() + timedelta(seconds=number)))
        context.begin(quoted)
        context.end(quoted, {"seen": number})
        with desk.database.read() as connection:
            record = checkpoint.load(connection, "trend")
        kept.append(record.state["seen"] if record else None)
    assert kept == [1, 1, 3]
