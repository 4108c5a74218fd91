"""OCO pairs, brackets and trailing stops, with a broker whose answers the tests choose."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from sqlalchemy import delete, update

from algosat.config.settings import Settings
from algosat.domain import market_phases
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.calendar import ExchangeCalendar
from algosat.domain.linked_exits import ExitPrices, LinkedExit
from algosat.domain.linked_requests import ExitRequest, LinkedChange
from algosat.domain.orders import (
    TERMINAL,
    ModifyRequest,
    Order,
    OrderType,
    Product,
    Side,
    Status,
    Trade,
    Validity,
)
from algosat.domain.orders.report import OrderReport
from algosat.errors import AlgosatError, BrokerNotReached, BrokerRejected, BrokerUncertain, InvalidBody
from algosat.store import linked_exits as rows
from algosat.store import queries
from algosat.store.tables import linked_exits as linked_table
from algosat.store.tables import quotes
from algosat.store.verify.verify import verify
from algosat.trading import alerts, cancel, close, linked_exits, modify
from algosat.trading.close import CloseTerms
from algosat.trading.desk import Desk
from tests.app.desks import CAUSE, SHARE, hold, order_now, set_prices, terms_of
from tests.app.engine.rig import EngineRig, build_rig, failing, no_fault, step_duties
from tests.app.fake_exchange import FakeExchange, external_report
from tests.app.thorough import examples


@dataclass
class Walk:
    """A rig that a test moves second by second, and whose engine it may replace."""

    rig: EngineRig
    settings: Settings
    last: str = "100"

    @property
    def desk(self) -> Desk:
        return self.rig.desk

    @property
    def exchange(self) -> FakeExchange:
        return self.rig.exchange

    def step(self, last: str | None = None, *, number: int = 1, seconds: float = 1) -> None:
        """Set the price, advance, send what is due, and read the broker's book."""
        self.last = last or self.last
        for _ in range(number):
            self.exchange.clock.forward(seconds=seconds)
            set_prices(self.desk, ALPHA=self.last)
            step_duties(self.rig.components)
            self.rig.route()
            self.rig.reconcile()
            self.rig.components.reconciler.step()

    def restart(self) -> None:
        """Replace the engine by a new one on the same store."""
        self.rig = build_rig(self.desk, self.exchange, self.settings.algosat.engine)
        self.rig.components.reconciler.mark_interrupted()

    def place(self, exits: ExitRequest, **terms: Any) -> Order:
        order = linked_exits.place_linked(self.desk, terms_of(**terms), exits, CAUSE).order
        self.step()
        return order_now(self.desk, order)

    def oco(self, quantity: str = "10", *, trigger: str = "95", target: str = "105") -> Order:
        return self.place(ExitRequest(Decimal(target)), **stop(quantity, trigger))

    def fill(self, order: Order, quantity: str, price: str) -> None:
        self.exchange.fill(order, quantity, price)
        self.step()

    def sell_elsewhere(self, quantity: str) -> None:
        """Report an order that was placed and filled at the broker's own terminal."""
        number = f"X{len(self.exchange.book)}"
        trade = Trade(f"T-{number}", Decimal(quantity), Decimal(100), self.exchange.clock())
        report = external_report(number, trade, status=Status.FILLED)
        terms = replace(report.terms, side=Side.SELL, quantity=Decimal(quantity))
        self.exchange.book[number] = replace(report, terms=terms)
        self.step()

    def end(self, order: Order, status: Status) -> None:
        """Report that the broker has ended an order that nobody cancelled."""
        report = next(report for report in self.exchange.book.values() if report.tag == order.id)
        self.exchange.book[report.broker_order_id] = replace(report, status=status)
        self.step()

    @property
    def working(self) -> list[Order]:
        return self.rig.working()

    def outcome_of(self, order: Order) -> str | None:
        """Return why the linked exit of the order has ended; None if it has not."""
        outcome = self.exit_of(order).outcome
        return None if outcome is None else outcome.value

    def exit_of(self, order: Order) -> LinkedExit:
        with self.desk.database.read() as connection:
            found = rows.of_order(connection, order.id)
        assert found is not None
        return found

    def held(self) -> Decimal:
        with self.desk.database.read() as connection:
            return sum((each.quantity for each in queries.open_positions(connection, "paper")), Decimal())

    def alerted(self) -> bool:
        with self.desk.database.read() as connection:
            return bool(alerts.open_subjects(connection, self.desk, AlertKind.LINKED_UNPROTECTED))


def stop(quantity: str = "10", trigger: str | None = "95", **terms: Any) -> dict[str, Any]:
    """Return the terms of a reduce-only stop to sell."""
    price = None if trigger is None else Decimal(trigger)
    given = {"limit": None, "side": Side.SELL, "type": OrderType.STOP, "reduce_only": True}
    return {"quantity": quantity, "trigger_price": price, **given, **terms}


