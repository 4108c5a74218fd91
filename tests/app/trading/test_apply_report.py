from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from algosat.domain.orders import Order, Status, Trade
from algosat.domain.orders.report import OrderReport
from algosat.store import audit, queries
from algosat.store.verify.verify import verify
from algosat.trading.apply_report import AppliedReport, apply_report, changes_anything
from algosat.trading.desk import Desk
from tests.app.desks import SHARE, accepted, buy, order_now
from tests.app.fake_exchange import elsewhere
from tests.app.fakes import FakeClock


def take(desk: Desk, report: OrderReport, **more: object) -> AppliedReport:
    return desk.writer.run(lambda connection: apply_report(connection, desk, report, **more))  # type: ignore[arg-type]


def trade(desk: Desk, number: int = 1, quantity: str = "10") -> Trade:
    return Trade(f"X{number}", Decimal(quantity), Decimal(100), desk.clock())


def ours(desk: Desk, *trades: Trade, status: Status = Status.OPEN) -> tuple[Order, OrderReport]:
    order = accepted(desk, buy(desk))
    report = elsewhere(str(order.broker_order_id), *trades, status=status, tag=order.id)
    return order, report


def test_a_fill_is_booked_once_however_often_it_is_told(desk: Desk) -> None:
    _order, report = ours(desk, trade(desk), status=Status.FILLED)
    assert take(desk, report).order.status is Status.FILLED
    assert take(desk, report).events == ()
    with desk.database.read() as connection:
        (position,) = queries.open_positions(connection, desk.account)
        assert position.quantity == 10
        assert verify(connection).clean


def test_an_order_placed_elsewhere_is_imported_once_and_its_fills_count(desk: Desk) -> None:
    report = elsewhere("B77", trade(desk), status=Status.FILLED)
    first, second = take(desk, report), take(desk, report)
    assert first.order.id == second.order.id
    assert first.order.external
    assert second.events == ()
    with desk.database.read() as connection:
        (position,) = queries.open_positions(connection, desk.account)
        kinds = [event.kind for event in audit.events_of(connection, first.order.id)]
        assert verify(connection).clean
    assert (position.symbol, position.quantity) == (SHARE, Decimal(10))
    assert kinds.count("broker.order_imported") == 1


def test_a_tag_that_this_store_does_not_know_is_somebody_elses(desk: Desk) -> None:
    assert take(desk, elsewhere("B78", tag="a" * 18)).order.external


def test_a_second_order_under_our_tag_is_not_taken_for_ours(desk: Desk) -> None:
    order, report = ours(desk)
    doubled = take(desk, replace(report, broker_order_id="B99"))
    assert doubled.order.external
    assert doubled.order.id != order.id
    assert order_now(desk, order).broker_order_id == order.broker_order_id


def test_an_order_the_broker_works_on_after_its_end_here_is_a_ghost(desk: Desk, clock: FakeClock) -> None:
    _order, report = ours(desk)
    take(desk, replace(report, status=Status.CANCELLED))
    clock.forward(seconds=1)
    assert take(desk, report, read_at=clock()).is_ghost


def test_a_late_report_is_no_ghost(desk: Desk, clock: FakeClock) -> None:
    _order, report = ours(desk)
    take(desk, replace(report, status=Status.CANCELLED))
    assert not take(desk, report).is_ghost
    assert not take(desk, report, read_at=clock() - timedelta(seconds=1)).is_ghost


def test_only_what_would_change_something_is_news(desk: Desk, clock: FakeClock) -> None:
    _order, report = ours(desk)
    clock.forward(seconds=1)
    with desk.database.read() as connection:
        assert not changes_anything(connection, desk, report, clock())
        assert changes_anything(connection, desk, elsewhere("B77"), clock())
        assert changes_anything(connection, desk, replace(report, status=Status.CANCELLED), clock())


def test_a_trade_beyond_the_order_is_told_and_not_booked(desk: Desk) -> None:
    _order, report = ours(desk, trade(desk), trade(desk, 2), status=Status.FILLED)
    received = take(desk, report)
    assert [each.id for each in received.overfills] == ["X2"]
    with desk.database.read() as connection:
        (position,) = queries.open_positions(connection, desk.account)
    assert position.quantity == 10
