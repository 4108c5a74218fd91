from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from algosat.domain.orders import EventKind, Order, Product, Side, Status, Trade
from algosat.domain.orders.report import OrderReport
from algosat.domain.scope import EXTERNAL
from algosat.store import audit, queries
from algosat.store.verify.verify import verify
from algosat.trading.apply_report import AppliedReport, apply_report, changes_anything
from algosat.trading.desk import Desk
from tests.app.desks import SHARE, accepted, advance, buy, hold, order_now, sell
from tests.app.fake_exchange import external_report
from tests.app.fakes import FakeClock


def applied(desk: Desk, report: OrderReport, **more: object) -> AppliedReport:
    return desk.writer.run(lambda connection: apply_report(connection, desk, report, **more))  # type: ignore[arg-type]


def trade(desk: Desk, number: int = 1, quantity: str = "10") -> Trade:
    return Trade(f"X{number}", Decimal(quantity), Decimal(100), desk.clock())


def ours(desk: Desk, *trades: Trade, status: Status = Status.OPEN) -> tuple[Order, OrderReport]:
    order = accepted(desk, buy(desk))
    report = external_report(str(order.broker_order_id), *trades, status=status, tag=order.id)
    return order, report


def test_repeated_fill_is_booked_once(desk: Desk) -> None:
    _order, report = ours(desk, trade(desk), status=Status.FILLED)
    assert applied(desk, report).order.status is Status.FILLED
    assert applied(desk, report).events == ()
    with desk.database.read() as connection:
        (position,) = queries.open_positions(connection, desk.account)
        assert position.quantity == 10
        assert verify(connection).clean


def test_external_order_is_imported_once_and_its_fills_count(desk: Desk) -> None:
    report = external_report("B77", trade(desk), status=Status.FILLED)
    first, second = applied(desk, report), applied(desk, report)
    assert first.order.id == second.order.id
    assert first.order.external
    assert second.events == ()
    with desk.database.read() as connection:
        (position,) = queries.open_positions(connection, desk.account)
        kinds = [event.kind for event in audit.events_of(connection, first.order.id)]
        assert verify(connection).clean
    assert (position.symbol, position.quantity) == (SHARE, Decimal(10))
    assert kinds.count("broker.order_imported") == 1


def sold_outside(desk: Desk, quantity: str, *filled: str) -> OrderReport:
    trades = [replace(trade(desk, number, each), id=f"S{number}") for number, each in enumerate(filled)]
    done = sum((each.quantity for each in trades), Decimal(0)) == Decimal(quantity)
    report = external_report("B90", *trades, status=Status.FILLED if done else Status.OPEN)
    return replace(report, terms=replace(report.terms, side=Side.SELL, quantity=Decimal(quantity)))


def positions_of(desk: Desk) -> dict[str, Decimal]:
    with desk.database.read() as connection:
        assert verify(connection).findings == []
        return {each.strategy: each.quantity for each in queries.open_positions(connection, desk.account)}


def test_sale_outside_of_more_than_is_held_by_hand_leaves_the_excess_to_external(desk: Desk) -> None:
    hold(desk, "10")
    with desk.database.read() as connection:
        before = queries.balance(connection, desk.account)
    applied(desk, sold_outside(desk, "17", "8"))
    assert positions_of(desk) == {"": Decimal(2)}
    for _ in range(2):
        applied(desk, sold_outside(desk, "17", "8", "6"))
    assert positions_of(desk) == {EXTERNAL: Decimal(-4)}
    applied(desk, sold_outside(desk, "17", "8", "6", "3"))
    assert positions_of(desk) == {EXTERNAL: Decimal(-7)}
    with desk.database.read() as connection:
        after = queries.balance(connection, desk.account)
        page = queries.orders_page(connection, limit=9, code="excess_external")
    assert before is not None
    assert after is not None
    assert after.realised == before.realised
    assert len(page.rows) == 4


def test_excess_of_a_sale_outside_reduces_what_external_holds(desk: Desk) -> None:
    hold(desk, "10")
    applied(desk, external_report("B77", trade(desk), status=Status.FILLED))
    assert positions_of(desk) == {"": Decimal(10), EXTERNAL: Decimal(10)}
    applied(desk, sold_outside(desk, "20", "20"))
    assert positions_of(desk) == {}


def test_own_order_beyond_the_position_moves_nothing(desk: Desk) -> None:
    hold(desk, "10", product=Product.INTRADAY)
    sold = sell(desk, "15", product=Product.INTRADAY)
    advance(desk, sold, EventKind.SUBMITTING, EventKind.ACCEPTED, fill="15")
    assert positions_of(desk) == {"": Decimal(-5)}


def test_order_with_an_unknown_tag_is_external(desk: Desk) -> None:
    assert applied(desk, external_report("B78", tag="a" * 18)).order.external


def test_second_order_under_our_tag_is_external(desk: Desk) -> None:
    order, report = ours(desk)
    second = applied(desk, replace(report, broker_order_id="B99"))
    assert second.order.external
    assert second.order.id != order.id
    assert order_now(desk, order).broker_order_id == order.broker_order_id


def test_order_live_at_the_broker_after_its_end_here_is_a_ghost(desk: Desk, clock: FakeClock) -> None:
    _order, report = ours(desk)
    applied(desk, replace(report, status=Status.CANCELLED))
    clock.forward(seconds=1)
    assert applied(desk, report, read_at=clock()).is_ghost


def test_late_report_shows_no_ghost(desk: Desk, clock: FakeClock) -> None:
    _order, report = ours(desk)
    applied(desk, replace(report, status=Status.CANCELLED))
    assert not applied(desk, report).is_ghost
    assert not applied(desk, report, read_at=clock() - timedelta(seconds=1)).is_ghost


def test_known_report_changes_nothing_and_a_new_one_does(desk: Desk, clock: FakeClock) -> None:
    _order, report = ours(desk)
    clock.forward(seconds=1)
    with desk.database.read() as connection:
        assert not changes_anything(connection, desk, report, clock())
        assert changes_anything(connection, desk, external_report("B77"), clock())
        assert changes_anything(connection, desk, replace(report, status=Status.CANCELLED), clock())


def test_trade_beyond_the_order_is_returned_but_not_booked(desk: Desk) -> None:
    _order, report = ours(desk, trade(desk), trade(desk, 2), status=Status.FILLED)
    result = applied(desk, report)
    assert [each.id for each in result.overfills] == ["X2"]
    with desk.database.read() as connection:
        (position,) = queries.open_positions(connection, desk.account)
    assert position.quantity == 10