@pytest.fixture
def walk(rig: EngineRig, settings: Settings) -> Walk:
    hold(rig.desk, "10")
    return Walk(rig, settings)


def test_only_the_stop_of_a_pair_rests_at_the_broker(walk: Walk) -> None:
    order = walk.oco()
    assert order.status is Status.TRIGGER_PENDING
    assert walk.exchange.sent == [order.id]
    walk.step("104.9", number=3)
    assert [each.id for each in walk.working] == [order.id]


def test_target_is_sent_after_the_stop_is_cancelled(walk: Walk) -> None:
    order = walk.oco()
    walk.step("105.05")
    assert order_now(walk.desk, order).status is Status.CANCELLED
    walk.step()
    (target,) = walk.working
    assert (target.terms.limit_price, target.terms.quantity) == (Decimal(105), Decimal(10))
    walk.fill(target, "10", "105")
    walk.step()
    assert (walk.outcome_of(order), int(walk.held()), walk.working) == ("target_filled", 0, [])


def test_target_waits_while_the_cancel_is_unanswered(walk: Walk) -> None:
    order = walk.oco()
    walk.exchange.before = failing(BrokerUncertain("silence"), "cancel")
    walk.step("105.05", number=5)
    assert walk.exchange.sent == [order.id]
    walk.exchange.before = no_fault
    walk.step(number=5)
    assert len(walk.exchange.sent) == 2


def test_stop_filled_while_being_cancelled_sends_no_target(walk: Walk) -> None:
    order = walk.oco()
    walk.exchange.before = failing(BrokerUncertain("silence"), "cancel")
    walk.step("105.05")
    walk.exchange.before = no_fault
    walk.fill(order, "10", "95")
    walk.step(number=3)
    assert (int(walk.held()), walk.exchange.sent) == (0, [order.id])
    assert walk.outcome_of(order) == "stopped"


def test_stop_partially_filled_while_being_cancelled_leaves_the_rest_to_the_target(walk: Walk) -> None:
    order = walk.oco()
    walk.exchange.before = failing(BrokerUncertain("silence"), "cancel")
    walk.step("105.05")
    walk.exchange.fill(order, "4", "95")
    walk.exchange.before = no_fault
    walk.step(number=3)
    (target,) = walk.working
    assert target.terms.quantity == 6


def test_refused_cancel_leaves_the_stop(walk: Walk) -> None:
    order = walk.oco()
    walk.exchange.before = failing(BrokerRejected("no"), "cancel")
    walk.step("105.05", number=3)
    assert [each.id for each in walk.working] == [order.id]
    walk.exchange.before = no_fault
    walk.step(number=4, seconds=5)
    assert len(walk.exchange.sent) == 2


def test_rest_of_the_target_gets_a_stop_again(walk: Walk) -> None:
    order = walk.oco()
    walk.step("105.05", number=2)
    (target,) = walk.working
    walk.exchange.fill(target, "3", "105")
    walk.end(target, Status.CANCELLED)
    walk.step()
    (again,) = walk.working
    assert (again.terms.type, again.terms.quantity) == (OrderType.STOP, Decimal(7))
    assert again.status is Status.TRIGGER_PENDING
    assert walk.exit_of(order).order_id == again.id


def test_price_that_falls_back_gets_the_stop_again(walk: Walk) -> None:
    order = walk.oco()
    walk.step("105.05")
    walk.step("101")
    (again,) = walk.working
    assert (again.id != order.id, again.terms.trigger_price) == (True, Decimal(95))


def test_price_beyond_the_stop_meanwhile_is_an_exit_at_the_market(walk: Walk) -> None:
    walk.oco()
    walk.step("105.05")
    walk.step("94")
    (market,) = walk.working
    assert (market.terms.type, market.terms.quantity) == (OrderType.MARKET, Decimal(10))


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_engine_that_restarts_continues(walk: Walk, steps: int) -> None:
    walk.oco()
    for _ in range(steps):
        walk.step("105.05")
    walk.restart()
    for _ in range(3):
        walk.step("105.05")
        walk.restart()
    (target,) = walk.working
    assert (target.terms.type, target.terms.quantity) == (OrderType.LIMIT, Decimal(10))


def test_cancelling_the_stop_ends_the_pair(walk: Walk) -> None:
    order = walk.oco()
    cancel.cancel_order(walk.desk, order.id, CAUSE)
    walk.step("105.05", number=3)
    assert (walk.working, walk.outcome_of(order)) == ([], "cancelled")


def test_pair_is_cancelled_by_the_id_of_a_replaced_order(walk: Walk) -> None:
    order = walk.oco()
    walk.step("105.05")
    walk.step("101")
    cancelled = cancel.cancel_order(walk.desk, order.id, CAUSE)
    walk.step(number=3)
    assert cancelled.id != order.id
    assert (walk.working, walk.outcome_of(order)) == ([], "cancelled")


