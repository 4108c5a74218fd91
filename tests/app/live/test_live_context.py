from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import orjson
import pytest

from algosat.domain import market_phases
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.gtt import GttRequest, GttState
from algosat.domain.linked_exits import ExitPrices
from algosat.domain.linked_requests import ExitRequest
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
from algosat.live.updates import DeliveredOrders
from algosat.store import linked_exits, pnl_exits, queries
from algosat.strategies.strategy_events import BarClosed, OrderUpdated, QuoteReceived, Started
from algosat.trading.desk import Desk
from tests.app.desks import SHARE, advance, buy, order_now, quote_of
from tests.app.fakes import FakeClock
from tests.app.strategies.fakes import MORNING, bar_of

BAR = BarClosed(bar_of("100"))
Reopen = Callable[[], LiveContext]


@pytest.fixture
def reopen(desk: Desk) -> Reopen:
    """Return a function that builds the context of a new process."""

    def build() -> LiveContext:
        with desk.database.read() as connection:
            saved = checkpoint.load(connection, "trend")
            delivered = DeliveredOrders.begin(connection, "trend", saved.delivered if saved else None)
        state = orjson.dumps(saved.state if saved else {})
        return LiveContext(desk, "trend", 1, Product.INTRADAY, state, delivered)

    return build


@pytest.fixture
def context(reopen: Reopen) -> LiveContext:
    return reopen()


def terms(quantity: str = "10", side: Side = Side.BUY) -> OrderTerms:
    return OrderTerms(
        "paper", SHARE, side, Decimal(quantity), OrderType.MARKET, product=Product.INTRADAY, strategy="trend"
    )


def test_order_carries_the_strategys_name_and_passes_the_gate(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    assert context.place(terms()).status is Status.CREATED
    denied = context.place(terms("100000"))
    assert (denied.status, denied.code) == (Status.DENIED, "above_freeze_quantity")
    assert [order.terms.strategy for order in context.working()] == ["trend"]


def test_opening_comes_from_the_calendar_and_is_unknown_after_its_end(desk: Desk) -> None:
    traded = replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))
    context = LiveContext(traded, "trend", 1, Product.INTRADAY, b"{}", DeliveredOrders(0, {}))
    assert context.opens_at(SHARE, MORNING + timedelta(hours=3)) == MORNING
    assert context.opens_at(SHARE, MORNING.replace(year=2031)) is None


def test_event_handled_twice_places_its_orders_once(desk: Desk, reopen: Reopen) -> None:
    placed = []
    for context in (reopen(), reopen()):
        context.begin(BAR)
        placed.append([context.place(terms()).id, context.place(terms("5")).id])
    assert placed[0] == placed[1]
    with desk.database.read() as connection:
        assert len(queries.working(connection, desk.account)) == 2


def test_order_of_the_interrupted_run_stands_if_decided_otherwise_now(desk: Desk, reopen: Reopen) -> None:
    first, second = reopen(), reopen()
    first.begin(BAR)
    before = first.place(terms("10"))
    second.begin(BAR)
    assert second.place(terms("20", Side.SELL)).id == before.id
    assert len(second.working()) == 1


def test_close_of_nothing_stays_a_close_of_nothing_when_repeated(desk: Desk, reopen: Reopen) -> None:
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


def test_order_of_the_interrupted_run_is_hidden_until_it_is_placed_again(reopen: Reopen) -> None:
    first, second = reopen(), reopen()
    first.begin(QuoteReceived(quote_of(SHARE, BAR.bar.end)))
    resting = first.place(terms())
    first.begin(BAR)
    placed = [first.place(terms()).id, first.place(terms("5")).id]
    second.begin(BAR)
    working = []
    for quantity in ("10", "5"):
        working.append([order.id for order in second.working()])
        second.place(terms(quantity))
    assert working == [[resting.id], [resting.id, placed[0]]]
    assert [order.id for order in second.working()] == [resting.id, *placed]


