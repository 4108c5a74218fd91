from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from algosat.domain.orders import PendingRequest, Product, Side, Status, Trade
from algosat.engine.schedule import cancel_oversized
from algosat.trading.apply_report import apply_report
from algosat.trading.desk import Desk
from tests.app.desks import SECOND, accepted, hold, order_now, sell
from tests.app.fake_exchange import elsewhere


def test_an_exit_for_which_nothing_is_left_is_cancelled(desk: Desk) -> None:
    hold(desk, "10")
    resting = accepted(desk, sell(desk, "10", limit="104", reduce_only=True))
    cancel_oversized(desk)
    assert order_now(desk, resting).pending is None
    hold(desk, "10", side=Side.SELL, product=Product.INTRADAY)
    cancel_oversized(desk)
    assert order_now(desk, resting).pending is None
    _sold_elsewhere(desk, "10")
    cancel_oversized(desk)
    assert order_now(desk, resting).pending is PendingRequest.PENDING_CANCEL


def test_the_newest_of_several_exits_goes_first(desk: Desk) -> None:
    hold(desk, "10")
    older = accepted(desk, sell(desk, "4", limit="104", reduce_only=True))
    newer = accepted(desk, sell(desk, "6", limit="104", reduce_only=True))
    _sold_elsewhere(desk, "5")
    cancel_oversized(desk)
    assert order_now(desk, older).pending is None
    assert order_now(desk, newer).pending is PendingRequest.PENDING_CANCEL


def test_plain_orders_and_other_books_are_left_alone(desk: Desk) -> None:
    hold(desk, "10")
    hold(desk, "10", symbol=SECOND)
    plain = accepted(desk, sell(desk, "5"))
    other = accepted(desk, sell(desk, "10", symbol=SECOND, reduce_only=True))
    _sold_elsewhere(desk, "10")
    cancel_oversized(desk)
    assert order_now(desk, plain).pending is None
    assert order_now(desk, other).pending is None


def test_an_exit_that_has_not_left_is_cancelled_at_once(desk: Desk) -> None:
    hold(desk, "10")
    waiting = sell(desk, "10", limit="104", reduce_only=True)
    _sold_elsewhere(desk, "10")
    cancel_oversized(desk)
    assert order_now(desk, waiting).status is Status.CANCELLED


def _sold_elsewhere(desk: Desk, quantity: str) -> None:
    """The position shrinks by an order placed in the broker's own application."""
    trade = Trade("X1", Decimal(quantity), Decimal(100), desk.clock())
    report = elsewhere("B77", trade, status=Status.FILLED)
    report = replace(report, terms=replace(report.terms, side=Side.SELL, quantity=Decimal(quantity)))
    desk.writer.run(lambda connection: apply_report(connection, desk, report))