def test_cancel_all_between_two_orders_places_none_afterwards(walk: Walk) -> None:
    order = walk.oco()
    walk.step("105.05")
    assert walk.working == []
    cancel.cancel_all(walk.desk, CAUSE)
    walk.step("101", number=3)
    assert (walk.working, walk.outcome_of(order)) == ([], "cancelled")


def test_smaller_position_gets_a_smaller_stop(walk: Walk) -> None:
    order = walk.oco()
    walk.sell_elsewhere("6")
    walk.step(number=4)
    (again,) = walk.working
    assert again.terms.quantity == 4
    walk.sell_elsewhere("4")
    walk.step(number=4)
    assert (walk.working, walk.outcome_of(order)) == ([], "position_closed")


def test_stop_that_the_broker_cancels_is_placed_again(walk: Walk) -> None:
    order = walk.oco()
    walk.end(order, Status.CANCELLED)
    walk.step(number=2)
    (again,) = walk.working
    assert (again.id != order.id, again.terms.trigger_price) == (True, Decimal(95))
    assert not walk.alerted()


def test_stop_rejected_again_and_again_is_an_alert(walk: Walk) -> None:
    order = walk.oco()
    walk.exchange.before = failing(BrokerRejected("no stops today"), "place")
    walk.end(order, Status.CANCELLED)
    walk.step(number=2)
    assert walk.alerted()
    sent = len(walk.exchange.sent)
    walk.exchange.before = no_fault
    walk.step(number=4, seconds=5)
    assert len(walk.exchange.sent) == sent + 1
    assert not walk.alerted()


def test_triggered_stop_that_is_not_filled_is_an_alert(walk: Walk) -> None:
    order = walk.oco()
    walk.end(order, Status.OPEN)
    walk.step("90", number=3, seconds=5)
    assert not walk.alerted()
    walk.step("90", number=5, seconds=10)
    assert walk.alerted()
    walk.fill(order, "10", "94")
    walk.step(number=2)
    assert not walk.alerted()


def test_first_stop_that_is_rejected_ends_the_pair(walk: Walk) -> None:
    walk.exchange.before = failing(BrokerRejected("no stops today"), "place")
    order = walk.oco()
    walk.step(number=3)
    assert (order.status, walk.outcome_of(order)) == (Status.REJECTED, "stop_rejected")


def test_expired_stop_ends_the_pair(walk: Walk) -> None:
    order = walk.oco()
    walk.end(order, Status.EXPIRED)
    walk.step("105.05", number=3)
    assert (walk.working, walk.outcome_of(order)) == ([], "day_ended")


MONDAY = date(2026, 11, 23)


def market_time(day: int, hour: int, minute: int) -> datetime:
    """Return a time of November 2026 in UTC: shares trade from 03:45 to 10:00."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def days(desk: Desk, exchange: FakeExchange, settings: Settings) -> Walk:
    """A walk over days of the exchange's calendar; the desk holds ten shares."""
    hold(desk, "10")
    desk = replace(desk, calendar=ExchangeCalendar(market_phases.packaged()))
    return Walk(build_rig(desk, exchange, settings.algosat.engine), settings)


@pytest.mark.parametrize("is_away", [False, True])
def test_stop_is_placed_again_on_each_day_until_the_last(days: Walk, is_away: bool) -> None:
    order = days.place(ExitRequest(Decimal(105), expires_on=MONDAY), **stop())
    days.exchange.clock.at = market_time(20, 10, 5)
    if not is_away:
        days.end(order, Status.EXPIRED)
        assert (days.working, days.outcome_of(order), days.alerted()) == ([], None, False)
    days.restart()
    days.exchange.clock.at = market_time(23, 3, 45)
    if is_away:
        days.end(order, Status.EXPIRED)
    days.step(number=3)
    (again,) = days.working
    assert again.id != order.id
    assert (again.terms.trigger_price, again.terms.quantity) == (Decimal(95), Decimal(10))
    assert (days.exit_of(order).expires_on, days.alerted()) == (MONDAY, False)
    days.exchange.clock.at = market_time(23, 10, 5)
    days.end(again, Status.EXPIRED)
    days.exchange.clock.at = market_time(24, 3, 46)
    days.step(number=3)
    assert (days.working, days.outcome_of(order), days.held()) == ([], "day_ended", Decimal(10))


@pytest.mark.parametrize(("expires_on", "outcome"), [(None, "day_ended"), (MONDAY, None)])
def test_stop_that_the_exchange_cancels_at_the_closing_auction_ends_with_its_day(
    days: Walk, expires_on: date | None, outcome: str | None
) -> None:
    order = days.place(ExitRequest(Decimal(105), expires_on=expires_on), **stop())
    days.exchange.clock.at = market_time(20, 10, 1)
    days.end(order, Status.CANCELLED)
    days.step(number=3)
    assert (days.working, days.outcome_of(order)) == ([], None)
    days.exchange.clock.at = market_time(23, 3, 45)
    days.step(number=3)
    assert days.outcome_of(order) == outcome
    assert len(days.working) == (0 if outcome else 1)