def test_another_event_places_another_order(context: LiveContext) -> None:
    ids = set()
    for event in (BAR, BarClosed(bar_of("101", BAR.bar.end)), QuoteReceived(quote_of(SHARE, BAR.bar.end))):
        context.begin(event)
        ids.add(context.place(terms()).id)
        context.end(event, {})
    assert len(ids) == 3


def test_orders_of_a_start_are_placed_once_in_all_restarts_of_a_run(reopen: Reopen, clock: FakeClock) -> None:
    ids = []
    for run in ("1.1", "1.1", "2.1"):
        context = reopen()
        clock.forward(seconds=5)
        context.begin(Started(clock(), run))
        ids.append(context.place(terms()).id)
    assert ids[0] == ids[1] != ids[2]


def test_event_and_state_before_it_are_stored_before_the_first_order(
    desk: Desk, context: LiveContext
) -> None:
    context.begin(QuoteReceived(quote_of(SHARE, desk.clock())))
    context.end(QuoteReceived(quote_of(SHARE, desk.clock())), {"quotes": 1})
    context.begin(BAR)
    context.place(terms())
    with desk.database.read() as connection:
        saved = checkpoint.load(connection, "trend")
    assert saved is not None
    assert [set(event) for event in saved.interrupted] == [{"bar"}]
    assert saved.state == {"quotes": 1}