def test_stop_whose_trigger_is_passed_over_night_sells_at_the_open(days: Walk) -> None:
    order = days.place(ExitRequest(Decimal(105), expires_on=MONDAY), **stop())
    days.exchange.clock.at = market_time(20, 10, 5)
    days.end(order, Status.EXPIRED)
    days.exchange.clock.at = market_time(23, 3, 45)
    days.step("93", number=2)
    (exit_order,) = days.working
    assert (exit_order.terms.type, exit_order.terms.quantity) == (OrderType.MARKET, Decimal(10))


def test_target_is_taken_on_a_later_day(days: Walk) -> None:
    order = days.place(ExitRequest(Decimal(105), expires_on=MONDAY), **stop())
    days.exchange.clock.at = market_time(20, 10, 5)
    days.end(order, Status.EXPIRED)
    days.exchange.clock.at = market_time(23, 3, 45)
    days.step(number=2)
    days.step("105.10", number=3)
    (target,) = days.working
    assert (target.terms.type, target.terms.validity) == (OrderType.LIMIT, Validity.IOC)
    days.fill(target, "10", "105.05")
    days.step(number=2)
    assert (days.held(), days.outcome_of(order)) == (Decimal(0), "target_filled")


def test_position_that_is_closed_over_night_ends_the_pair(days: Walk) -> None:
    order = days.place(ExitRequest(Decimal(105), expires_on=MONDAY), **stop())
    days.exchange.clock.at = market_time(20, 10, 5)
    days.end(order, Status.EXPIRED)
    days.sell_elsewhere("10")
    days.exchange.clock.at = market_time(23, 3, 46)
    days.step(number=2)
    assert (days.working, days.outcome_of(order)) == ([], "position_closed")


@pytest.mark.parametrize(
    ("field", "expires_on", "terms"),
    [
        ("exits_expire_on", date(2026, 11, 19), stop()),
        ("exits_expire_on", date(2028, 11, 19), stop()),
        ("exits_expire_on", MONDAY, stop(product=Product.INTRADAY)),
        ("exits_expire_on", MONDAY, {}),
        ("validity", MONDAY, stop(validity=Validity.GTC)),
    ],
)
def test_wrong_last_day_is_named_and_nothing_is_stored(
    walk: Walk, field: str, expires_on: date, terms: dict[str, Any]
) -> None:
    exits = ExitRequest(expires_on=expires_on)
    with pytest.raises(InvalidBody) as raised:
        linked_exits.place_linked(walk.desk, terms_of(**terms), exits, CAUSE)
    assert [error["field"] for error in raised.value.errors] == [field]
    with walk.desk.database.read() as connection:
        assert rows.active(connection, "paper") == []


def test_target_is_not_tried_with_a_stale_quote(walk: Walk) -> None:
    order = walk.oco()
    walk.last = "105.05"
    set_prices(walk.desk, ALPHA="105.05")
    walk.exchange.clock.forward(minutes=5)
    step_duties(walk.rig.components)
    assert order_now(walk.desk, order).pending is None


def test_changed_trigger_holds_for_the_next_stop(walk: Walk) -> None:
    order = walk.oco()
    modify.modify_order(walk.desk, order.id, ModifyRequest(trigger_price=Decimal(97)), CAUSE)
    walk.step(number=2)
    walk.step("105.05")
    walk.step("101")
    (again,) = walk.working
    assert again.terms.trigger_price == 97


def test_target_is_added_to_a_working_stop_and_changed(walk: Walk) -> None:
    order = linked_exits.place_linked(walk.desk, terms_of(**stop()), ExitRequest(Decimal(110)), CAUSE).order
    walk.step()
    linked_exits.modify_linked(walk.desk, order.id, ModifyRequest(), LinkedChange(Decimal(103)), CAUSE)
    walk.step("103.05", number=2)
    (target,) = walk.working
    assert target.terms.limit_price == 103


def test_close_ends_the_pair(walk: Walk) -> None:
    order = walk.oco()
    close.close_position(walk.desk, SHARE, CAUSE)
    walk.step(number=3)
    (market,) = walk.working
    assert (market.terms.type, walk.outcome_of(order)) == (OrderType.MARKET, "cancelled")
    walk.fill(market, "10", "100")
    walk.step(number=3)
    assert (int(walk.held()), walk.working) == (0, [])


@pytest.mark.parametrize("steps", [1, 2])
def test_close_while_the_target_is_taken_fills_one_exit(walk: Walk, steps: int) -> None:
    order = walk.oco()
    walk.step("105.05", number=steps)
    close.close_position(walk.desk, SHARE, CAUSE)
    for _ in range(12):
        for each in walk.working:
            if each.status is Status.OPEN and each.terms.type is OrderType.MARKET:
                walk.exchange.fill(each, str(each.remaining_quantity), "104")
        walk.step("104")
    assert (int(walk.held()), walk.working) == (0, [])
    assert walk.outcome_of(order) in ("cancelled", "position_closed")


def test_close_of_a_part_leaves_the_rest_its_stop_and_target(walk: Walk) -> None:
    order = walk.oco()
    close.close_position(walk.desk, SHARE, CAUSE, terms=CloseTerms(quantity=Decimal(4)))
    walk.step(number=4)
    by_type = {each.terms.type: each for each in walk.working}
    assert by_type[OrderType.MARKET].terms.quantity == 4
    assert by_type[OrderType.STOP].terms.quantity == 6
    walk.fill(by_type[OrderType.MARKET], "4", "100")
    walk.step(number=2, seconds=5)
    walk.step("105.05", number=3)
    (target,) = walk.working
    assert (target.terms.limit_price, target.terms.quantity) == (Decimal(105), Decimal(6))
    assert walk.outcome_of(order) is None


# --- bracket -----------------------------------------------------------------------------------------


def bracket(walk: Walk, *, quantity: str = "20", **stop_loss: str) -> Order:
    prices = {name: Decimal(price) for name, price in (stop_loss or {"trigger_price": "95"}).items()}
    return walk.place(
        ExitRequest(Decimal(105), stop_loss=ExitPrices(**prices)), quantity=quantity, limit="100"
    )


def test_bracket_protects_each_fill_of_its_entry(walk: Walk) -> None:
    entry = bracket(walk)
    assert [each.id for each in walk.working] == [entry.id]
    walk.fill(entry, "5", "100")
    walk.step(number=2)
    resting = walk.working[-1]
    assert (resting.terms.type, resting.terms.quantity) == (OrderType.STOP, Decimal(5))
    walk.fill(entry, "15", "100")
    walk.step(number=4)
    (resting,) = walk.working
    assert resting.terms.quantity == 20


def test_bracket_that_reverses_a_position_protects_the_new_one(walk: Walk) -> None:
    hold(walk.desk, "10", product=Product.INTRADAY)
    exits = ExitRequest(Decimal(95), stop_loss=ExitPrices(Decimal(105)))
    terms = {"quantity": "25", "side": Side.SELL, "limit": "100", "product": Product.INTRADAY}
    entry = walk.place(exits, **terms)
    walk.fill(entry, "5", "100")
    walk.step(number=2)
    assert [each.id for each in walk.working] == [entry.id]
    walk.fill(entry, "20", "100")
    walk.step(number=2)
    (resting,) = walk.working
    assert (resting.terms.side, resting.terms.quantity) == (Side.BUY, Decimal(15))


def test_bracket_whose_entry_is_cancelled_unfilled_ends(walk: Walk) -> None:
    entry = bracket(walk)
    cancel.cancel_order(walk.desk, entry.id, CAUSE)
    walk.step(number=3)
    assert (walk.working, walk.outcome_of(entry)) == ([], None)  # a fill may still be reported
    walk.step(seconds=60)
    assert (walk.working, walk.outcome_of(entry)) == ([], "entry_not_filled")


def test_exit_that_is_filled_cancels_the_rest_of_the_entry(walk: Walk) -> None:
    entry = bracket(walk)
    walk.fill(entry, "5", "100")
    walk.step(number=2)
    walk.fill(walk.working[-1], "5", "95")
    walk.step(number=3)
    assert order_now(walk.desk, entry).status is Status.CANCELLED
    assert (walk.working, int(walk.held()), walk.outcome_of(entry)) == ([], 10, "stopped")


def test_late_fill_of_a_cancelled_entry_is_protected(walk: Walk) -> None:
    entry = bracket(walk)
    walk.fill(entry, "5", "100")
    walk.step(number=2)
    cancel.cancel_order(walk.desk, entry.id, CAUSE)
    walk.step()
    walk.fill(entry, "3", "100")
    walk.step(number=3)
    (resting,) = walk.working
    assert resting.terms.quantity == 8


def test_entry_filled_beyond_the_stop_is_closed_at_the_market(walk: Walk) -> None:
    entry = bracket(walk)
    walk.exchange.fill(entry, "20", "100")
    walk.step("94", number=2)
    (market,) = walk.working
    assert (market.terms.type, market.terms.quantity) == (OrderType.MARKET, Decimal(20))


# --- trailing stop -----------------------------------------------------------------------------------


def trailing(walk: Walk, *, trail_amount: str | None = None, trail_percent: str | None = None) -> Order:
    amount, percent = (None if each is None else Decimal(each) for each in (trail_amount, trail_percent))
    return walk.place(ExitRequest(trail_amount=amount, trail_percent=percent), **stop(trigger=None))