def test_handled_event_is_not_stored_as_interrupted(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    context.place(terms())
    context.end(BAR, {"in": True})
    with desk.database.read() as connection:
        saved = checkpoint.load(connection, "trend")
    assert saved is not None
    assert (saved.interrupted, saved.state) == ([], {"in": True})


def test_event_that_changed_nothing_writes_nothing(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    context.end(BAR, {})
    with desk.database.read() as connection:
        assert checkpoint.load(connection, "trend") is None


def test_place_outside_callbacks_raises(context: LiveContext) -> None:
    with pytest.raises(RuntimeError, match="within its callbacks"):
        context.place(terms())


def test_position_counts_its_own_orders_of_its_product_only(desk: Desk, context: LiveContext) -> None:
    for differences in ({"strategy": "trend", "product": Product.INTRADAY}, {"strategy": "other"}, {}):
        order = buy(desk, "10", **differences)
        advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10")
    assert context.position(SHARE) == 10
    assert context.position("BRAVO-EQ") == 0


def test_repeated_close_places_its_orders_once(desk: Desk, context: LiveContext, reopen: Reopen) -> None:
    order = buy(desk, "10", strategy="trend", product=Product.INTRADAY)
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10")
    context.begin(BAR)
    (exit_order,) = context.close(SHARE)
    assert (exit_order.terms.side, exit_order.terms.quantity) == (Side.SELL, Decimal(10))
    again = reopen()
    again.begin(BAR)
    assert [order.id for order in again.close(SHARE)] == [exit_order.id]


def test_close_without_a_position_places_nothing(context: LiveContext) -> None:
    context.begin(BAR)
    assert context.close(SHARE) == ()


def test_cancel_of_an_ended_order_returns_it_unchanged(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    order = context.place(terms())
    assert context.cancel(order.id).status is Status.CANCELLED
    assert context.cancel(order.id).status is Status.CANCELLED


def test_order_can_be_modified_once_the_broker_has_it(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    order = context.place(replace(terms(), type=OrderType.LIMIT, limit_price=Decimal(100)))
    change = ModifyRequest(Decimal(20), Decimal("99.50"), None)
    assert context.modify(order.id, change) == order  # it has not been sent yet
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED)
    changed = context.modify(order.id, change)
    assert (changed.pending, changed.pending_change) == (
        PendingRequest.PENDING_MODIFY,
        change.of(order.terms),
    )


def test_denied_change_leaves_the_order_unchanged(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    order = context.place(replace(terms(), type=OrderType.LIMIT, limit_price=Decimal(100)))
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED)
    assert context.modify(order.id, ModifyRequest(Decimal(100_000), Decimal(100), None)) == order_now(
        desk, order
    )
    assert order_now(desk, order).pending_change is None


def test_order_update_handled_again_keeps_its_name(desk: Desk, context: LiveContext, reopen: Reopen) -> None:
    order = buy(desk, "10", strategy="trend", product=Product.INTRADAY)
    update = OrderUpdated(order, order.version)
    context.begin(update)
    first = context.place(terms("5"))
    advance(desk, order, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="10")
    again = reopen()
    again.begin(OrderUpdated(order_now(desk, order), update.version))
    assert again.place(terms("5")).id == first.id


def test_changed_state_alone_is_stored_once_a_second(
    desk: Desk, context: LiveContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("algosat.live.live_context.time.monotonic", lambda: now)
    stored = []
    for number, passed in enumerate((0.0, 0.4, 0.8), start=1):
        now += passed
        quoted = QuoteReceived(quote_of(SHARE, desk.clock() + timedelta(seconds=number)))
        context.begin(quoted)
        context.end(quoted, {"quotes": number})
        with desk.database.read() as connection:
            saved = checkpoint.load(connection, "trend")
        stored.append(saved.state["quotes"] if saved else None)
    assert stored == [1, 1, 3]


def test_bracket_of_a_repeated_event_is_placed_once(context: LiveContext, reopen: Reopen, desk: Desk) -> None:
    exits = ExitRequest(Decimal(105), stop_loss=ExitPrices(Decimal(95)))
    context.begin(BAR)
    first = context.place(terms(), exits)
    again = reopen()
    again.begin(BAR)
    assert again.place(terms(), exits).id == first.id
    with desk.database.read() as connection:
        assert [each.entry_id for each in linked_exits.active(connection, "paper")] == [first.id]


def test_contradicting_exits_are_a_denied_order(context: LiveContext, desk: Desk) -> None:
    context.begin(BAR)
    order = context.place(terms(), ExitRequest(Decimal(99), stop_loss=ExitPrices(Decimal(95))))
    assert (order.status, order.code) == (Status.DENIED, "invalid_terms")
    with desk.database.read() as connection:
        assert linked_exits.active(connection, "paper") == []


def test_strategy_sets_and_removes_its_pnl_exit(desk: Desk, context: LiveContext) -> None:
    context.begin(BAR)
    assert context.set_pnl_exit(Decimal(500), Decimal(300)) is not None
    with desk.database.read() as connection:
        (kept,) = pnl_exits.all_of(connection, desk.account)
    assert (kept.strategy, kept.profit_target, kept.set_by) == ("trend", Decimal(500), "strategy:trend")
    assert context.set_pnl_exit(None, None) is None


def test_position_is_reached_once_for_an_event(desk: Desk, reopen: Reopen) -> None:
    wanted = replace(terms("30"), side=Side.BUY)
    context = reopen()
    context.begin(BAR)
    (order,) = context.reach(wanted)
    assert (order.terms.quantity, order.terms.strategy) == (Decimal(30), "trend")
    again = reopen()
    again.begin(BAR)
    assert [each.id for each in again.reach(wanted)] == [order.id]
    assert again.reach(wanted) == ()
    assert again.reach(replace(wanted, quantity=Decimal(10))) == ()  # the other side is working
    assert [each.id for each in again.working()] == [order.id]


def test_gtt_order_of_an_interrupted_event_is_kept_once(desk: Desk, reopen: Reopen) -> None:
    request = GttRequest(terms(), Decimal(95))
    context = reopen()
    context.begin(BAR)
    kept = context.place_gtt(request)
    assert kept is not None
    again = reopen()
    again.begin(BAR)
    assert again.place_gtt(replace(request, trigger_price=Decimal(94))) == kept
    assert again.gtts() == [kept]
    with desk.database.read() as connection:
        saved = checkpoint.load(connection, "trend")
    assert saved is not None
    assert len(saved.interrupted) == 1
    assert again.place_gtt(replace(request, trigger_price=Decimal("94.01"))) is None
    assert again.cancel_gtt(kept.id).state is GttState.CANCELLED
    assert again.cancel_gtt(kept.id).state is GttState.CANCELLED
    assert again.gtts() == []