def test_trailing_stop_begins_at_its_distance_and_only_rises(walk: Walk) -> None:
    order = trailing(walk, trail_amount="5")
    assert order.terms.trigger_price == 95
    walk.step("102", number=3, seconds=5)
    assert order_now(walk.desk, order).terms.trigger_price == 97
    walk.step("98", number=3, seconds=5)
    assert order_now(walk.desk, order).terms.trigger_price == 97
    walk.step("110", number=3, seconds=5)
    assert order_now(walk.desk, order).terms.trigger_price == 105


def test_trailing_stop_by_percent_is_on_the_tick(walk: Walk) -> None:
    order = trailing(walk, trail_percent="3")
    walk.step("103.3", number=3, seconds=5)
    assert order_now(walk.desk, order).terms.trigger_price == Decimal("100.2")


def test_small_moves_use_up_no_modification(walk: Walk) -> None:
    order = trailing(walk, trail_amount="5")
    version = order.version
    walk.step("100.45", number=3, seconds=5)
    assert order_now(walk.desk, order).version == version


def test_trailing_stop_is_placed_again_before_modifications_run_out(walk: Walk) -> None:
    first = trailing(walk, trail_amount="5")
    for price in range(101, 125):
        walk.step(str(price), number=3, seconds=5)
        assert len(walk.working) == 1
    (present,) = walk.working
    assert present.id != first.id
    assert present.terms.trigger_price == 119
    assert len(walk.exchange.sent) == 2


def test_refused_modification_leaves_the_trailing_stop(walk: Walk) -> None:
    order = trailing(walk, trail_amount="5")
    walk.exchange.before = failing(BrokerRejected("no"), "modify")
    walk.step("102", number=4, seconds=5)
    assert order_now(walk.desk, order).terms.trigger_price == 95
    walk.exchange.before = no_fault
    walk.step(number=3, seconds=5)
    assert order_now(walk.desk, order).terms.trigger_price == 97


# --- invalid requests --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "exits", "terms"),
    [
        ("target_price", {"target_price": "94"}, stop()),
        ("target_price", {"target_price": "100"}, stop()),
        ("target_price", {"target_price": "105.01"}, stop()),
        ("target_price", {"target_price": "125"}, stop()),
        ("target_price", {"target_price": "105"}, stop(reduce_only=False)),
        ("trigger_price", {"target_price": "105"}, stop(trigger="101")),
        ("trigger_price", {"target_price": "105"}, stop(trigger=None)),
        ("trail_percent", {"trail_amount": "1", "trail_percent": "1"}, stop()),
        ("trail_percent", {"trail_percent": "100"}, stop()),
        ("trail_amount", {"trail_amount": "100"}, stop(trigger=None)),
        ("trail_amount", {"trail_amount": "0.07"}, stop(trigger=None)),
        ("trail_amount", {"trail_amount": "1"}, stop(reduce_only=False)),
        ("type", {"target_price": "105"}, {"side": Side.SELL, "limit": "99", "reduce_only": True}),
        ("stop_loss", {"stop_loss": {"trigger_price": "95"}}, stop()),
        ("stop_loss.trigger_price", {"stop_loss": {"trigger_price": "101"}}, {}),
        ("stop_loss.trigger_price", {"stop_loss": {}}, {}),
        ("stop_loss.limit_price", {"stop_loss": {"trigger_price": "95", "limit_price": "96"}}, {}),
        ("target_price", {"stop_loss": {"trigger_price": "95"}, "target_price": "99"}, {}),
        ("trail_amount", {"stop_loss": {"trigger_price": "95"}, "trail_amount": "1"}, {}),
    ],
)
def test_contradiction_names_the_field_and_stores_nothing(
    walk: Walk, field: str, exits: dict[str, Any], terms: dict[str, Any]
) -> None:
    stop_loss = exits.pop("stop_loss", None)
    prices: dict[str, Any] = {name: Decimal(value) for name, value in exits.items()}
    of_stop = None if stop_loss is None else ExitPrices(**{k: Decimal(v) for k, v in stop_loss.items()})
    with walk.desk.database.read() as connection:
        before = len(queries.orders_page(connection, limit=100).rows)
    with pytest.raises(InvalidBody) as raised:
        linked_exits.place_linked(
            walk.desk, terms_of(**terms), ExitRequest(**prices, stop_loss=of_stop), CAUSE
        )
    assert [error["field"] for error in raised.value.errors] == [field]
    with walk.desk.database.read() as connection:
        assert len(queries.orders_page(connection, limit=100).rows) == before
        assert rows.active(connection, "paper") == []


def test_target_of_a_symbol_without_a_price_is_refused_and_no_stop_is_placed(walk: Walk) -> None:
    """A reduce-only stop alone would pass: the target would be left out without a word."""
    walk.desk.writer.run(lambda connection: connection.execute(delete(quotes)))
    with pytest.raises(InvalidBody, match="there is no price of ALPHA-EQ"):
        linked_exits.place_linked(walk.desk, terms_of(**stop()), ExitRequest(Decimal(105)), CAUSE)
    assert walk.working == []


def test_pair_larger_than_the_position_is_denied_and_not_linked(walk: Walk) -> None:
    order = walk.oco("11")
    assert (order.status, order.code) == (Status.DENIED, "more_than_held")
    with walk.desk.database.read() as connection:
        assert rows.of_order(connection, order.id) is None


def test_store_is_verified_after_a_target(walk: Walk) -> None:
    walk.oco()
    walk.step("105.05", number=3)
    walk.fill(walk.working[0], "10", "105")
    with walk.desk.database.read() as connection:
        assert verify(connection).findings == []


def test_linked_order_of_another_position_is_found(walk: Walk) -> None:
    order = walk.oco()
    linked = walk.exit_of(order)
    wrong = update(linked_table).values(symbol="BRAVO-EQ")
    walk.desk.writer.run(lambda connection: connection.execute(wrong))
    with walk.desk.database.read() as connection:
        findings = verify(connection).findings
    assert findings == [f"linked exit {linked.id}: order {order.id} is of another position"]


# --- random walks ------------------------------------------------------------------------------------

_FAULTS = (BrokerUncertain("silence"), BrokerRejected("no"), BrokerNotReached("no connection"))


class RandomDay:
    """A day of random prices, faults of the broker, restarts of the engine, and orders of a person."""

    expires_on: date | None = None

    def __init__(self, walk: Walk, seed: int) -> None:
        self.walk, self.random = walk, Random(seed)
        self.price = Decimal(100)

    def run(self, steps: int) -> None:
        self.begin()
        for _ in range(steps):
            self.random.choice((self.move, self.move, self.trade, self.trade, self.meddle))()
            self.walk.step(str(self.price), seconds=self.random.choice((0.3, 1, 6)))
            self.require_one_exit()

    def begin(self) -> None:
        target = Decimal(self.random.choice((102, 105)))
        trail = self.random.choice((None, Decimal(3)))
        if self.random.random() < 0.5:
            exits = ExitRequest(target, trail, expires_on=self.expires_on)
            linked_exits.place_linked(self.walk.desk, terms_of(**stop()), exits, CAUSE)
        else:
            stop_loss = ExitPrices(trigger_price=Decimal(96), trail_amount=trail)
            exits = ExitRequest(target, stop_loss=stop_loss, expires_on=self.expires_on)
            linked_exits.place_linked(self.walk.desk, terms_of("20"), exits, CAUSE)
        self.walk.step()

    def move(self) -> None:
        self.price = max(Decimal(90), min(Decimal(112), self.price + self.random.choice((-4, -1, 1, 3))))

    def trade(self) -> None:
        """Execute at the broker what the price allows, in whole or in part."""
        for report in list(self.walk.exchange.book.values()):
            terms = report.terms
            left = terms.quantity - report.filled_quantity
            if report.status in TERMINAL or not left or not self.is_executable(report):
                continue
            order = order_now(self.walk.desk, report.tag or "")
            self.walk.exchange.fill(order, str(self.random.choice((left, left, 1))), str(self.price))
            report = self.walk.exchange.book[report.broker_order_id]
            if terms.validity is Validity.IOC and report.status not in TERMINAL:
                self.walk.exchange.book[report.broker_order_id] = replace(report, status=Status.CANCELLED)

    def is_executable(self, report: OrderReport) -> bool:
        terms = report.terms
        if terms.type.has_trigger and not report.trades:
            return self.price <= (terms.trigger_price or 0)
        if terms.limit_price is None:
            return True
        return (self.price - terms.limit_price) * terms.side.sign <= 0 or terms.validity is Validity.IOC

    def meddle(self) -> None:
        """Let the broker fail, restart the engine, or change or cancel an order."""
        chance = self.random.random()
        if chance < 0.45:
            requests = self.random.choice((("cancel",), ("place",), ("modify",), ("cancel", "place")))
            fault = failing(self.random.choice(_FAULTS), *requests)
            self.walk.exchange.before = fault if self.random.random() < 0.5 else no_fault
            is_lost = self.walk.exchange.before is no_fault
            lost = failing(BrokerUncertain("the answer is lost"), *requests)
            self.walk.exchange.after = lost if is_lost else no_fault
        elif chance < 0.7:
            self.walk.exchange.before = self.walk.exchange.after = no_fault
        elif chance < 0.9:
            self.walk.restart()
        elif chance < 0.95 and self.walk.working:
            with suppress(AlgosatError):
                change = ModifyRequest(trigger_price=Decimal(self.random.choice((94, 97))))
                modify.modify_order(self.walk.desk, self.walk.working[-1].id, change, CAUSE)
        elif chance >= 0.98:
            cancel.cancel_all(self.walk.desk, CAUSE)

    def require_one_exit(self) -> None:
        """Check that the exits at the broker can never sell more than the broker has bought for us."""
        book = self.walk.exchange.book.values()
        bought = 10 + sum(each.filled_quantity for each in book if each.terms.side is Side.BUY)
        sold = sum(each.filled_quantity for each in book if each.terms.side is Side.SELL)
        live = [each for each in book if each.terms.side is Side.SELL and each.status not in TERMINAL]
        could_be_sold = sum(each.terms.quantity - each.filled_quantity for each in live)
        assert sold + could_be_sold <= bought

    def settle(self) -> None:
        """Let everything work again at a price between stop and target."""
        self.walk.exchange.before = self.walk.exchange.after = no_fault
        self.price = Decimal(100)
        for _ in range(20):
            self.trade()
            self.walk.step("100", seconds=7)
            self.require_one_exit()


class RandomDays(RandomDay):
    """Several such days: at the end of each the broker expires every order, and the exits go on."""

    expires_on = date(2026, 12, 31)

    def meddle(self) -> None:
        if self.random.random() < 0.7:
            super().meddle()
            return
        book = self.walk.exchange.book
        for number, report in list(book.items()):
            if report.status not in TERMINAL:
                book[number] = replace(report, status=Status.EXPIRED)
        if self.random.random() < 0.5:
            self.walk.restart()


@pytest.mark.parametrize("seed", range(examples(3)))
@pytest.mark.parametrize("days", [RandomDay, RandomDays])
def test_random_days_fill_one_exit_and_end_protected(walk: Walk, days: type[RandomDay], seed: int) -> None:
    day = days(walk, seed)
    day.run(40)
    day.settle()
    with walk.desk.database.read() as connection:
        active = rows.active(connection, "paper")
        exited = sum(rows.exited(connection, each.id) for each in active)
        assert verify(connection).findings == []
    wanted = sum(each.quantity for each in active) - exited
    stops = [order for order in walk.working if order.terms.reduce_only]
    assert sum(order.remaining_quantity for order in stops) == min(wanted, walk.held())
    # The broker's book does not have a stop whose sending got no answer: a person decides.
    assert {order.status for order in stops} <= {Status.TRIGGER_PENDING, Status.UNKNOWN, Status.NOT_FOUND}
    assert not walk.alerted()


def test_delivery_sale_of_held_shares_is_no_entry_of_a_bracket(walk: Walk) -> None:
    exits = ExitRequest(Decimal(100), stop_loss=ExitPrices(Decimal(108)))
    with pytest.raises(InvalidBody, match=r"stop_loss: .* a delivery sale only closes one"):
        walk.place(exits, side=Side.SELL, limit="105", validity=Validity.IOC)
    walk.step(number=3)
    assert (walk.held(), walk.exchange.sent) == (Decimal(10), [])


def test_stop_works_while_the_broker_refuses_the_exit_of_a_part(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk.oco()
    place = walk.exchange.place

    def refuse_market_orders(order: Order) -> OrderReport:
        if order.terms.type is OrderType.MARKET:
            raise BrokerRejected("no market orders today")
        return place(order)

    monkeypatch.setattr(walk.exchange, "place", refuse_market_orders)
    close.close_position(walk.desk, SHARE, CAUSE, terms=CloseTerms(Decimal(4)))
    seconds = 0
    for _ in range(60):
        walk.step()
        seconds += any(each.status is Status.TRIGGER_PENDING for each in walk.working)
    assert seconds > 40


def test_refused_cancel_of_an_entry_is_not_repeated_at_once(walk: Walk) -> None:
    entry = walk.place(ExitRequest(stop_loss=ExitPrices(Decimal(95))), quantity="20")
    walk.fill(entry, "10", "100")
    walk.step()
    (stop_order,) = (each for each in walk.working if each.terms.reduce_only)
    cancels: list[str] = []

    def refuse(request: str) -> None:
        if request == "cancel":
            cancels.append(request)
            raise BrokerRejected("not now")

    walk.exchange.before = refuse
    walk.fill(stop_order, "5", "95")
    walk.step(number=30)
    assert 1 < len(cancels) <= 7


def test_fill_reported_after_the_cancel_of_an_entry_gets_its_stop(walk: Walk) -> None:
    entry = walk.place(ExitRequest(stop_loss=ExitPrices(Decimal(95))), quantity="20")
    cancel.cancel_order(walk.desk, entry.id, CAUSE)
    walk.step(number=3)
    assert order_now(walk.desk, entry).status is Status.CANCELLED
    report = next(each for each in walk.exchange.book.values() if each.tag == entry.id)
    late = Trade("T-late", Decimal(20), Decimal(100), walk.exchange.clock())
    filled = replace(report, trades=(late,), filled_quantity=Decimal(20))
    walk.exchange.book[report.broker_order_id] = filled
    walk.step(number=3)
    (stop_order,) = walk.working
    assert (stop_order.status, stop_order.terms.quantity) == (Status.TRIGGER_PENDING, Decimal(20))
